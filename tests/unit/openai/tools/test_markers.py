from __future__ import annotations

from pyserve.engine.markers import CALL_MARKERS
from pyserve.openai.tools.formats import KNOWN_FORMATS


def test_every_mark_is_one_of_a_format():
    written = " ".join(str(layout) for layout in KNOWN_FORMATS)
    # The tag of llama is not written by the format: it may be left out.
    assert [mark for mark in CALL_MARKERS if mark not in written] == ["<|python_tag|>"]
