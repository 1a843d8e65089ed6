"""Routing: from a request's model name, the aliases and the defaults to a served model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pyserve.errors import InvalidRequestError, ModelNotFoundError

MAX_LISTED = 20
ANY_ENDPOINT = ""
LATEST = ":latest"  # the tag of a name of Ollama's that has none


@dataclass(frozen=True)
class Names:
    """The names under which models answer.

    ids: of the served models. aliases: pairs of a name, maybe with * and ?, and an id; the first
    that fits counts, those without * and ? before the others. defaults: the model of each
    endpoint for requests that name none; ANY_ENDPOINT for all others. adapted: those of the ids
    that are another one with a LoRA adapter; they answer only by their names.
    """

    ids: Sequence[str]
    aliases: Sequence[tuple[str, str]] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    adapted: Collection[str] = ()

    def find(self, name: str | None, *, with_patterns: bool = True) -> str | None:
        """The id that a name stands for; in any case, where that leaves no choice."""
        if not name:
            return None
        if name in self.ids:
            return name
        for alias, model_id in self.aliases:
            if alias == name and model_id in self.ids:
                return model_id
        for alias, model_id in self.aliases if with_patterns else ():
            if is_pattern(alias) and model_id in self.ids and fnmatchcase(name, alias):
                return model_id
        if name.lower().endswith(LATEST):
            return self.find(name[: -len(LATEST)], with_patterns=with_patterns)
        return self._in_any_case(name.lower())

    def _in_any_case(self, name: str) -> str | None:
        found = {model_id for model_id in self.ids if model_id.lower() == name}
        named = {model_id for alias, model_id in self.aliases if alias.lower() == name}
        found |= named.intersection(self.ids)
        return found.pop() if len(found) == 1 else None

    @property
    def only(self) -> str | None:
        """The id of the only model; None if there are several, or none."""
        ids = [model_id for model_id in self.ids if model_id not in self.adapted]
        return ids[0] if len(ids) == 1 else None

    def default(self, endpoint: str) -> str | None:
        """The default model of an endpoint, for requests that name none."""
        model_id = self.defaults.get(endpoint, self.defaults.get(ANY_ENDPOINT))
        return self.find(model_id)


def is_pattern(alias: str) -> bool:
    return "*" in alias or "?" in alias


def resolve(
    requested: str | None,
    bearer: str | None,
    names: Names,
    *,
    strict: bool = False,
    endpoint: str = ANY_ENDPOINT,
) -> str:
    """The id of the model that answers.

    requested: the name in the body, else in the path or query; None or empty when there is none.
    bearer: the bearer token, which may be a key; counts only if it names a model, and not by a
      pattern, which keys could fit.
    With exactly one model available, that one answers any name, unless `strict`.
    Raises ModelNotFoundError for an unknown name, InvalidRequestError when a name is needed.
    """
    if requested:
        found = names.find(requested)
    else:
        found = names.find(bearer, with_patterns=False) or names.default(endpoint)
    if found is not None:
        return found
    if names.only is not None and not (strict and requested):
        return names.only
    if requested or not names.ids:
        raise not_found(requested, names.ids)
    message = f"model: name one of the {len(names.ids)} models: {listed(names.ids)}"
    raise InvalidRequestError(message, param="model")


def not_found(name: str | None, available: Sequence[str]) -> ModelNotFoundError:
    """The error for a name that is not served; its message lists what is."""
    if not available:
        return ModelNotFoundError("no model is served", param="model")
    message = f"model {name!r} not found; available: {listed(available)}"
    return ModelNotFoundError(message, param="model")


def listed(available: Sequence[str]) -> str:
    """The names for a message, cut after MAX_LISTED."""
    names = ", ".join(available[:MAX_LISTED])
    return names if len(available) <= MAX_LISTED else f"{names}, ..."


def split_pairs(texts: Iterable[str]) -> list[tuple[str, str]]:
    """`NAME=MODEL` texts as pairs; a text without = is a model for any name, with name ""."""
    pairs = []
    for text in texts:
        name, sign, model = text.partition("=")
        pairs.append((name.strip(), model.strip()) if sign else ("", name.strip()))
    return pairs
