"""Serves a GGUF file with mistral.rs; runs in that peer's own environment.

One request at a time: version 0.9.5 ends requests that it puts together with "input tensor is not
contiguous", whatever their number.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Engine:
    """The model. Thread: any; the engine has a thread of its own, and queues requests."""

    def __init__(self, model: Path) -> None:
        self._mistralrs = importlib.import_module("mistralrs")
        which = self._mistralrs.Which.GGUF(str(model.parent), model.name)
        self._runner = self._mistralrs.Runner(which, max_seqs=1, token_source="none")
        self._lock = threading.Lock()  # the runner is one thread's at a time

    def chunks(self, body: dict[str, Any]) -> Any:
        """An iterator of chunks, the last one with usage."""
        request = self._mistralrs.ChatCompletionRequest(
            messages=body["messages"],
            model="default",
            max_tokens=body["max_tokens"],
            stream=True,
            ignore_eos=bool(body.get("ignore_eos")),
            temperature=0.0,
        )
        with self._lock:
            return self._runner.send_chat_completion_request(request)


def event_of(chunk: Any) -> dict[str, Any]:
    """A chunk in the OpenAI shape."""
    choices = [{"index": 0, "delta": {"content": choice.delta.content}} for choice in chunk.choices]
    event: dict[str, Any] = {"choices": choices}
    if chunk.usage is not None:
        event["usage"] = {
            "prompt_tokens": chunk.usage.prompt_tokens,
            "completion_tokens": chunk.usage.completion_tokens,
        }
    return event


def handler_of(engine: Engine) -> type[BaseHTTPRequestHandler]:
    """The class that answers requests from this engine; every answer closes its connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "messages" not in body:
                self.send_error(501, "mistral.rs streams chats only")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for chunk in engine.chunks(body):
                self.wfile.write(b"data: " + json.dumps(event_of(chunk)).encode() + b"\n\n")

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)  # read when the library is loaded
    engine = Engine(args.model)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", args.port), handler_of(engine)).serve_forever()


if __name__ == "__main__":
    main()
