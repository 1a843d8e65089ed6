"""Which of the served models answers a request."""

from __future__ import annotations

from collections.abc import Sequence

from pyserve.errors import InvalidRequestError, ModelNotFoundError

MAX_LISTED = 20


def resolve(
    requested: str | None, bearer: str | None, available: Sequence[str], *, strict: bool = False
) -> str:
    """The id of the model that answers.

    requested: the name in the body, else in the path or query; None or empty when there is none.
    bearer: the bearer token when no key is configured; counts only if it names a model.
    With exactly one model available, that one answers any name, unless `strict`.
    Raises ModelNotFoundError for an unknown name, InvalidRequestError when a name is needed.
    """
    name = requested or (bearer if bearer in available else None)
    if name in available:
        return str(name)
    if len(available) == 1 and not (strict and name):
        return available[0]
    if name or not available:
        raise not_found(name, available)
    message = f"model: name one of the {len(available)} models: {listed(available)}"
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
