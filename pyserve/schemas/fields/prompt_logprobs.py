"""`prompt_logprobs`: vLLM's field for the log-probabilities of a prompt's tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pyserve.schemas.common import invalid
from pyserve.schemas.fields.sampling import StreamFields

MAX_PROMPT_LOGPROBS = 20
MAX_SCORED_TOKENS = 2**18
MAX_SCORED_BYTES = 2**20
FEW_ALTERNATIVES = 5  # with more of them, fewer tokens are scored


class PromptLogprobFields(StreamFields):
    """prompt_logprobs: so many alternatives of each token of the prompt, which are not streamed."""

    prompt_logprobs: Annotated[int, Field(ge=0, le=MAX_PROMPT_LOGPROBS)] | None = None

    @model_validator(mode="after")
    def _prompt_logprobs_are_not_streamed(self) -> PromptLogprobFields:
        if self.prompt_logprobs is not None and self.stream:
            raise invalid(
                "invalid_value", "cannot be combined with stream: true", "prompt_logprobs"
            )
        return self


def check_scored_size(n_tokens: int, n_bytes: int, n_alternatives: int, param: str) -> None:
    """Bounds scored prompts: the response has each token's alternatives, and is held as a whole.

    n_bytes: of the texts, whose tokens are not counted yet.
    """
    share = (FEW_ALTERNATIVES + 1) / (max(n_alternatives, FEW_ALTERNATIVES) + 1)
    for n, unit, n_most in (
        (n_tokens, "tokens", int(MAX_SCORED_TOKENS * share)),
        (n_bytes, "bytes of text", int(MAX_SCORED_BYTES * share)),
    ):
        if n > n_most:
            raise invalid("invalid_value", f"asks to score {n} {unit}, at most {n_most}", param)
