"""Records that cross the binding: both sides have the same fields, and the same defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyserve import _native
from pyserve.engine import kernels
from pyserve.engine.config import EngineConfig, Override, RopeConfig
from pyserve.engine.protocol import (
    Accepted,
    Delta,
    EngineStats,
    Failed,
    Finish,
    GenerateRequest,
    ModelInfo,
    Progress,
    SamplingParams,
    ThinkingLimit,
    Timings,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from pyserve.engine.quantize_job import QuantizeJob
from pyserve.errors import ErrorInfo

DEFAULTS = _native.list_defaults()

TO_NATIVE: dict[str, type[msgspec.Struct]] = {
    "EngineConfig": EngineConfig,
    "MetadataOverride": Override,
    "QuantizeOptions": QuantizeJob,
    "Request": GenerateRequest,
    "RopeConfig": RopeConfig,
    "SamplingParams": SamplingParams,
    "ThinkingLimit": ThinkingLimit,
}
FROM_NATIVE: dict[str, type[msgspec.Struct]] = {
    "AcceptedEvent": Accepted,
    "CpuFeature": kernels.CpuFeature,
    "DeltaEvent": Delta,
    "EngineStats": EngineStats,
    "ErrorInfo": ErrorInfo,
    "FailedEvent": Failed,
    "Finish": Finish,
    "KernelChoice": kernels.KernelChoice,
    "KernelFall": kernels.KernelFall,
    "KernelRung": kernels.KernelRung,
    "ProgressEvent": Progress,
    "ModelInfo": ModelInfo,
    "TokenLogprob": TokenLogprob,
    "TopLogprob": TopLogprob,
}
# Fields that only Python has: it keeps them to itself, or makes arguments of them.
ONLY_PYTHON = {
    "AcceptedEvent": {"request_id"},
    "EngineConfig": {
        "model_id",
        "adapters",
        "shown_tokens",
        "kv_events",
        "kv_events_replay",
        "kv_events_topic",
        "kv_events_format",
    },
    "EngineStats": {"rss_bytes"},
    "FailedEvent": {"request_id"},
    "ProgressEvent": {"request_id"},
    "Finish": {"usage", "timings"},
    "ModelInfo": {"adapters", "fingerprint", "hidden_template"},
    "QuantizeOptions": {"path_in", "path_out"},
    "Request": {
        "messages",
        "template",
        "prompt",
        "parse_special",
        "segments",
        "tokens",
        "adapters",
        "session",
        "trace_id",
    },
}


ARGUMENTS: dict[str, Any] = {
    "adapter_paths": [],
    "shown_tokens": [],
    "prefix_build": "",
    "tells_blocks": False,
}


class Spy:
    """Says None to whatever it is asked for, and remembers that; `nested` are its records."""

    def __init__(self, **nested: Spy) -> None:
        self.asked: list[str] = []
        self._nested = nested

    def __getattr__(self, name: str) -> Spy | None:
        self.asked.append(name)
        return self._nested.get(name)


def test_every_record_is_known_here() -> None:
    assert set(DEFAULTS) == set(TO_NATIVE) | set(FROM_NATIVE)


@pytest.mark.parametrize("name", DEFAULTS)
def test_both_sides_have_the_same_fields(name: str) -> None:
    fields = set((TO_NATIVE | FROM_NATIVE)[name].__struct_fields__) - ONLY_PYTHON.get(name, set())
    if name == "Finish":
        fields |= {*Usage.__struct_fields__, *Timings.__struct_fields__}

    assert set(DEFAULTS[name]) == fields


@pytest.mark.parametrize("name", ["TokenLogprob", "TopLogprob"])
def test_tuples_have_the_same_order(name: str) -> None:
    assert tuple(DEFAULTS[name]) == FROM_NATIVE[name].__struct_fields__


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in [*TO_NATIVE, "EngineStats"] for field in DEFAULTS[name]],
)
def test_both_sides_have_the_same_default(name: str, field: str) -> None:
    default = _default((TO_NATIVE | FROM_NATIVE)[name], field)

    if default is not None:
        assert DEFAULTS[name][field] == default


def test_none_in_python_is_the_native_default() -> None:
    request = DEFAULTS["Request"]
    unset = [field for field in request if _default(GenerateRequest, field) is None]

    assert {field: request[field] for field in unset} == {
        "max_tokens": -1,
        "n_draft_max": -1,
        "thinking": {"begin": "", "end": "", "is_open": False, "max_tokens": -1, "message": ""},
        "n_logprobs": -1,
        "n_prompt_logprobs": -1,
        "max_token_gap_ms": -1.0,
        "deadline_ms": 0.0,
        "max_total_ms": 0.0,
        "max_decode_ms": 0.0,
    }
    assert DEFAULTS["SamplingParams"]["seed"] is None


def test_every_setting_is_read() -> None:
    rope = Spy()
    config: Any = Spy(rope=rope)

    with pytest.raises(_native.EngineError):
        _native.Engine(config, **ARGUMENTS)

    assert config.asked == list(DEFAULTS["EngineConfig"])
    assert rope.asked == list(DEFAULTS["RopeConfig"])


def test_every_field_of_a_request_is_read(tiny_model: Path) -> None:
    config = EngineConfig(model_id="tiny", model_path=str(tiny_model))
    engine = _native.Engine(config, **ARGUMENTS)
    sampling, thinking = Spy(), Spy()
    request: Any = Spy(sampling=sampling, thinking=thinking)

    engine.submit(request, id=1, prompt=_native.TokenPrompt([1]), adapters=[])
    engine.stop()

    assert request.asked == list(DEFAULTS["Request"])
    assert sampling.asked == list(DEFAULTS["SamplingParams"])
    assert thinking.asked == list(DEFAULTS["ThinkingLimit"])


def test_a_value_that_does_not_fit_is_named() -> None:
    config = EngineConfig(model_id="tiny", model_path="", n_ctx=2**40)

    with pytest.raises(TypeError, match="n_ctx: this int does not fit"):
        _native.Engine(config, **ARGUMENTS)


def _default(record: type[msgspec.Struct], name: str) -> object:
    """As the native side shows it; None: there is none."""
    (field,) = (each for each in msgspec.structs.fields(record) if each.name == name)
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    return None if value is msgspec.NODEFAULT else _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {key: _plain(each) for key, each in msgspec.structs.asdict(value).items()}
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple):
        return list(value)
    # Some are float32 there.
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
