"""`truncate_prompt_tokens`: prompts of which so many tokens are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyserve.engine.protocol import Engine, ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.schemas.fields.prompt_cut import FITTING, PromptCutFields


@dataclass(frozen=True)
class PromptCut:
    """What is kept of a prompt. at_begin: what is left out is its beginning."""

    n_tokens: int
    at_begin: bool = False

    def of(self, tokens: list[int]) -> list[int]:
        if len(tokens) <= self.n_tokens:
            return tokens
        n_over = len(tokens) - self.n_tokens
        return tokens[n_over:] if self.at_begin else tokens[: self.n_tokens]

    def of_text(self, engine: Engine, text: str) -> list[int]:
        """Those of a text; what the model wants around every text stays around it."""
        whole = engine.tokenize(text, add_special=True, parse_special=False)
        if len(whole) <= self.n_tokens:
            return whole
        bare = engine.tokenize(text, add_special=False, parse_special=False)
        n_before = next((i for i in range(2) if whole[i : i + len(bare)] == bare), 0)
        n_behind = max(len(whole) - len(bare) - n_before, 0)
        n_left = self.n_tokens - n_before - n_behind
        if n_left <= 0:
            return self.of(whole)
        end = len(whole) - n_behind
        kept = PromptCut(n_left, self.at_begin).of(whole[n_before:end])
        return [*whole[:n_before], *kept, *whole[end:]]


def answered_cut(body: PromptCutFields, n_ctx: int) -> PromptCut | None:
    """How a prompt is cut that has an answer, at its beginning unless it is said; None: it is not.

    Room for a token of the answer is left. Raises InvalidRequestError for more than `n_ctx` tokens.
    """
    cut = _cut(body, n_ctx, at_begin=body.truncation_side != "right")
    return None if cut is None else PromptCut(min(cut.n_tokens, n_ctx - 1), cut.at_begin)


def pooled_cut(body: PromptCutFields, info: ModelInfo, n_ctx: int | None) -> PromptCut | None:
    """The same for a prompt that becomes numbers, at its end unless it is said. n_ctx: wanted."""
    n_most = min(n_ctx or info.n_ctx, info.n_ctx)
    n_most = min(n_most, info.n_pooled or n_most)
    return _cut(body, n_most, at_begin=body.truncation_side == "left")


def cut_inputs(
    engine: Engine, inputs: Sequence[str | list[int]], cut: PromptCut
) -> list[list[int]]:
    """The tokens of texts and of lists of tokens, each cut."""
    return [cut.of_text(engine, each) if isinstance(each, str) else cut.of(each) for each in inputs]


def limiting_cut(body: PromptCutFields, n_most: int) -> int | None:
    """The most tokens of a prompt that is cut in another way; None: `n_most`, and nothing is."""
    cut = _cut(body, n_most, at_begin=False)
    return None if cut is None else cut.n_tokens


def _cut(body: PromptCutFields, n_most: int, *, at_begin: bool) -> PromptCut | None:
    n_tokens = body.truncate_prompt_tokens
    if n_tokens is None:
        return None
    if n_tokens > n_most:
        name = "truncate_prompt_tokens"
        message = f"{name} is {n_tokens:,}, a prompt has at most {n_most:,} tokens here"
        raise InvalidRequestError(message, param=name)
    return PromptCut(n_most if n_tokens == FITTING else n_tokens, at_begin)
