"""The native engine in this process. The only file that knows the extension module."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import msgspec

import pyserve
from pyserve import _native
from pyserve.engine.adapters import AdapterScales
from pyserve.engine.calls import (
    Askable,
    Call,
    ClearPrefixes,
    Detokenize,
    GetInfo,
    GetStats,
    Messages,
    Pieces,
    Render,
    RenderSource,
    ScaleAdapters,
    Tokenize,
    TokenizeChat,
    TokenizeSegments,
)
from pyserve.engine.config import EngineConfig
from pyserve.engine.fingerprint import fingerprint
from pyserve.engine.kernels import CpuReport, KernelChoice
from pyserve.engine.markers import SHOWN_TOKENS, shown_marks
from pyserve.engine.prefix_changes import PrefixChanges
from pyserve.engine.protocol import (
    Delta,
    EngineStats,
    Event,
    GenerateRequest,
    ModelInfo,
    Segment,
    Step,
    TemplateOptions,
)
from pyserve.engine.quantize_job import QuantizeJob
from pyserve.engine.sandbox import Job, Sandbox
from pyserve.engine.streams.hub import StreamEngine
from pyserve.errors import ErrorInfo, InvalidRequestError, from_info
from pyserve.gguf.texts import CHAT_TEMPLATE, find_texts
from pyserve.process.memory import resident_bytes

_EVENTS = {kind.__struct_config__.tag: kind for kind in get_args(Event)}
_JSON = msgspec.json.Encoder()

T = TypeVar("T")


class NativeCore(Askable):
    """An `EngineCore` over the extension module. Loads the model when it is made.

    Raises ModelLoadError if the file cannot be served. No method holds the GIL while it waits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._adapter_scales = AdapterScales(config.adapters)
        self._adapter_names = tuple(adapter.name for adapter in config.adapters)
        self._adapter_models = [each.model_id or each.name for each in config.adapters]
        self._sandbox = Sandbox()
        with _translated():
            self._engine = _native.Engine(
                config,
                adapter_paths=[adapter.path for adapter in config.adapters],
                shown_tokens=[*SHOWN_TOKENS, *config.shown_tokens, *_template_marks(config)],
                prefix_build=" ".join((pyserve.__version__, *_build())),
                tells_blocks=bool(config.kv_events),
            )

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        with _translated():
            self._engine.submit(
                request,
                id=request_id,
                prompt=_prompt(request),
                adapters=self._adapter_scales.chosen(request.adapters),
            )

    def cancel(self, request_id: int) -> None:
        self._engine.cancel(request_id)

    def poll(self, timeout_s: float) -> list[Event]:
        with _translated():
            return [_event(event) for event in self._engine.poll(timeout_s * 1000)]

    def take_prefix_changes(self, timeout_s: float) -> PrefixChanges:
        """As in `PrefixTeller`. Only with `kv_events`."""
        with _translated():
            changes = self._engine.take_prefix_changes(timeout_s * 1000)
        return msgspec.convert(changes, PrefixChanges)

    def ask(self, call: Call[T]) -> T:
        with _translated():
            return cast(T, self._answer(call))

    def _answer(self, call: Call[Any]) -> object:  # noqa: C901, PLR0911  # a table
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
            case RenderSource(source=source, messages=messages, options=options):
                return self._rendered(source, messages, options)
            case GetInfo():
                return self._info()
            case GetStats():
                return self._stats()
            case ScaleAdapters(scales=scales):
                return self._adapter_scales.update(scales)
            case ClearPrefixes():
                self._engine.clear_prefixes()
                return None
        raise InvalidRequestError(f"the engine does not know the call {type(call).__name__}")

    def _rendered(
        self, source: str, messages: Messages, options: TemplateOptions | None
    ) -> list[Segment]:
        info = self._info()
        controls = self._engine.control_texts()
        texts = _chat_texts(messages, options)
        return self._sandbox.run(Job(source, info.bos_token, info.eos_token, controls, texts))

    def _info(self) -> ModelInfo:
        facts = self._engine.info() | {"adapters": self._adapter_names}
        info = msgspec.convert(facts, ModelInfo)
        return msgspec.structs.replace(info, fingerprint=fingerprint(info, _build()))

    def _stats(self) -> EngineStats:
        facts = self._engine.stats() | {"rss_bytes": resident_bytes()}
        for name in ("running_adapters", "waiting_adapters"):
            facts[name] = [self._adapter_models[index] for index in facts[name]]
        return msgspec.convert(facts, EngineStats)

    def close(self) -> None:
        self._engine.stop()
        self._sandbox.close()


