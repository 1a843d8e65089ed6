"""Edits answers as a model's configuration says: prefix, cuts, extraction, trimming.

The order is LocalAI's: reply_prefix, cutstrings, extract_regex, trimspace, trimsuffix. Streamed
chunks join to the text of a plain answer: text that may still change is held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from pyserve.engine.protocol import Delta
from pyserve.models.patterns import compiled
from pyserve.models.profile import ShapeProfile


def shaped(text: str, shape: ShapeProfile) -> str:
    """The whole answer after all edits, with its prefix."""
    for pattern in shape.cutstrings:
        text = compiled(pattern).sub("", text)
    found = [compiled(pattern).search(text) for pattern in shape.extract_regex]
    extracted = "".join(match.group() for match in found if match is not None)
    text = extracted or text
    for affix in shape.trimspace:
        text = text.removeprefix(affix).strip()
    for affix in shape.trimsuffix:
        text = text.removesuffix(affix).strip()
    return text


class Shaper:
    """Shapes one streamed answer. One thread.

    Regular expressions need the whole answer, so nothing is given out before its end. Trimming
    alone holds back a beginning that may be trimmed, and as much of the end.
    """

    def __init__(self, shape: ShapeProfile) -> None:
        self._shape = shape
        self._is_whole = bool(shape.cutstrings or shape.extract_regex)
        affixes = "".join([*shape.trimsuffix])
        self._n_held = sum(not char.isspace() for char in affixes)
        self._has_begun = False
        self._held = shape.prefix

    def push(self, delta: Delta) -> Delta:
        """The delta with the text that can be given out now; its other fields stay."""
        self._held += delta.text
        is_end = delta.finish is not None
        if self._is_whole:
            text = shaped(self._held, self._shape) if is_end else ""
        else:
            text = self._last() if is_end else self._sure()
        return msgspec.structs.replace(delta, text=text)

    def _last(self) -> str:
        if not self._has_begun:
            return shaped(self._held, self._shape)
        text = self._held.rstrip() if self._shape.trimspace else self._held
        for affix in self._shape.trimsuffix:
            text = text.removesuffix(affix).rstrip()
        return text

    def _sure(self) -> str:
        """Removes from the held text, and returns, what no continuation can change."""
        if not self._has_begun and not self._begin():
            return ""
        end = len(self._held.rstrip())
        for _ in range(self._n_held):
            end = len(self._held[: max(end - 1, 0)].rstrip())
        settled, self._held = self._held[:end], self._held[end:]
        return settled

    def _begin(self) -> bool:
        """Trim the beginning; False while it is too short to decide how."""
        text = self._held
        for affix in self._shape.trimspace:
            if affix.startswith(text):
                return False
            text = text.removeprefix(affix).lstrip()
        if self._shape.trimsuffix:
            text = text.lstrip()
        if not text:
            return False
        self._held, self._has_begun = text, True
        return True


def shaped_deltas(
    deltas: Iterable[tuple[int, Delta] | None], shape: ShapeProfile
) -> Iterator[tuple[int, Delta] | None]:
    """Deltas of several answers by index, each answer shaped; None passes through.

    A delta of which nothing can be given out yet is replaced by None.
    """
    if shape == ShapeProfile():
        yield from deltas
        return
    shapers: dict[int, Shaper] = {}
    for item in deltas:
        if item is None:
            yield None
            continue
        index, delta = item
        delta = shapers.setdefault(index, Shaper(shape)).push(delta)
        is_news = delta.text or delta.finish or delta.logprobs or delta.prompt_logprobs
        yield (index, delta) if is_news else None
