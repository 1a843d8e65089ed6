"""POST /v1/choose: how probable each of several texts is after a conversation or a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pyserve.engine.protocol import Engine, ModelInfo
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.adapters import request_adapters
from pyserve.openai.answer import Output, TokenUsage
from pyserve.openai.chat.chat import template_message
from pyserve.openai.scheduling import scheduling
from pyserve.openai.scoring import Scoring, answer_texts, chat_prompt, plain_tokens, softmax
from pyserve.schemas.choose import ChooseRequest


class ScoredChoice(msgspec.Struct, frozen=True):
    """One of the choices. probability: among them all."""

    index: int
    text: str
    logprob: float
    probability: float


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The choices, in the order of the request."""

    object: Literal["choose"] = "choose"
    model: str
    choices: list[ScoredChoice]
    usage: TokenUsage


class ChooseAnswer:
    """Implements `Answer` for a choose request.

    prompt: its tokens. texts: those of the choices.
    Raises as `Scoring`, and InvalidRequestError for an adapter that the model does not have.
    """

    grammar_param = ""

    def __init__(
        self,
        body: ChooseRequest,
        model: str,
        info: ModelInfo,
        prompt: list[int],
        texts: Sequence[list[int]],
    ) -> None:
        self.prompt_param = "messages" if body.prompt is None else "prompt"
        self._body = body
        self._model = model
        self._scoring = Scoring(
            prompt,
            texts,
            info,
            ("choices", self.prompt_param),
            adapters=request_adapters(body.lora, info),
            **scheduling(body),
        )
        self.requests = self._scoring.requests

    def response(self, outputs: Sequence[Output]) -> Chosen:
        logprobs = self._scoring.logprobs(outputs)
        weights = logprobs
        if self._body.normalize == "length":
            lengths = self._scoring.lengths()
            weights = [one / n for one, n in zip(logprobs, lengths, strict=True)]
        parts = zip(self._body.choices, logprobs, softmax(weights), strict=True)
        choices = [ScoredChoice(i, *part) for i, part in enumerate(parts)]
        usage = self._scoring.usage(outputs)
        return Chosen(model=self._model, choices=choices, usage=usage)


def choose_prompt(
    engine: Engine, body: ChooseRequest, *, parse_special: bool, profile: ModelProfile = PLAIN
) -> tuple[list[int], list[list[int]]]:
    """The tokens of the prompt, and of each choice after it.

    A conversation's prompt ends where the text of its answer begins, past all reasoning.
    parse_special: names of control tokens in `prompt` are read as these tokens.
    """
    if body.messages is not None:
        messages = [template_message(message) for message in body.messages]
        return chat_prompt(engine, messages, profile), answer_texts(engine, body.choices)
    prompt = engine.tokenize(body.prompt or "", add_special=True, parse_special=parse_special)
    return prompt, plain_tokens(engine, body.choices)
