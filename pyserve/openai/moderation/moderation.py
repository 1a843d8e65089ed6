"""POST /v1/moderations: whether texts are harmful, by the probabilities of a guard model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from pyserve.engine.protocol import Engine
from pyserve.errors import ModelNotFoundError
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.answer import Output
from pyserve.openai.ids import new_id
from pyserve.openai.moderation.categories import CATEGORIES, meanings
from pyserve.openai.moderation.guards import Guard, Verdict, guard_of
from pyserve.openai.scheduling import scheduling
from pyserve.openai.scoring import Scoring, answer_texts, chat_prompt
from pyserve.schemas.moderations import ModerationRequest

THRESHOLD = 0.5
HOW_TO_CONFIGURE = (
    "serve a guard model (Llama Guard, ShieldGemma, Granite Guardian or Qwen3Guard) and name it"
    " with --default-model moderation=MODEL, or with known_usecases: [moderation] in its YAML file"
)


class GuardVerdict(msgspec.Struct, frozen=True):
    """What the guard model says in its own categories. unsafe: how probable harm is."""

    name: str
    unsafe: float
    categories: dict[str, float]


class Moderated(msgspec.Struct, frozen=True):
    """What is wrong with a text, in OpenAI's categories. guard: an extension of ours."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    guard: GuardVerdict


class Moderations(msgspec.Struct, frozen=True):
    """A result for each input, in order."""

    id: str
    model: str
    results: list[Moderated]


def required_guard(engine: Engine, model: str) -> Guard:
    """The guard that a model is. Raises ModelNotFoundError for another model."""
    template = engine.info().file_template
    guard = guard_of(template, lambda: engine.render([{"role": "user", "content": "text"}]))
    if guard is None:
        message = f"{model!r} is no guard model that is known here: {HOW_TO_CONFIGURE}"
        raise ModelNotFoundError(message, param="model")
    return guard


class ModerationAnswer:
    """Implements `Answer` for a moderation request.

    Raises ModelNotFoundError for a model that is no guard, and as `Scoring`, naming the input.
    """

    prompt_param = "input"
    grammar_param = ""

    def __init__(
        self,
        body: ModerationRequest,
        model: str,
        engine: Engine,
        profile: ModelProfile = PLAIN,
    ) -> None:
        info = engine.info()
        self._model = model
        self._guard = required_guard(engine, model)
        answers = [answer_texts(engine, each.answers) for each in self._guard.questions]
        self._scorings = [
            [
                Scoring(
                    chat_prompt(engine, messages, profile, question.variables),
                    tokens,
                    info,
                    ("input", "input" if isinstance(body.input, str) else f"input.{i}"),
                    **scheduling(body),
                )
                for question, tokens in zip(self._guard.questions, answers, strict=True)
            ]
            for i, messages in enumerate([{"role": "user", "content": text}] for text in body.texts)
        ]
        every = itertools.chain.from_iterable(self._scorings)
        self.requests = [each for scoring in every for each in scoring.requests]

    def response(self, outputs: Sequence[Output]) -> Moderations:
        left = iter(outputs)
        results = []
        for scorings in self._scorings:
            logprobs = [
                scoring.logprobs(list(itertools.islice(left, len(scoring.requests))))
                for scoring in scorings
            ]
            results.append(moderated(self._guard.name, self._guard.verdict(logprobs)))
        return Moderations(new_id("modr"), self._model, results)


def moderated(name: str, verdict: Verdict) -> Moderated:
    """A verdict in OpenAI's categories.

    A category counts from THRESHOLD on; of a text that is flagged at least the most probable one.
    """
    scores = dict.fromkeys(CATEGORIES, 0.0)
    for own, score in verdict.categories.items():
        for category in meanings(own):
            scores[category] = max(scores[category], score)
    is_flagged = verdict.unsafe >= THRESHOLD
    worst = max(verdict.categories, key=lambda each: verdict.categories[each], default="")
    counted = set(meanings(worst)) if is_flagged else set()
    return Moderated(
        flagged=is_flagged,
        categories={
            each: each in counted or (is_flagged and score >= THRESHOLD)
            for each, score in scores.items()
        },
        category_scores=scores,
        category_applied_input_types={each: ["text"] for each in CATEGORIES},
        guard=GuardVerdict(name, verdict.unsafe, verdict.categories),
    )
