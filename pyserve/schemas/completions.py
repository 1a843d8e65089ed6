"""Request body of POST /v1/completions."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import (
    MAX_PROMPTS,
    MaxTokens,
    Texts,
    TokenId,
    check_n_choices,
    check_text_size,
    invalid,
    token_limit,
)
from pyserve.schemas.fields.accepted import AcceptedFields
from pyserve.schemas.fields.constraints import ConstraintFields
from pyserve.schemas.fields.content import PredictionFields
from pyserve.schemas.fields.prompt_cut import PromptCutFields
from pyserve.schemas.fields.prompt_logprobs import PromptLogprobFields, check_scored_size
from pyserve.schemas.fields.reports import ReportFields
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.unsupported import Unsupported

MAX_PROMPT_TOKENS = 2**20
MAX_BEST_OF = 20
MAX_LOGPROBS = 5
DEFAULT_MAX_TOKENS = 16
TokenIds = Annotated[
    list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True)
]
TokenLists = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]


def prompt_tag(prompt: object) -> str | None:
    """The union tag of a prompt: texts, token ids or lists of ids, by the first element."""
    if isinstance(prompt, str):
        return "<text>"
    if not isinstance(prompt, list):
        return None
    first = prompt[0] if prompt else ""
    if isinstance(first, str):
        return "<texts>"
    return "<token_lists>" if isinstance(first, list) else "<tokens>"


Prompt = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[Texts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[TokenLists, Tag("<token_lists>")],
    Discriminator(
        prompt_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string, a list of strings, token ids or lists of token ids",
    ),
]


class CompletionRequest(
    PromptLogprobFields,
    PromptCutFields,
    ConstraintFields,
    SchedulingFields,
    PredictionFields,
    ReportFields,
    AcceptedFields,
):
    """Texts to continue, or to score. An absent prompt is an empty one.

    suffix: what follows the answer, for models that can fill in the middle. max_tokens 0 with echo
    and logprobs gives the log-probabilities of the prompt alone. n_predict is llama.cpp's name of
    max_tokens, and -1 is no limit. prediction is that of chat completions. parse_special: names of
    control tokens in texts are read as these tokens; absent: as the server is configured.
    """

    unsupported: ClassVar[Unsupported] = {
        "add_special_tokens": (True,),
    }

    prompt: Prompt | None = None
    n_predict: MaxTokens | None = None
    echo: bool | None = None
    suffix: str | None = None
    parse_special: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_BEST_OF)] | None = None

    @model_validator(mode="after")
    def _best_of_is_at_least_n(self) -> CompletionRequest:
        if self.best_of is None:
            return self
        n = self.n or 1
        if self.best_of < n:
            raise invalid("invalid_value", f"is {self.best_of}, less than n, {n}", "best_of")
        if self.stream and self.best_of > n:
            message = f"is {self.best_of}, more than n, {n}: such an answer cannot be streamed"
            raise invalid("invalid_value", message, "best_of")
        return self

    @model_validator(mode="after")
    def _suffix_stands_alone(self) -> CompletionRequest:
        if self.suffix and self.truncate_prompt_tokens is not None:
            message = "cannot be combined with truncate_prompt_tokens"
            raise invalid("invalid_value", message, "suffix")
        if self.suffix and self.echo:
            raise invalid("invalid_value", "cannot be combined with echo: true", "suffix")
        return self

    @model_validator(mode="after")
    def _size_is_bounded(self) -> CompletionRequest:
        param = "n" if self.best_of is None else "best_of"
        check_n_choices(self.n_prompts, self.n_candidates, param)
        n_behind = len((self.suffix or "").encode()) * self.n_prompts
        check_text_size(n_behind, "suffix")
        check_text_size(n_behind + sum(len(text.encode()) for text in self.texts), "prompt")
        return self

    @model_validator(mode="after")
    def _scoring_is_bounded(self) -> CompletionRequest:
        if self.n_prompt_logprobs is not None:
            n_tokens = sum(len(tokens) for tokens in self.token_lists) * self.n_candidates
            n_bytes = sum(len(text.encode()) for text in self.texts) * self.n_candidates
            check_scored_size(n_tokens, n_bytes, self.n_prompt_logprobs, "prompt")
        return self

    @property
    def n_max_tokens(self) -> int | None:
        """Most tokens of each answer; None: as many as fit."""
        return token_limit(self.max_tokens, self.n_predict, DEFAULT_MAX_TOKENS)

    @property
    def n_echo_logprobs(self) -> int | None:
        """Alternatives of each token of an echoed prompt; None: its tokens are not told."""
        return self.logprobs if self.echo else None

    @property
    def n_prompt_logprobs(self) -> int | None:
        """Most alternatives that are told of a token of the prompt; None: none are."""
        wanted = (self.n_echo_logprobs, self.prompt_logprobs)
        return max((n for n in wanted if n is not None), default=None)

    @property
    def n_candidates(self) -> int:
        """The number of answers to each prompt, of which the best n are shown."""
        return self.best_of or self.n or 1

    @property
    def n_prompts(self) -> int:
        return len(self.prompts)

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list: all texts, or all token ids."""
        return self.texts or self.token_lists

    @property
    def texts(self) -> list[str]:
        if self.prompt is None or isinstance(self.prompt, str):
            return [self.prompt or ""]
        return [prompt for prompt in self.prompt if isinstance(prompt, str)]

    @property
    def token_lists(self) -> list[list[int]]:
        if self.prompt is None or isinstance(self.prompt, str):
            return []
        tokens = [token for token in self.prompt if isinstance(token, int)]
        return [tokens] if tokens else [ids for ids in self.prompt if isinstance(ids, list)]
