"""What `pyserve cluster deploy` wishes of the cluster, made of its arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve import __version__
from pyserve.cli.plan import plan_models
from pyserve.cluster.app import Wish
from pyserve.config import ENV_PREFIX, ServeConfig, option_info
from pyserve.errors import InvalidRequestError

# Beside what engines are started with: where and how models are found and loaded.
OF_REPLICAS = (
    "engine",
    "models_dir",
    "models_config_file",
    "lora",
    "model_alias",
    "default_model",
    "chat_template",
    "chat_template_file",
    "chat_template_kwargs",
    "override_kv",
    "load_timeout_s",
    "log_level",
    "log_format",
)


def is_of_replicas(name: str) -> bool:
    """Whether a setting is one of replicas; others are those of fronts."""
    return bool(option_info(name)["engine"]) or name in OF_REPLICAS


def version_of(wish: Wish) -> str:
    """Equal for wishes whose replicas would be alike: how many there are makes no difference."""
    alike = [__version__, wish.model_id, sorted(wish.settings.items()), wish.n_cpus, wish.n_bytes]
    return hashlib.sha256(msgspec.json.encode(alike)).hexdigest()[:16]


def plan_wishes(config: ServeConfig, models: Sequence[str], **wished: Any) -> list[Wish]:
    """One for each model, with these fields of `Wish`. Raises PyserveError with a text for users.

    A model that is missing on this machine is pulled, because its size decides where it has room.
    """
    wishes = []
    for name in models:
        one = config.model_copy(update={"models": [name]})
        specs = plan_models(one)
        if len(specs) != 1:
            raise InvalidRequestError(f"{name!r} is {len(specs)} models: name each of them")
        threads = max(specs[0].engine.n_threads, specs[0].engine.n_threads_batch)
        settings = _settings(config, name) | {
            f"{ENV_PREFIX}THREADS": str(specs[0].engine.n_threads),
            f"{ENV_PREFIX}THREADS_BATCH": str(specs[0].engine.n_threads_batch),
        }
        wishes.append(
            Wish(
                model_id=specs[0].id,
                settings=settings,
                n_cpus=threads,
                n_bytes=specs[0].n_bytes,
                **wished,
            )
        )
    return wishes


def _settings(config: ServeConfig, model: str) -> dict[str, str]:
    """What was set of engines; defaults are each node's own. Keys of fronts stay here."""
    environ = config.model_copy(update={"models": [model]}).to_environ()
    names = {"models"} | {name for name in config.model_fields_set if is_of_replicas(name)}
    return {
        variable: environ[variable]
        for variable in (ENV_PREFIX + name.upper() for name in names)
        if variable in environ
    }
