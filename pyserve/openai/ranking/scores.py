"""Scores of pairs of texts: which engine requests they take, and what these have found.

A model with a ranking head gives a number for each pair. Others say in one token whether the second
text answers the first one: the score is the probability of yes against no.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pyserve.engine.protocol import Engine, GenerateRequest, ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.adapters import request_adapters
from pyserve.openai.answer import Output
from pyserve.openai.embeddings import unpacked
from pyserve.openai.prompt_cut import limiting_cut
from pyserve.openai.ranking.prompts import (
    Cut,
    MakePrompt,
    PairPrompts,
    chat_pairs,
    joined_pairs,
    rank_template,
    template_pairs,
)
from pyserve.openai.scheduling import scheduling
from pyserve.openai.scoring import Scoring, answer_texts, check_generates, plain_tokens
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.pairs import PairFields

CHAT_ANSWERS = ("Yes", "No")
TEMPLATE_ANSWERS = ("yes", "no")

Pairs = Sequence[tuple[str, str]]


class PairScores(Protocol):
    """Pairs that are scored by `requests`.

    n_prompt_tokens: of all pairs. cut_params: the fields of the texts that were cut.
    """

    requests: list[GenerateRequest]
    n_prompt_tokens: int
    cut_params: list[str]

    def logits(self, outputs: Sequence[Output]) -> list[float]:
        """The log-odds of each pair, in order; one output per request."""
        ...


def pair_scores(
    engine: Engine,
    pairs: Pairs,
    body: PairFields,
    cut: Cut,
    *,
    param: str,
    asks_chat: bool = False,
    profile: ModelProfile = PLAIN,
) -> PairScores:
    """How the engine's model scores pairs.

    param: the field of the list of second texts. asks_chat: by a chat, also where the model has
    another way. Raises InvalidRequestError for a model that cannot, ContextLengthExceededError.
    """
    info = engine.info()
    lora: LoraChoices | None = getattr(body, "lora", None)
    rest = {"adapters": request_adapters(lora, info), **scheduling(body)}
    n_ctx = min(info.n_ctx, getattr(body, "context_limit", None) or info.n_ctx)
    source = rank_template(info)
    if info.n_ranks > 0:
        if asks_chat:
            message = "method: the model ranks texts by its head: it cannot generate any"
            raise InvalidRequestError(message, param="method")
        make = template_pairs(engine, source) if source else joined_pairs(engine, info)
        n_most = min(info.n_pooled or n_ctx, n_ctx)
        prompts = PairPrompts(engine, make, *_limits(body, n_most, cut))
        return HeadScores(prompts, pairs, param, info, rest)
    check_generates(info)
    make, answers = _asked(engine, source, profile, asks_chat)
    n_most = n_ctx - max(len(each) for each in answers)
    prompts = PairPrompts(engine, make, *_limits(body, n_most, cut))
    return AnswerScores(prompts, pairs, param, info, rest, answers)


def _limits(body: PairFields, n_most: int, cut: Cut) -> tuple[int, Cut]:
    """The most tokens of a prompt, and what may be cut for that."""
    wanted = limiting_cut(body, n_most)
    return (n_most, cut) if wanted is None else (wanted, replace(cut, to_fit=True))


def _asked(
    engine: Engine, source: str, profile: ModelProfile, asks_chat: bool
) -> tuple[MakePrompt, list[list[int]]]:
    """The prompts of a model that answers yes or no, and the tokens of both."""
    if source and not asks_chat:
        return template_pairs(engine, source), plain_tokens(engine, TEMPLATE_ANSWERS)
    return chat_pairs(engine, profile), answer_texts(engine, CHAT_ANSWERS)


class HeadScores:
    """Implements `PairScores` by the numbers of a ranking head."""

    def __init__(
        self, prompts: PairPrompts, pairs: Pairs, param: str, info: ModelInfo, rest: dict[str, Any]
    ) -> None:
        self._logit = head_logit(info)
        self.requests = [
            GenerateRequest(
                tokens=prompts.prompt(one, two, f"{param}.{i}"), wants_ranks=True, **rest
            )
            for i, (one, two) in enumerate(pairs)
        ]
        self.n_prompt_tokens = sum(len(request.tokens or ()) for request in self.requests)
        self.cut_params = prompts.cut_params

    def logits(self, outputs: Sequence[Output]) -> list[float]:
        return [self._logit(unpacked(output.embedding)) for output in outputs]


class AnswerScores:
    """Implements `PairScores` by the probabilities of two answers. answers: the tokens of both."""

    def __init__(
        self,
        prompts: PairPrompts,
        pairs: Pairs,
        param: str,
        info: ModelInfo,
        rest: dict[str, Any],
        answers: Sequence[list[int]],
    ) -> None:
        made = [prompts.prompt(one, two, f"{param}.{i}") for i, (one, two) in enumerate(pairs)]
        self._scorings = [
            Scoring(prompt, answers, info, ("answers", f"{param}.{i}"), **rest)
            for i, prompt in enumerate(made)
        ]
        self.requests = [each for scoring in self._scorings for each in scoring.requests]
        self.n_prompt_tokens = sum(len(prompt) for prompt in made)
        self.cut_params = prompts.cut_params

    def logits(self, outputs: Sequence[Output]) -> list[float]:
        left = iter(outputs)
        logits = []
        for scoring in self._scorings:
            own = list(itertools.islice(left, len(scoring.requests)))
            yes, no = scoring.logprobs(own)
            logits.append(yes - no)
        return logits


def head_logit(info: ModelInfo) -> Callable[[Sequence[float]], float]:
    """What the numbers of a ranking head say of a pair. Raises InvalidRequestError: nothing."""
    if info.n_ranks == 1:
        return lambda numbers: numbers[0]
    labels = [label.lower() for label in info.rank_labels]
    if sorted(labels) == ["no", "yes"]:
        yes = labels.index("yes")
        return lambda numbers: numbers[yes] - numbers[1 - yes]
    named = f" ({', '.join(info.rank_labels)})"[:200] if labels else ""
    message = f"the model classifies texts into {info.n_ranks} labels{named}, it does not rank them"
    raise InvalidRequestError(message, param="model")


def sigmoid(logit: float) -> float:
    """The probability of log-odds."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def shown_scores(logits: Sequence[float], *, raw: bool) -> list[float]:
    """Scores as a client asks for them."""
    return list(logits) if raw else [sigmoid(logit) for logit in logits]
