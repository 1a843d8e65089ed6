"""What an engine tells of its prefixes."""

from __future__ import annotations

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.model_info import PrefixDigest
from pyserve.engine.prefixes.keys import prefix_keys
from pyserve.engine.prefixes.sketch import Digest
from pyserve.engine.prefixes.telling import TellingCore
from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import QueueFullError

LONG = GenerateRequest(prompt="#hold " + "word " * 600)


def n_held(told: PrefixDigest, request: GenerateRequest) -> int:
    assert told.data is not None
    return Digest(told.data).n_held(prefix_keys(request).chain)


def test_an_engine_tells_what_it_was_asked_since_it_was_asked_what_it_holds() -> None:
    core = TellingCore(FakeCore(EngineConfig(model_id="m", model_path="")))
    core.submit(1, GenerateRequest(prompt="unseen " * 600))
    nothing = core.prefix_digest()
    assert (nothing.data, nothing.version > 0) == (b"", True)
    core.submit(2, LONG)
    told = core.prefix_digest(nothing.version)
    assert n_held(told, LONG) == 3006 // 256
    assert core.prefix_digest(told.version) == PrefixDigest(told.version)
    assert core.prefix_digest() == told
    core.clear_prefixes()
    cleared = core.prefix_digest(told.version)
    assert (cleared.data, cleared.version != told.version) == (b"", True)
    core.close()
    anew = TellingCore(FakeCore(EngineConfig(model_id="m", model_path="")))
    assert anew.prefix_digest(told.version).data == b""
    anew.close()


def test_a_request_that_was_refused_is_not_held() -> None:
    config = EngineConfig(model_id="m", model_path="", n_seq_max=1, n_queue_max=0)
    core = TellingCore(FakeCore(config))
    core.prefix_digest()
    core.submit(1, GenerateRequest(prompt="#hold a"))
    try:
        core.submit(2, LONG)
    except QueueFullError:
        pass
    else:
        raise AssertionError("it was not refused")
    assert core.prefix_digest().data == b""
    core.close()
