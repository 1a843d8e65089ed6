"""POST /v1/classify: how probable each label of a model's head is for a text, as vLLM has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from pyserve.engine.protocol import GenerateRequest, ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.openai.adapters import request_adapters
from pyserve.openai.answer import Head, Output, new_head
from pyserve.openai.embeddings import unpacked
from pyserve.openai.ranking.scores import sigmoid
from pyserve.openai.sampling import check_tokens
from pyserve.openai.scheduling import scheduling
from pyserve.schemas.classify import ClassifyRequest


class Classification(msgspec.Struct, frozen=True):
    """One input. label: the likeliest. probs: of all labels; with `use_activation: false` logits.

    A head with one number has one label, with its own probability.
    """

    index: int
    label: str
    probs: list[float]
    num_classes: int


class ClassifyUsage(msgspec.Struct, frozen=True):
    """Token counts of all inputs."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class Classified(Head, frozen=True, kw_only=True):
    """The classes, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[Classification]
    usage: ClassifyUsage


class ClassifyAnswer:
    """Implements `Answer` for a request to classify.

    tokenize: with the tokens that stand around a text. Raises InvalidRequestError for a model
    without a head for that, and a token id or an adapter that the model does not have.
    """

    prompt_param = "input"
    grammar_param = ""

    def __init__(
        self,
        body: ClassifyRequest,
        model: str,
        info: ModelInfo,
        tokenize: Callable[[str], list[int]],
    ) -> None:
        if info.n_ranks == 0:
            message = "the model has no head that classifies texts"
            raise InvalidRequestError(message, param="model")
        self._body = body
        self._info = info
        self._head = new_head("classify", model, info)
        rest = {"adapters": request_adapters(body.lora, info), **scheduling(body)}
        self.requests = []
        for value in body.inputs:
            tokens = tokenize(value) if isinstance(value, str) else value
            check_tokens(tokens, info, "input")
            self.requests.append(GenerateRequest(tokens=tokens, wants_ranks=True, **rest))

    def response(self, outputs: Sequence[Output]) -> Classified:
        data = [self._classified(i, unpacked(each.embedding)) for i, each in enumerate(outputs)]
        n_tokens = sum(output.finish.usage.n_prompt_tokens for output in outputs)
        return Classified(
            **msgspec.structs.asdict(self._head),
            data=data,
            usage=ClassifyUsage(n_tokens, n_tokens),
        )

    def _classified(self, index: int, logits: list[float]) -> Classification:
        best = max(range(len(logits)), key=logits.__getitem__)
        labels = self._info.rank_labels
        label = labels[best] if len(labels) == len(logits) else f"LABEL_{best}"
        shown = logits if self._body.wants_raw else probabilities(logits)
        return Classification(index, label, shown, len(logits))


def probabilities(logits: Sequence[float]) -> list[float]:
    """Of labels that exclude each other; a single one is there or not."""
    if len(logits) == 1:
        return [sigmoid(logits[0])]
    most = max(logits)
    weights = [math.exp(logit - most) for logit in logits]
    return [weight / sum(weights) for weight in weights]
