"""`TellingCore`: an engine core that tells which prefixes it holds, by what it was asked."""

from __future__ import annotations

import secrets
import threading
from typing import TypeVar, cast

from pyserve.engine.calls import Call, ClearPrefixes, GetPrefixDigest
from pyserve.engine.events import Event
from pyserve.engine.model_info import PrefixDigest
from pyserve.engine.prefixes.keys import prefix_keys
from pyserve.engine.prefixes.sketch import Sketch
from pyserve.engine.protocol import EngineCore
from pyserve.engine.request import GenerateRequest

T = TypeVar("T")


class TellingCore(EngineCore):
    """Passes everything on to `core`, and answers `GetPrefixDigest`. Threads: as of `EngineCore`.

    Prompts are looked at from the first of these calls on: one machine alone never makes it.
    """

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._sketch: Sketch | None = None
        self._told = PrefixDigest(secrets.randbits(48) + 1, b"")

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        self._core.submit(request_id, request)
        if self._sketch is None:
            return
        chain = prefix_keys(request).chain
        with self._lock:
            self._sketch.add(chain)

    def cancel(self, request_id: int) -> None:
        self._core.cancel(request_id)

    def poll(self, timeout_s: float) -> list[Event]:
        return self._core.poll(timeout_s)

    def ask(self, call: Call[T]) -> T:
        if isinstance(call, GetPrefixDigest):
            return cast(T, self._digest(call.known))
        answer = self._core.ask(call)
        if isinstance(call, ClearPrefixes):
            with self._lock:
                if self._sketch is not None:
                    self._sketch.clear()
        return answer

    def close(self) -> None:
        self._core.close()

    def _digest(self, known: int) -> PrefixDigest:
        with self._lock:
            if self._sketch is None:
                info = self._core.info()
                self._sketch = Sketch(info.n_kv or info.n_ctx * info.n_seq_max)
            data = self._sketch.digest()
            if data != self._told.data:
                self._told = PrefixDigest(self._told.version + 1, data)
            told = self._told
        return PrefixDigest(told.version) if told.version == known else told
