"""Model names: ids, aliases and adapters, limited to those that the request's API key may use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask import g

from pyserve.backend.protocol import ModelStatus, with_adapters
from pyserve.config import ServeConfig
from pyserve.models.routing import Names, split_pairs
from pyserve.web.request.access import current_key, is_known
from pyserve.web.request.services import services


def model_names(config: ServeConfig, statuses: Sequence[ModelStatus]) -> Names:
    """The names of the served models: ids, the aliases of options, then those of model files."""
    aliases = split_pairs(config.model_alias)
    for status in statuses:
        aliases += [(alias, status.id) for alias in status.profile.aliases]
    defaults: dict[str, str] = {}
    for status in reversed(statuses):
        defaults |= dict.fromkeys(status.profile.usecases or (), status.id)
    defaults |= dict(split_pairs(config.default_model))
    adapted = {status.id for status in statuses if status.parent}
    return Names([status.id for status in statuses], aliases, defaults, adapted)


def served_models() -> list[ModelStatus]:
    """All models, each followed by its variants with one LoRA adapter."""
    return with_adapters(services().backend.models())


def usable_models(served: Sequence[ModelStatus] | None = None) -> list[ModelStatus]:
    """The served models that the current request may use, with their adapter variants."""
    statuses = served_models() if served is None else served
    return [status for status in statuses if may_use(status.id) or may_use(status.engine_id)]


def may_use(model_id: str) -> bool:
    """Whether the current request's key may use and see a model."""
    key = current_key()
    if key is None or key.models is None:
        return is_known()
    if "allowed_models" not in g:
        g.allowed_models = _ids_of(key.models)
    return model_id in g.allowed_models


def _ids_of(names: Iterable[str]) -> set[str | None]:
    """The ids of the models that an API key lists, by id or alias."""
    parts = services()
    known = model_names(parts.config, served_models())
    return {known.find(name) for name in names}
