"""Log-probabilities of texts after a prompt, without sampling.

One engine request for each token: it is the only one allowed after the prompt and what precedes it.
So the engine computes the prompt once and shares it, as it does for all prefixes, and what several
texts begin with is asked once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pyserve.engine.protocol import Engine, GenerateRequest, ModelInfo, SamplingParams
from pyserve.errors import ContextLengthExceededError, InvalidRequestError
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.answer import Output, TokenUsage, token_usage
from pyserve.openai.chat.continuation import answer_text, prompt_head
from pyserve.openai.chat.conversation import Message, Offer, conversation
from pyserve.openai.logprobs import LOWEST_LOGPROB
from pyserve.schemas.fields.reasoning import ReasoningFields

MAX_SCORED_TOKENS = 1024
MAX_PROMPT_TOKENS = 2**22  # of all requests: each holds the prompt

Beginning = tuple[int, ...]


class Scoring:
    """The requests that score `texts` after `prompt`, all of them tokens.

    params: the fields of errors about texts and prompt. rest: more fields of the requests.
    Raises InvalidRequestError, ContextLengthExceededError.
    """

    def __init__(
        self,
        prompt: list[int],
        texts: Sequence[Sequence[int]],
        info: ModelInfo,
        params: tuple[str, str],
        **rest: Any,
    ) -> None:
        check_generates(info)
        self._texts = [tuple(text) for text in texts]
        steps = _steps(self._texts)
        _check_sizes(prompt, self._texts, steps, info, params)
        self._index: dict[Beginning, int] = {}
        self.requests: list[GenerateRequest] = []
        for before, following in steps.items():
            tokens = [*prompt, *before]
            for token in following:
                self._index[(*before, token)] = len(self.requests)
                self.requests.append(
                    GenerateRequest(
                        tokens=tokens,
                        sampling=SamplingParams(temperature=0.0, allowed_token_ids=[token]),
                        max_tokens=1,
                        n_logprobs=0,
                        **rest,
                    )
                )

    def logprobs(self, outputs: Sequence[Output]) -> list[float]:
        """The log-probability of each text; one output per request."""
        each = [max(output.logprobs[0].logprob, LOWEST_LOGPROB) for output in outputs]
        return [
            sum(each[self._index[text[:n]]] for n in range(1, len(text) + 1))
            for text in self._texts
        ]

    def lengths(self) -> list[int]:
        """The number of tokens of each text."""
        return [len(text) for text in self._texts]

    def usage(self, outputs: Sequence[Output]) -> TokenUsage:
        """The prompt once, and the tokens that were scored after it."""
        return token_usage([output.finish for output in outputs], len(outputs))


def softmax(logprobs: Sequence[float]) -> list[float]:
    """Probabilities in proportion to those of `logprobs`, together 1. REQUIRES: finite ones."""
    best = max(logprobs)
    shares = [math.exp(one - best) for one in logprobs]
    total = sum(shares)
    return [share / total for share in shares]


def check_generates(info: ModelInfo) -> None:
    """Raise InvalidRequestError for a model without probabilities of tokens."""
    if not info.can_generate:
        makes = "ranks texts" if info.n_ranks > 0 else "only makes embeddings"
        message = f"the model {makes}: it has no probabilities of texts"
        raise InvalidRequestError(message, param="model")


def chat_prompt(
    engine: Engine,
    messages: list[Message],
    profile: ModelProfile = PLAIN,
    variables: dict[str, Any] | None = None,
) -> list[int]:
    """The tokens of a conversation up to where the text of its answer begins, past reasoning.

    variables: more of the chat template.
    """
    fields = ReasoningFields(chat_template_kwargs=variables or None)
    made = conversation(engine, messages, Offer(), fields, profile, is_continued=True)
    return prompt_head(engine, made.messages, made.options, made.text_begin)


def answer_texts(engine: Engine, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text as the answer after such a prompt."""
    info = engine.info()
    return plain_tokens(engine, [answer_text(text, info) for text in texts])


def plain_tokens(engine: Engine, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, in which nothing is a control token."""
    return [engine.tokenize(text, add_special=False, parse_special=False) for text in texts]


def _steps(texts: Sequence[Beginning]) -> dict[Beginning, list[int]]:
    """What follows each beginning of the texts, shorter ones first."""
    steps: dict[Beginning, dict[int, None]] = {}
    for n in range(max((len(text) for text in texts), default=0)):
        for text in texts:
            if len(text) > n:
                steps.setdefault(text[:n], {})[text[n]] = None
    return {before: list(following) for before, following in steps.items()}


def _check_sizes(
    prompt: list[int],
    texts: Sequence[Beginning],
    steps: dict[Beginning, list[int]],
    info: ModelInfo,
    params: tuple[str, str],
) -> None:
    texts_param, prompt_param = params
    for i, text in enumerate(texts):
        if not text:
            message = f"{texts_param}.{i} has no tokens in this model's vocabulary"
            raise InvalidRequestError(message, param=f"{texts_param}.{i}")
    n_scored = sum(len(following) for following in steps.values())
    if n_scored > MAX_SCORED_TOKENS:
        message = f"{texts_param} have {n_scored:,} different tokens, at most {MAX_SCORED_TOKENS:,}"
        raise InvalidRequestError(message, param=texts_param)
    n_all = len(prompt) + max(len(text) for text in texts)
    if not prompt:
        raise InvalidRequestError("the prompt has no tokens", param=prompt_param)
    if n_all > info.n_ctx:
        message = (
            f"{prompt_param}: the prompt and its longest continuation have {n_all:,} tokens,"
            f" the context is {info.n_ctx:,}"
        )
        details = {"n_prompt_tokens": n_all, "n_ctx": info.n_ctx}
        raise ContextLengthExceededError(message, param=prompt_param, **details)
    n_held = len(prompt) * len(steps)
    if n_held > MAX_PROMPT_TOKENS:
        message = (
            f"{texts_param} have {len(steps):,} different beginnings, too many for a prompt of"
            f" {len(prompt):,} tokens: at most {MAX_PROMPT_TOKENS // len(prompt):,}"
        )
        raise InvalidRequestError(message, param=texts_param)
