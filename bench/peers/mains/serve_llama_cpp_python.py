"""Serves a GGUF file with llama-cpp-python; runs in that peer's own environment.

Without `--server` as `python -m llama_cpp.server` does, with it by the example of that name. Both
stream without usage, so the counts are taken where they are made and sent before `[DONE]`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

N_BATCH = 512
# Of the request that is answered: one object in all its tasks and threads, filled as they go.
USAGE: ContextVar[dict[str, int]] = ContextVar("usage")


class UsageBeforeDone:
    """An ASGI application around another that adds a chunk with usage to its streams."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state = app.state

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[..., Awaitable[None]]
    ) -> None:
        usage: dict[str, int] = {}
        USAGE.set(usage)

        async def send_with_usage(message: dict[str, Any]) -> None:
            body = message.get("body", b"")
            if usage and body.startswith(b"data: [DONE]"):
                event = json.dumps({"choices": [], "usage": usage}).encode()
                message = {**message, "body": b"data: " + event + b"\n\n" + body}
            await send(message)

        await self._app(scope, receive, send_with_usage)


def count_generated(llama_class: Any) -> None:
    """Make every instance count the tokens of its prompts and answers."""
    generate = llama_class.generate

    def counting(self: Any, tokens: Any, *args: Any, **kwargs: Any) -> Iterator[int]:
        usage = USAGE.get()
        usage |= {"prompt_tokens": len(tokens), "completion_tokens": 0}
        for token in generate(self, tokens, *args, **kwargs):
            usage["completion_tokens"] += 1
            yield token

    llama_class.generate = counting


def keep_usage(service_class: Any) -> None:
    """Make the service of the example tell the usage of its results."""
    submit_request = service_class.submit_request

    def keeping(self: Any, request: Any) -> Any:
        usage = USAGE.get()
        submitted = submit_request(self, request)
        on_done = request.on_done

        def done(result: Any) -> None:
            counts = result.usage
            usage["prompt_tokens"] = counts.prompt_tokens
            usage["completion_tokens"] = counts.completion_tokens
            on_done(result)

        request.on_done = done
        return submitted

    service_class.submit_request = keeping


def serve_plain(args: argparse.Namespace) -> None:
    """One request at a time; the others wait instead of ending it."""
    count_generated(importlib.import_module("llama_cpp").Llama)
    settings = importlib.import_module("llama_cpp.server.settings")
    app = importlib.import_module("llama_cpp.server.app").create_app(
        server_settings=settings.ServerSettings(interrupt_requests=False),
        model_settings=[
            settings.ModelSettings(
                model=args.model,
                n_ctx=args.ctx,
                n_batch=N_BATCH,
                n_threads=args.threads,
                n_threads_batch=args.threads,
                logits_all=False,
                flash_attn=True,
                verbose=False,
            )
        ],
    )
    uvicorn = importlib.import_module("uvicorn")
    uvicorn.run(UsageBeforeDone(app), host="127.0.0.1", port=args.port, log_level="warning")


def serve_batching(args: argparse.Namespace) -> None:
    """By the example's own main, which reads its settings from a file."""
    spec = importlib.util.spec_from_file_location("batching_server", args.server)
    assert spec is not None
    assert spec.loader is not None
    server = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = server
    spec.loader.exec_module(server)
    keep_usage(server.CompletionService)
    vars(server)["APP"] = UsageBeforeDone(server.APP)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump(batching_config(args), stream)
        stream.flush()
        sys.argv = [str(args.server), "-C", stream.name]
        server.main()


def batching_config(args: argparse.Namespace) -> dict[str, Any]:
    """In the example's format."""
    model = {"path": args.model, "n_ctx": args.ctx, "n_seq_max": args.parallel}
    model |= {"threads": args.threads, "threads_batch": args.threads}
    model |= {"n_batch": N_BATCH, "n_ubatch": N_BATCH, "flash_attn": True}
    model |= {"kv_unified": True, "store_logits": False}
    return {"server": {"host": "127.0.0.1", "port": args.port}, "model": model}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    for name in ("--port", "--threads", "--ctx"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--server", type=Path, help="the example's server.py")
    parser.add_argument("--parallel", type=int, default=1)
    args = parser.parse_args()
    if args.server:
        serve_batching(args)
    else:
        serve_plain(args)


if __name__ == "__main__":
    main()
