"""GBNF for text in which calls may begin without the mark before them.

  So I call it: <function=f> <parameter=city> ...    {"name": "f", "arguments": ...

What the reader takes for a call is held to the functions on offer; all else stays free. Blocks of
code are left out, as the reader does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, char_class, literal
from pyserve.openai.tools.object_calls import FENCE
from pyserve.openai.tools.text_reader import SPACE


class Opening(msgspec.Struct, frozen=True):
    """Texts that begin calls where an offered function's name and `name_end` follow.

    signs: with what may stand between them and the name. calls: what follows then, by function.
    tells: what of that tells that it is meant.
    """

    signs: Mapping[str, Sequence[str]]
    name_end: str
    calls: Mapping[str, str]
    tells: Sequence[str]


class LooseText:
    """Writes the rules of one text. marks: what ends it wherever it stands, and what follows."""

    def __init__(self, rules: JsonRules, marks: Mapping[str, str], opening: Opening | None) -> None:
        self._rules = rules
        self._states: dict[tuple[bool, str], str] = {}  # rules, by being in code and what is seen
        self._named = rules.reserve() if opening is not None else ""
        self._patterns: dict[bool, dict[str, str]] = {False: dict(marks)}
        after_signs: dict[str, str] = {}
        if opening is not None and opening.signs:
            after_signs = {sign: rules.reserve() for sign in opening.signs}
            self._patterns[True] = dict(marks)
            for is_code in (False, True):
                self._patterns[is_code][FENCE] = self._state(not is_code, "")
            self._patterns[False] |= after_signs
        for is_code, patterns in self._patterns.items():
            for seen in {pattern[:n] for pattern in patterns for n in range(len(pattern))}:
                rules.define(self._state(is_code, seen), self._body(is_code, seen))
        if opening is not None:
            rules.define(self._named, self._names_of(opening))
            for sign, words in opening.signs.items():
                inside: dict[str, str | None] = dict.fromkeys(words, self._named)
                after = self._trie(inside, spaced=_outside_words) if any(words) else self._named
                rules.define(after_signs[sign], after)

    def text(self) -> str:
        """A text from its begin."""
        return self._state(False, "")

    def text_after(self, excluded: str) -> str:
        """A text that begins with none of the characters `excluded`."""
        return any_of(['""', *self._others(excluded)])

    def answer(self, sign: str, others: Sequence[str]) -> str:
        """A text that may begin with a call after `sign`, which may have white space in it.

        others: what it does not begin with, because it is no text there.
        """
        words: dict[str, str | None] = dict.fromkeys(others)
        return self._trie({**words, sign: self._named}, spaced=_outside_words)

    def _state(self, is_code: bool, seen: str) -> str:
        key = (is_code, seen)
        if key not in self._states:
            self._states[key] = self._rules.reserve()
        return self._states[key]

    def _body(self, is_code: bool, seen: str) -> str:
        patterns = self._patterns[is_code]
        branches = ['""']
        taken = ""
        for char in dict.fromkeys("".join(patterns)):
            after = self._after(is_code, seen + char)
            if after is not None:
                branches.append(f"{literal(char)} {after}")
                taken += char
        others = char_class([(ord(char), ord(char)) for char in taken], is_negated=True)
        return any_of([*branches, f"{others} {self._state(is_code, '')}"])

    def _after(self, is_code: bool, text: str) -> str | None:
        """What follows a text that ends with a pattern, or with the longest begin of one."""
        patterns = self._patterns[is_code]
        for start in range(len(text)):
            end = text[start:]
            if end in patterns:
                return patterns[end]
            if any(pattern.startswith(end) for pattern in patterns):
                return self._state(is_code, end)
        return None

    def _others(self, taken: str) -> list[str]:
        """Text that begins with none of the characters `taken`."""
        branches = []
        for char in dict.fromkeys(pattern[0] for pattern in self._patterns[False]):
            if char not in taken:
                branches.append(f"{literal(char)} {self._after(False, char)}")
                taken += char
        others = char_class([(ord(char), ord(char)) for char in taken], is_negated=True)
        return [*branches, f"{others} {self._state(False, '')}"]

    def _names_of(self, opening: Opening) -> str:
        """What follows a sign: the name of an offered function, or text."""
        no_call = self._trie(dict.fromkeys(opening.tells), spaced=_outside_words)
        words: dict[str, str | None] = {
            f"{name}{opening.name_end}": any_of([call, no_call])
            for name, call in opening.calls.items()
        }
        return self._trie(words, spaced=lambda _: False)

    def _trie(self, words: Mapping[str, str | None], spaced: Callable[[str], bool]) -> str:
        """Text that is told apart from `words`, each with what follows; None: it is none of these.

        spaced: whether white space may stand after a part of a word.
        """
        return self._branch(words, "", spaced)

    def _branch(
        self, words: Mapping[str, str | None], seen: str, spaced: Callable[[str], bool]
    ) -> str:
        inside: dict[str, dict[str, str | None]] = {}
        for word, after in words.items():
            inside.setdefault(word[len(seen)], {})[word] = after
        name = self._rules.reserve()
        branches = ['""']
        for char, rest in inside.items():
            word = seen + char
            after = rest[word] if word in rest else self._branch(rest, word, spaced)
            if after is not None:
                branches.append(f"{literal(char)} {after}")
        taken = "".join(inside)
        if spaced(seen):
            branches.append(f"[ \\t\\r\\n] {name}")
            taken += SPACE
        self._rules.define(name, any_of([*branches, *self._others(taken)]))
        return name


def _outside_words(seen: str) -> bool:
    return seen.count('"') % 2 == 0 and "<" not in seen
