"""OpenAI's categories of harm, and which of them other names of harm mean."""

from __future__ import annotations

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
# Words in the names of guard models' categories, and what they mean; all that are found count.
_MEANINGS = (
    (("child", "minor"), "sexual/minors"),
    (("sex",), "sexual"),
    (("hate", "social_bias", "unethical acts"), "hate"),
    (("harass", "profanity"), "harassment"),
    (("self-harm", "suicide"), "self-harm"),
    (("weapon",), "illicit/violent"),
    (("non-violent", "nonviolent", "criminal", "substance", "dangerous", "unethical_behavior",
      "code interpreter", "illegal"), "illicit"),
    (("violen",), "violence"),
)  # fmt: skip


def meanings(name: str) -> list[str]:
    """OpenAI's categories that a guard model's category is of; maybe none."""
    lowered = name.lower()
    plain = lowered.replace("non-violent", "").replace("nonviolent", "")
    found = []
    for words, category in _MEANINGS:
        text = plain if category == "violence" else lowered
        if any(word in text for word in words):
            found.append(category)
    return [each for each in found if each != "sexual"] if "sexual/minors" in found else found