class LocalEngine(StreamEngine):
    """An `Engine` in this process, for the library API and tests.

    An aborting assertion of the vendored library ends this process with it; a server runs
    engines in processes of their own.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(NativeCore(config))


def _build() -> tuple[str, ...]:
    """The native module: its sources, and the features of the CPU that it uses."""
    return (_native.vendor, *_native.cpu_features)


def _template_marks(config: EngineConfig) -> list[str]:
    """What the templates that the engine may use set answers' parts apart with."""
    own = find_texts(Path(config.model_path), CHAT_TEMPLATE)
    changed = [override.value for override in config.overrides if override.key == CHAT_TEMPLATE]
    texts = [*own, *map(str, changed), config.chat_template]
    return [mark for text in texts for mark in shown_marks(text)]


def rendered(job: Job) -> list[Segment]:
    """What the template of a client makes of a conversation. It may end this process."""
    with _translated():
        template = _native.PromptTemplate(job.source, job.bos, job.eos, job.controls)
        segments = template.render(_native.ChatPrompt(*job.texts))
    return [Segment(text, is_input) for text, is_input in segments]


def choose_kernels(wanted: str) -> KernelChoice:
    """The kernels that an engine of this process computes with; proves them in a child process.

    wanted: as in `EngineConfig.kernels`. Raises InvalidRequestError for a name that none have.
    """
    with _translated():
        return msgspec.convert(_native.choose_kernels(wanted), KernelChoice)


def report_cpu(wanted: str) -> CpuReport:
    """What this CPU can do, which kernels can be used here, and which are. `wanted`: as above."""
    facts = {
        "level": _native.level,
        "choice": choose_kernels(wanted),
        "ladder": _native.kernel_ladder(),
        "features": _native.list_cpu_features(),
    }
    return msgspec.convert(facts, CpuReport)


def quantize(job: QuantizeJob) -> None:
    """Write a model with smaller weights; may take minutes. Raises PyserveError.

    An aborting assertion of the vendored library ends this process with it.
    """
    with _translated():
        _native.quantize_model(job.path_in, job.path_out, job)


class _translated:
    """Turns the extension module's exception into the PyserveError of the same code."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _native.EngineError):
            raise from_info(msgspec.convert(error.args[0], ErrorInfo)) from None


def _segment_prompt(segments: list[Segment]) -> _native.SegmentPrompt:
    return _native.SegmentPrompt([(segment.text, segment.is_input) for segment in segments])


def _prompt(
    request: GenerateRequest,
) -> _native.ChatPrompt | _native.TextPrompt | _native.SegmentPrompt | _native.TokenPrompt:
    if request.messages is not None:
        return _chat_prompt(request.messages, request.template)
    if request.prompt is not None:
        if request.parse_special:
            return _native.SegmentPrompt([(request.prompt, False)])
        return _native.TextPrompt(request.prompt)
    if request.segments is not None:
        return _segment_prompt(request.segments)
    if request.tokens is not None:
        return _native.TokenPrompt(request.tokens)
    raise InvalidRequestError(
        "one of messages, prompt, segments and tokens is required", param="prompt"
    )


def _chat_prompt(messages: Messages, options: TemplateOptions | None) -> _native.ChatPrompt:
    return _native.ChatPrompt(*_chat_texts(messages, options))


def _chat_texts(messages: Messages, options: TemplateOptions | None) -> list[str]:
    """Messages, tools, variables and documents as JSON, "" = none."""
    more = options or TemplateOptions()
    given = (more.tools, more.variables, more.documents)
    return [_json(messages), *(_json(each) if each else "" for each in given)]


def _json(value: object) -> str:
    return _JSON.encode(value).decode()


def _event(event: dict[str, Any] | tuple[int, str, list[int]]) -> Event:
    """A tuple is a delta that is text alone: id, text, tokens."""
    if isinstance(event, tuple):
        request_id, text, tokens = event
        return Step(
            request_id=request_id, delta=Delta(text=text, n_tokens=len(tokens), tokens=tokens)
        )
    return cast(Event, msgspec.convert(event, _EVENTS[event["type"]]))
