"""Guard models by their templates, and their verdicts in OpenAI's categories."""

from __future__ import annotations

import math

import pytest

from pyserve.openai.moderation.categories import CATEGORIES, meanings
from pyserve.openai.moderation.guards import Guard, Verdict, guard_of
from pyserve.openai.moderation.moderation import moderated

LLAMA = (
    "Task: Check if there is unsafe content in 'User' messages.\\nS1: Violent Crimes.\\n"
    "S2: Sex-Related Crimes.\\nS10: Hate.\\n{{ messages[0].content }}"
)
GRANITE = "{{ guardian_config.risk_name }} Yes or No"


def known_guard(template: str, prompt: str = "") -> Guard:
    guard = guard_of(template, lambda: prompt)
    assert guard is not None
    return guard


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (LLAMA, "Llama Guard"),
        ("You are a policy expert ... {{ guideline }}", "ShieldGemma"),
        (GRANITE, "Granite Guardian"),
        ("Safety: Safe/Unsafe/Controversial\nCategories: ...", "Qwen3Guard"),
        ("{% for message in messages %}{{ message.content }}{% endfor %}", None),
        ("", None),
    ],
)
def test_a_guard_is_known_by_its_template(template: str, name: str | None) -> None:
    guard = guard_of(template, str)
    assert (None if guard is None else guard.name) == name


def test_llama_guard_answers_with_a_word_and_an_id() -> None:
    guard = known_guard(LLAMA)
    (question,) = guard.questions
    assert question.answers == ("safe", "unsafe", "unsafe\nS1", "unsafe\nS2", "unsafe\nS10")
    spaced = known_guard(LLAMA, "...<|start_header_id|>assistant<|end_header_id|>")
    assert spaced.questions[0].answers[:2] == ("\n\nsafe", "\n\nunsafe")
    verdict = guard.verdict([[math.log(0.2), math.log(0.6), math.log(0.5), *[math.log(0.1)] * 2]])
    assert verdict.unsafe == pytest.approx(0.75)
    assert verdict.categories == pytest.approx(
        {
            "S1: Violent Crimes": 0.75 * 5 / 7,
            "S2: Sex-Related Crimes": 0.75 / 7,
            "S10: Hate": 0.75 / 7,
        }
    )


def test_others_are_asked_about_one_risk_after_the_other() -> None:
    guard = known_guard("a policy {{ guideline }}")
    assert len(guard.questions) == 4
    assert "hate" in guard.questions[2].variables["guideline"].lower()
    verdict = guard.verdict([[0.0, 0.0], [-4.0, 0.0], [0.0, -4.0], [-9.0, 0.0]])
    assert verdict.unsafe == verdict.categories["hate speech"] == pytest.approx(0.982, abs=1e-3)
    granite = known_guard(GRANITE)
    assert granite.questions[0].variables == {"guardian_config": {"risk_name": "harm"}}
    verdict = granite.verdict([[0.0, 0.0], *[[5.0, 0.0]] * 5])
    assert verdict.unsafe == 0.5
    newer = known_guard("guardian_config criteria_id")
    assert newer.questions[0].answers[0].endswith("<score> yes")


def test_controversial_is_half_unsafe() -> None:
    guard = known_guard("Safety: Controversial")
    assert len(guard.questions[0].answers) == 3 + 8
    verdict = guard.verdict([[math.log(0.5), math.log(0.1), math.log(0.4), *[0.0] * 8]])
    assert verdict.unsafe == pytest.approx(0.3)
    assert sum(verdict.categories.values()) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S1: Violent Crimes", ["violence"]),
        ("S2: Non-Violent Crimes", ["illicit"]),
        ("S4: Child Sexual Exploitation", ["sexual/minors"]),
        ("O1: Violence and Hate", ["hate", "violence"]),
        ("S9: Indiscriminate Weapons", ["illicit/violent"]),
        ("Suicide & Self-Harm", ["self-harm"]),
        ("Non-violent Illegal Acts", ["illicit"]),
        ("Sexual Content or Sexual Acts", ["sexual"]),
        ("S7: Privacy", []),
    ],
)
def test_categories_have_openais_names(name: str, expected: list[str]) -> None:
    assert meanings(name) == expected
    assert set(expected) <= set(CATEGORIES)


def test_what_is_flagged_has_a_category() -> None:
    told = moderated("g", Verdict(0.75, {"S1: Violent Crimes": 0.3, "S10: Hate": 0.25}))
    assert told.flagged
    assert [name for name, is_true in told.categories.items() if is_true] == ["violence"]
    assert told.category_scores["hate"] == 0.25
    told = moderated("g", Verdict(0.75, {"S7: Privacy": 0.75}))
    assert told.flagged
    assert not any(told.categories.values())
    told = moderated("g", Verdict(0.4, {"hate": 0.6, "violence": 0.1}))
    assert not told.flagged
    assert not any(told.categories.values())
