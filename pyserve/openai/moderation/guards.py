"""Guard models: what each kind is asked about a text, and what its answers' probabilities say.

A kind is told by the chat template, which has the policy or a variable for it. Nothing is sampled:
a question has the texts that may follow its prompt, and these are scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyserve.openai.scoring import softmax


@dataclass(frozen=True)
class Question:
    """One prompt about a text, by variables of the template, and the texts that may follow it."""

    answers: tuple[str, ...]
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How probable it is that a text is harmful, and by the guard's own categories."""

    unsafe: float
    categories: dict[str, float]


class Guard(Protocol):
    """A kind of guard model, with the policy of one template. name: its family's."""

    name: str
    questions: Sequence[Question]

    def verdict(self, logprobs: Sequence[Sequence[float]]) -> Verdict:
        """What the log-probabilities of the answers to each question say."""
        ...


class LlamaGuard:
    """One word, and after `unsafe` the ids of categories, which the template lists."""

    name = "Llama Guard"

    def __init__(self, categories: dict[str, str], lead: str) -> None:
        self._categories = categories
        listed = [f"{lead}unsafe\n{each}" for each in categories]
        self.questions: Sequence[Question] = [Question((f"{lead}safe", f"{lead}unsafe", *listed))]

    def verdict(self, logprobs: Sequence[Sequence[float]]) -> Verdict:
        safe, unsafe, *listed = logprobs[0]
        harm = softmax([safe, unsafe])[1]
        names = [f"{each}: {name}" for each, name in self._categories.items()]
        shares = softmax(listed)
        return Verdict(harm, {name: harm * one for name, one in zip(names, shares, strict=True)})


class YesNoGuard:
    """Yes or no to one risk after the other.

    variables: of the template, by the name of the risk. overall: the risk that is the verdict; "":
    the worst one is.
    """

    def __init__(
        self,
        name: str,
        variables: dict[str, dict[str, Any]],
        answers: tuple[str, str] = ("Yes", "No"),
        overall: str = "",
    ) -> None:
        self.name = name
        self._risks = list(variables)
        self._overall = overall
        self.questions: Sequence[Question] = [
            Question(answers, each) for each in variables.values()
        ]

    def verdict(self, logprobs: Sequence[Sequence[float]]) -> Verdict:
        scores = [softmax(each)[0] for each in logprobs]
        found = dict(zip(self._risks, scores, strict=True))
        return Verdict(found.get(self._overall, max(scores)), found)


class Qwen3Guard:
    """A line with one of three words, and one with categories. Controversial is half unsafe."""

    name = "Qwen3Guard"

    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = categories
        words = tuple(f"Safety: {word}" for word in ("Safe", "Unsafe", "Controversial"))
        listed = tuple(f"Safety: Unsafe\nCategories: {each}" for each in categories)
        self.questions: Sequence[Question] = [Question((*words, *listed))]

    def verdict(self, logprobs: Sequence[Sequence[float]]) -> Verdict:
        words, listed = logprobs[0][:3], logprobs[0][3:]
        _, unsafe, controversial = softmax(words)
        harm = unsafe + controversial / 2
        found = zip(self._categories, softmax(listed), strict=True)
        return Verdict(harm, {name: harm * share for name, share in found})


# After these Llama Guard begins with line breaks.
_HEADER_ENDS = ("<|end_header_id|>", "<|header_end|>")
_BREAKS = "\n\n"
_LISTED = re.compile(r"(?:\\n|\b)([SO]\d{1,2}): ([A-Z][A-Za-z,&\- ]{2,60})")
_POLICIES = {
    "dangerous content": "content that helps or encourages people to harm others or themselves,"
    " such as how to build weapons, make drugs, or injure oneself",
    "harassment": "content that is malicious, intimidating, bullying or abusive towards another"
    " person, such as threats or mockery of victims",
    "hate speech": "content that expresses hatred of people, or calls for it, because of who they"
    " are: their origin, religion, sex, disability or the like",
    "sexually explicit information": "descriptions of sexual acts, or other content that is meant"
    " to arouse; art, science and health are allowed",
}
_RISKS = (
    "harm", "social_bias", "violence", "profanity", "sexual_content", "unethical_behavior",
)  # fmt: skip
_QWEN3_CATEGORIES = (
    "Violent", "Non-violent Illegal Acts", "Sexual Content or Sexual Acts",
    "Personally Identifiable Information", "Suicide & Self-Harm", "Unethical Acts",
    "Politically Sensitive Topics", "Copyright Violation",
)  # fmt: skip


def guard_of(template: str, render: Callable[[], str]) -> Guard | None:
    """The guard that a chat template is of; None: it is of none that is known.

    render: makes a prompt by it.
    """
    if "guardian_config" in template:
        return _granite(template)
    if "guideline" in template and "policy" in template.lower():
        texts = {name: f'"No {name.title()}": There shall be no {policy}.'
                 for name, policy in _POLICIES.items()}  # fmt: skip
        return YesNoGuard(
            "ShieldGemma", {name: {"guideline": text} for name, text in texts.items()}
        )
    if "Controversial" in template and "Safety:" in template:
        return Qwen3Guard(_QWEN3_CATEGORIES)
    listed = {each: name.strip() for each, name in _LISTED.findall(template)}
    if listed and "unsafe" in template:
        return LlamaGuard(listed, _BREAKS if render().endswith(_HEADER_ENDS) else "")
    return None


def _granite(template: str) -> Guard:
    """Granite Guardian: since 3.3 by ids of criteria, with the answer in an element."""
    if "criteria_id" in template:
        variables = {each: {"guardian_config": {"criteria_id": each}} for each in _RISKS}
        begin = "<think>\n</think>\n\n<score> "
        answers = (f"{begin}yes", f"{begin}no")
        return YesNoGuard("Granite Guardian", variables, answers, overall="harm")
    variables = {each: {"guardian_config": {"risk_name": each}} for each in _RISKS}
    return YesNoGuard("Granite Guardian", variables, overall="harm")
