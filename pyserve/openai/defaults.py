"""Values that a model's configuration gives to what a request leaves open."""

from __future__ import annotations

from typing import Any, TypeVar

from pyserve.models.profile import ModelProfile
from pyserve.schemas.common import MAX_CHOICES, RequestModel, as_list
from pyserve.schemas.constraints import ConstraintFields
from pyserve.schemas.sampling import SamplingFields

# Names of one thing: a default fills the first of them that a schema has, if none is set.
SAME_THING = (
    ("max_completion_tokens", "max_output_tokens", "max_tokens", "n_predict"),
    ("repeat_penalty", "repetition_penalty"),
)

Body = TypeVar("Body", bound=SamplingFields)


def with_defaults(body: Body, profile: ModelProfile) -> Body:
    """`body` with the defaults of a model for the fields it does not set, and its stop strings.

    The values were checked when the configuration was read; those that the endpoint does not have
    are left out.
    """
    fields = type(body).model_fields
    update: dict[str, Any] = {}
    for name, value in profile.defaults.items():
        names = next((same for same in SAME_THING if name in same), (name,))
        here = [same for same in names if same in fields]
        if here and all(getattr(body, same) is None for same in here) and _fits(body, name, value):
            update[here[0]] = value
    if profile.stop:
        own = [] if body.stop is None else as_list(body.stop)
        update["stop"] = list(dict.fromkeys([*own, *profile.stop]))
    return body.model_copy(update=update) if update else body


def _fits(body: RequestModel, name: str, value: Any) -> bool:
    """Whether a default does not contradict what the request says."""
    if name == "grammar":
        return all(getattr(body, field, None) is None for field in ConstraintFields.model_fields)
    if name == "n":
        n_prompts = len(getattr(body, "prompts", getattr(body, "inputs", [0])))
        return getattr(body, "best_of", None) is None and n_prompts * int(value) <= MAX_CHOICES
    if name == "echo":
        return getattr(body, "suffix", None) is None
    return True
