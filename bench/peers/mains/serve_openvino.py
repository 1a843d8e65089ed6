"""Serves a GGUF file with OpenVINO GenAI; runs in that peer's own environment.

A step keeps the interpreter lock, so the thread that steps also writes the tokens of a step to
their sockets: they leave when they exist. Other threads only read requests.
"""

from __future__ import annotations

import argparse
import importlib
import json
import queue
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KV_BLOCK_TOKENS = 32
SWITCH_INTERVAL_S = 0.0005


@dataclass
class Stream:
    """One request: its body, the handler that owns its socket, what came of it."""

    body: dict[str, Any]
    handler: BaseHTTPRequestHandler
    is_done: threading.Event = field(default_factory=threading.Event)
    handle: Any = None
    n_prompt: int = 0
    n_tokens: int = 0


class Engine:
    """Owns the pipeline. Thread: `run` and all it calls are of one thread; `submit` is of any."""

    def __init__(self, model: str, threads: int, n_parallel: int, kv_tokens: int) -> None:
        self._genai = importlib.import_module("openvino_genai")
        scheduler = self._genai.SchedulerConfig()
        scheduler.num_kv_blocks = -(-kv_tokens // KV_BLOCK_TOKENS)
        scheduler.max_num_seqs = n_parallel
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = True
        properties = {"INFERENCE_NUM_THREADS": threads}
        self._pipeline = self._genai.ContinuousBatchingPipeline(
            model, scheduler, "CPU", properties=properties
        )
        self._tokenizer = self._pipeline.get_tokenizer()
        self._incoming: queue.Queue[Stream] = queue.Queue()
        self._active: list[Stream] = []
        self._n_requests = 0

    def submit(self, stream: Stream) -> None:
        self._incoming.put(stream)

    def run(self) -> None:
        while True:
            self._take(should_wait=not self._active)
            self._pipeline.step()
            for stream in list(self._active):
                self._publish(stream)

    def _take(self, *, should_wait: bool) -> None:
        while True:
            try:
                self._add(self._incoming.get(block=should_wait))
            except queue.Empty:
                return
            should_wait = False

    def _add(self, stream: Stream) -> None:
        config = self._genai.GenerationConfig()
        config.max_new_tokens = stream.body["max_tokens"]
        config.ignore_eos = bool(stream.body.get("ignore_eos"))
        config.do_sample = False
        tokens = self._prompt_tokens(stream.body)
        stream.n_prompt = tokens.shape[1]
        self._n_requests += 1
        stream.handle = self._pipeline.add_request(self._n_requests, tokens, config)
        self._active.append(stream)

    def _prompt_tokens(self, body: dict[str, Any]) -> Any:
        if "prompt" in body:
            return self._tokenizer.encode(body["prompt"]).input_ids
        prompt = self._tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True)
        return self._tokenizer.encode(prompt, add_special_tokens=False).input_ids

    def _publish(self, stream: Stream) -> None:
        try:
            while stream.handle.can_read():
                for output in stream.handle.read().values():
                    stream.n_tokens += len(output.generated_ids)
                    self._send(stream, self._tokenizer.decode(output.generated_ids))
            if stream.handle.get_status() == self._genai.GenerationStatus.RUNNING:
                return
            self._finish(stream)
        except OSError:  # the client has gone
            stream.handle.cancel()
        self._active.remove(stream)
        stream.is_done.set()

    def _send(self, stream: Stream, text: str) -> None:
        if stream.body.get("stream"):
            write_event(stream.handler, {"choices": [{"index": 0, "delta": {"content": text}}]})

    def _finish(self, stream: Stream) -> None:
        usage = {"prompt_tokens": stream.n_prompt, "completion_tokens": stream.n_tokens}
        if stream.body.get("stream"):
            write_event(stream.handler, {"choices": [], "usage": usage})
        else:
            stream.handler.wfile.write(json.dumps({"choices": [], "usage": usage}).encode())


def write_event(handler: BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
    handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")


def handler_of(engine: Engine) -> type[BaseHTTPRequestHandler]:
    """The class that reads requests for this engine; every answer closes its connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            stream = Stream(body, self)
            engine.submit(stream)
            stream.is_done.wait()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    for name in ("--port", "--threads", "--parallel", "--kv"):
        parser.add_argument(name, type=int, required=True)
    args = parser.parse_args()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    engine = Engine(args.model, args.threads, args.parallel, args.kv)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", args.port), handler_of(engine))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    engine.run()


if __name__ == "__main__":
    main()
