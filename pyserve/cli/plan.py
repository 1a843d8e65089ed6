"""Makes model specs for the supervisor from the settings; downloads models if need be."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pyserve.config import MAX_CTX, ServeConfig
from pyserve.engine.config import EngineConfig, Override
from pyserve.engine.overrides import override_values, parse_override
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.head import trained_context
from pyserve.models.files import no_pull, resolve_models
from pyserve.models.memory import predicted_bytes, roomy_context
from pyserve.models.model_file import ModelFile
from pyserve.process.memory import total_bytes
from pyserve.process.threads import usable_threads
from pyserve.supervisor.spec import ModelSpec

FAKE_MODEL = "fake"
NO_FILE = "/dev/null"
TRAINED_CONTEXT = -1  # LocalAI's context_size: all that the model was trained for
WORDS = {"all", "none"}  # of --preload


def plan_models(config: ServeConfig, *, may_pull: bool = True) -> list[ModelSpec]:
    """The models to serve; may pull one that is missing.

    Raises PyserveError with a text for the user.
    """
    n_usable = usable_threads()
    files = model_files(config, may_pull=may_pull)
    _check_names(config, files)
    engines = [engine_config(config, model, n_usable) for model in files]
    is_native = config.engine != "fake"
    if is_native:
        n_kept = sum(_is_kept(config, model, len(files)) for model in files)
        n_bytes = _most_bytes(config) // max(n_kept, 1)
        engines = [_with_context(engine, n_bytes) for engine in engines]
    return [
        ModelSpec(
            engine=engine,
            n_bytes=predicted_bytes(engine) if is_native else 0,
            is_preloaded=_is_preloaded(config, model, len(files)),
            is_pinned=_is_pinned(config, model),
            ttl_s=config.model_ttl,
            version=_version(model),
            profile=model.profile,
            limits=model.limits,
        )
        for model, engine in zip(files, engines, strict=True)
    ]


def _most_bytes(config: ServeConfig) -> int:
    """What all models together may take before any context is made larger: half of the memory.

    Nothing that changes while the server runs, so that a reload chooses the same.
    """
    limits = (total_bytes(), config.memory_limit_mib * 2**20)
    return min((limit for limit in limits if limit), default=0) // 2


def _with_context(engine: EngineConfig, n_bytes: int) -> EngineConfig:
    """The settings with a context, where they leave it open. n_bytes: for the model and its cache.

    What is wrong with a file is said when it is loaded.
    """
    if engine.n_ctx:
        return engine
    try:
        return msgspec.structs.replace(engine, n_ctx=roomy_context(engine, n_bytes))
    except (ModelLoadError, OSError, ValueError):
        return engine


def _is_kept(config: ServeConfig, model: ModelFile, n_models: int) -> bool:
    """Whether the model is loaded beside others at the start."""
    return _is_preloaded(config, model, n_models) or _is_pinned(config, model)


def _is_pinned(config: ServeConfig, model: ModelFile) -> bool:
    return model.is_pinned or model.id in config.pin


def _version(model: ModelFile) -> int:
    """A text that changes when one of the model's files does."""
    paths = [model.path, *(Path(adapter.path) for adapter in model.profile.adapters)]
    return max(path.stat().st_mtime_ns for path in paths)


def _check_names(config: ServeConfig, files: list[ModelFile]) -> None:
    known = {file.id for file in files}
    for option, names in (("--preload", set(config.preload) - WORDS), ("--pin", set(config.pin))):
        for name in sorted(names - known):
            raise InvalidRequestError(f"{option}: {name!r} is none of {', '.join(sorted(known))}")


def _is_preloaded(config: ServeConfig, model: ModelFile, n_models: int) -> bool:
    if config.preload:
        return "all" in config.preload or model.id in config.preload
    return bool(config.models) or n_models == 1


def replan_models(config: ServeConfig) -> list[ModelSpec]:
    """The models to serve after a reload: nothing is pulled."""
    return plan_models(config, may_pull=False)


def model_files(config: ServeConfig, *, may_pull: bool) -> list[ModelFile]:
    """The model files; the fake engine needs none and takes any names."""
    if config.engine == "fake":
        return [ModelFile(name, Path(NO_FILE)) for name in config.models or [FAKE_MODEL]]
    return resolve_models(config, pull=None if may_pull else no_pull)


def engine_config(config: ServeConfig, model: ModelFile, n_usable: int) -> EngineConfig:
    """Settings of one engine: the model's own configuration goes before the server's.

    n_usable: cores that may be used. A model gets no more threads than that, whatever its
    configuration says, because it may have been written for another machine.
    """
    settings = config.engine_settings()
    settings.setdefault("n_threads", n_usable)
    settings.setdefault("n_threads_batch", settings["n_threads"])
    general = EngineConfig(
        model_id=model.id,
        model_path=str(model.path),
        overrides=_overrides(config.override_kv),
        **({"n_ctx": model.ctx_size or 0} | settings),
    )
    own = dict(model.settings)
    if "n_threads" in own:
        own = {"n_threads_batch": own["n_threads"], **own}
    for name in own.keys() & {"n_threads", "n_threads_batch"}:
        own[name] = min(own[name], n_usable)
    if model.jinja is not None:
        own["chat_template"] = model.jinja.text
    engine = msgspec.structs.replace(general, **own)
    if engine.n_ctx == TRAINED_CONTEXT:
        n_ctx = trained_context(model.path, override_values(engine.overrides)) or 0
        return msgspec.structs.replace(engine, n_ctx=min(n_ctx, MAX_CTX))
    return engine


def _overrides(texts: list[str]) -> tuple[Override, ...]:
    try:
        return tuple(parse_override(text) for text in texts)
    except ValueError as error:
        raise InvalidRequestError(f"--override-kv: {error}") from error
