"""Requests that run until they are cancelled, however slow or stopped the machine is.

The tiny models say a thousand tokens in a third of a second, so a request that has to be there
while something else happens must not end at a limit, nor because nobody reads it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx

from pyserve.engine.calls import GetInfo
from pyserve.engine.protocol import Delta, GenerateRequest, SamplingParams
from pyserve.engine.streams.hub import StreamEngine
from pyserve.engine.streams.stream import RequestStream
from tests.support.limits import SOON_S

# Tokens that take the tiny models minutes; 256 bytes of KV cache each.
ENDLESS = 1 << 18
GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)


def submit_endless(engine: StreamEngine, prompt: str | list[int], **fields: Any) -> RequestStream:
    """A request that nobody needs to read. The engine has a context of ENDLESS tokens."""
    return _submit(engine, prompt, threading.Event(), fields)


def occupy(engine: StreamEngine, prompt: str | list[int] = "a", **fields: Any) -> RequestStream:
    """Like `submit_endless`, and it runs: it has said something."""
    has_begun = threading.Event()
    stream = _submit(engine, prompt, has_begun, fields)
    while not has_begun.wait(1.0):
        stream.take()  # raises its error
    return stream


def _submit(
    engine: StreamEngine,
    prompt: str | list[int],
    has_begun: threading.Event,
    fields: dict[str, Any],
) -> RequestStream:
    assert engine.ask(GetInfo()).n_ctx >= ENDLESS, "the request would end by itself"
    asked = {"prompt": prompt} if isinstance(prompt, str) else {"tokens": prompt}
    request = GenerateRequest(**{"sampling": GREEDY, "max_tokens": None, **asked, **fields})

    def drop(delta: Delta) -> bool:
        has_begun.set()
        return True

    stream = engine.submit(request)
    assert isinstance(stream, RequestStream)
    stream.divert(drop)
    while stream.take() is not None:  # it was not idle: nothing is diverted yet
        has_begun.set()
        stream.divert(drop)
    return stream


class EndlessAnswer:
    """A streamed answer that a thread reads as long as it comes. last: its last line so far."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.last = next(self._lines)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(httpx.TransportError):
            for line in self._lines:
                self.last = line or self.last
                if self._is_left.is_set():
                    return

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> str:
        """Its last line, once the server has ended it."""
        self._thread.join(SOON_S)
        assert not self.is_running
        return self.last

    def leave(self) -> None:
        self._is_left.set()
        self._thread.join(SOON_S)


@contextlib.contextmanager
def endless_answer(http: httpx.Client, path: str, body: Any) -> Iterator[EndlessAnswer]:
    """An answer that has begun. Its model has a context of ENDLESS tokens."""
    asked = {**body, "max_tokens": None, "ignore_eos": True, "stream": True}
    with http.stream("POST", path, json=asked) as response:
        assert response.status_code == httpx.codes.OK
        answer = EndlessAnswer(response)
        try:
            yield answer
        finally:
            answer.leave()
