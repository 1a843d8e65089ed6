"""The native engine in this process. The only file that knows the extension module."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from pyserve import _native
from pyserve.engine.adapters import AdapterScales
from pyserve.engine.calls import (
    Askable,
    Call,
    Detokenize,
    GetInfo,
    GetStats,
    Pieces,
    Render,
    ScaleAdapters,
    Tokenize,
    TokenizeChat,
    TokenizeSegments,
)
from pyserve.engine.config import EngineConfig, RopeConfig
from pyserve.engine.fingerprint import fingerprint
from pyserve.engine.kernels import CpuReport, KernelChoice
from pyserve.engine.markers import SHOWN_TOKENS
from pyserve.engine.protocol import (
    Accepted,
    Delta,
    EngineStats,
    Event,
    Failed,
    Finish,
    GenerateRequest,
    ModelInfo,
    SamplingParams,
    Segment,
    Step,
    TemplateOptions,
    ThinkingLimit,
    Timings,
    TokenLogprob,
    Usage,
)
from pyserve.engine.quantize_job import QuantizeJob
from pyserve.engine.streams.hub import StreamEngine
from pyserve.errors import ErrorInfo, InvalidRequestError, PyserveError, from_info

_CONFIG_FIELDS = (
    "model_path",
    "n_ctx",
    "n_kv",
    "n_seq_max",
    "n_batch",
    "kernels",
    "n_threads",
    "n_threads_batch",
    "n_queue_max",
    "use_mmap",
    "use_mlock",
    "cache_type_k",
    "cache_type_v",
    "flash_attn",
    "numa",
    "n_bytes_available",
    "prefix_cache_mib",
    "n_draft_max",
    "draft_model_path",
    "n_draft_min",
    "draft_p_min",
    "max_token_gap_ms",
)
_JSON = msgspec.json.Encoder()

T = TypeVar("T")


class NativeCore(Askable):
    """An `EngineCore` over the extension module. Loads the model when it is made.

    Raises ModelLoadError if the file cannot be served. No method holds the GIL while it waits.
    """

    def __init__(self, config: EngineConfig) -> None:
        native_config = _native.EngineConfig()
        for name in _CONFIG_FIELDS:
            setattr(native_config, name, getattr(config, name))
        for name in RopeConfig.__struct_fields__:
            setattr(native_config.rope, name, getattr(config.rope, name))
        native_config.is_deterministic = config.deterministic
        native_config.shown_tokens = [*SHOWN_TOKENS, *config.shown_tokens]
        native_config.overrides = [
            _native.MetadataOverride(each.key, each.value) for each in config.overrides
        ]
        native_config.adapter_paths = [adapter.path for adapter in config.adapters]
        self._adapter_scales = AdapterScales(config.adapters)
        self._adapter_names = tuple(adapter.name for adapter in config.adapters)
        with _translated():
            self._engine = _native.Engine(native_config)

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        native = _native.Request()
        native.id = request_id
        native.prompt = _prompt(request)
        native.sampling = _sampling(request.sampling)
        native.adapters = [
            _native.AdapterScale(adapter, scale)
            for adapter, scale in self._adapter_scales.chosen(request.adapters)
        ]
        native.wants_embedding = request.wants_embedding
        native.max_tokens = _or_minus_one(request.max_tokens)
        native.stop = request.stop
        native.grammar = request.grammar
        native.draft = request.draft
        native.n_draft_max = _or_minus_one(request.n_draft_max)
        if request.thinking is not None:
            native.thinking = _thinking(request.thinking)
        native.said = request.said
        native.n_logprobs = _or_minus_one(request.n_logprobs)
        native.n_prompt_logprobs = _or_minus_one(request.n_prompt_logprobs)
        native.tenant = request.tenant
        native.cache_salt = request.cache_salt
        native.priority = request.priority
        native.deadline_ms = request.deadline_ms or 0.0
        native.is_deterministic = request.deterministic
        with _translated():
            self._engine.submit(native)

    def cancel(self, request_id: int) -> None:
        self._engine.cancel(request_id)

    def poll(self, timeout_s: float) -> list[Event]:
        with _translated():
            return [_event(event) for event in self._engine.poll(timeout_s * 1000)]

    def ask(self, call: Call[T]) -> T:
        with _translated():
            return cast(T, self._answer(call))

    def _answer(self, call: Call[Any]) -> object:  # noqa: PLR0911  # a table
        match call:
            case Tokenize(text=text, add_special=add_special, parse_special=parse_special):
                return self._engine.tokenize(text, add_special, parse_special)
            case Detokenize(tokens=tokens):
                return self._engine.detokenize(tokens)
            case Pieces(tokens=tokens):
                return self._engine.pieces(tokens)
            case Render(messages=messages, options=options):
                return self._engine.render(_chat_prompt(messages, options))
            case TokenizeChat(messages=messages, options=options):
                return self._engine.tokenize_chat(_chat_prompt(messages, options))
            case TokenizeSegments(segments=segments):
                return self._engine.tokenize_segments(_segment_prompt(segments))
            case GetInfo():
                return self._info()
            case GetStats():
                return msgspec.convert(self._engine.stats(), EngineStats, from_attributes=True)
            case ScaleAdapters(scales=scales):
                return self._adapter_scales.update(scales)
        raise InvalidRequestError(f"the engine does not know the call {type(call).__name__}")

    def _info(self) -> ModelInfo:
        info = msgspec.convert(self._engine.info(), ModelInfo, from_attributes=True)
        info = msgspec.structs.replace(info, adapters=self._adapter_names)
        build = (_native.vendor, *_native.cpu_features)
        return msgspec.structs.replace(info, fingerprint=fingerprint(info, build))

    def close(self) -> None:
        self._engine.stop()


class LocalEngine(StreamEngine):
    """An `Engine` in this process, for the library API and tests.

    An aborting assertion of the vendored library ends this process with it; a server runs
    engines in processes of their own.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(NativeCore(config))


def choose_kernels(wanted: str) -> KernelChoice:
    """The kernels that an engine of this process computes with; proves them in a child process.

    wanted: as in `EngineConfig.kernels`. Raises InvalidRequestError for a name that none have.
    """
    with _translated():
        choice = _native.choose_kernels(wanted)
    return msgspec.convert(choice, KernelChoice, from_attributes=True)


def report_cpu(wanted: str) -> CpuReport:
    """What this CPU can do, which kernels can be used here, and which are. `wanted`: as above."""
    facts = {
        "choice": choose_kernels(wanted),
        "ladder": _native.kernel_ladder(),
        "features": _native.list_cpu_features(),
    }
    return msgspec.convert(facts, CpuReport, from_attributes=True)


def quantize(job: QuantizeJob) -> None:
    """Write a model with smaller weights; may take minutes. Raises PyserveError.

    An aborting assertion of the vendored library ends this process with it.
    """
    with _translated():
        _native.quantize_model(
            job.path_in,
            job.path_out,
            type=job.type,
            n_threads=job.n_threads,
            allow_requantize=job.allow_requantize,
        )


class _translated:
    """Turns the extension module's exception into the PyserveError of the same code."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _native.EngineError):
            raise _from_native(error) from None


def _from_native(error: _native.EngineError) -> PyserveError:
    code, message, param, details = error.args
    return from_info(ErrorInfo(code=code, message=message, param=param, details=details))


def _segment_prompt(segments: list[Segment]) -> _native.SegmentPrompt:
    return _native.SegmentPrompt([(segment.text, segment.is_input) for segment in segments])


def _prompt(
    request: GenerateRequest,
) -> _native.ChatPrompt | _native.TextPrompt | _native.SegmentPrompt | _native.TokenPrompt:
    if request.messages is not None:
        return _chat_prompt(request.messages, request.template)
    if request.prompt is not None:
        return _native.TextPrompt(request.prompt)
    if request.segments is not None:
        return _segment_prompt(request.segments)
    if request.tokens is not None:
        return _native.TokenPrompt(request.tokens)
    raise InvalidRequestError(
        "one of messages, prompt, segments and tokens is required", param="prompt"
    )


def _chat_prompt(
    messages: list[dict[str, Any]], options: TemplateOptions | None
) -> _native.ChatPrompt:
    given = [_JSON.encode(messages).decode(), "", ""]
    if options is not None:
        given[1] = _JSON.encode(options.tools).decode() if options.tools else ""
        given[2] = _JSON.encode(options.variables).decode() if options.variables else ""
    return _native.ChatPrompt(*given)


def _or_minus_one(value: int | None) -> int:
    return -1 if value is None else value


def _sampling(params: SamplingParams) -> _native.SamplingParams:
    native = _native.SamplingParams()
    for name in params.__struct_fields__:
        value = getattr(params, name)
        setattr(native, name, list(value.items()) if name == "logit_bias" else value)
    return native


def _thinking(limit: ThinkingLimit) -> _native.ThinkingLimit:
    native = _native.ThinkingLimit()
    for name in limit.__struct_fields__:
        setattr(native, name, getattr(limit, name))
    return native


def _event(event: _native.Event | tuple[int, str, list[int]]) -> Event:
    """A tuple is a delta that is text alone: id, text, tokens."""
    if isinstance(event, tuple):
        request_id, text, tokens = event
        return Step(
            request_id=request_id, delta=Delta(text=text, n_tokens=len(tokens), tokens=tokens)
        )
    body = event.body
    if isinstance(body, _native.DeltaEvent):
        return Step(request_id=event.id, delta=_delta(body))
    if isinstance(body, _native.AcceptedEvent):
        return Accepted(request_id=event.id, n_prompt_tokens=body.n_prompt_tokens)
    error = ErrorInfo(
        code=body.code, message=body.message, param=body.param or None, details=body.details
    )
    return Failed(request_id=event.id, error=error)


def _delta(body: _native.DeltaEvent) -> Delta:
    return Delta(
        text=body.text,
        n_tokens=body.n_tokens,
        tokens=body.tokens,
        logprobs=_logprobs(body.logprobs),
        prompt_logprobs=_logprobs(body.prompt_logprobs),
        embedding=body.embedding or None,
        finish=None if body.finish is None else _finish(body.finish),
    )


def _logprobs(items: list[_native.TokenLogprob]) -> list[TokenLogprob] | None:
    return msgspec.convert(items, list[TokenLogprob], from_attributes=True) or None


def _finish(finish: _native.Finish) -> Finish:
    return Finish(
        reason=finish.reason,
        usage=msgspec.convert(finish, Usage, from_attributes=True),
        timings=msgspec.convert(finish, Timings, from_attributes=True),
        stop_string=finish.stop_string,
    )
