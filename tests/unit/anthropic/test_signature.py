from __future__ import annotations

import pytest

from pyserve.anthropic.signature import signature_of, thoughts_in

THOUGHTS = "Hm, ünd\nso on " * 40


def test_sealed_thoughts_can_be_read_back():
    signature = signature_of(THOUGHTS, is_sealed=True)
    assert thoughts_in("", signature) == THOUGHTS
    assert len(signature) < len(THOUGHTS)


def test_shown_thoughts_are_read_from_the_text():
    signature = signature_of(THOUGHTS, is_sealed=False)
    assert THOUGHTS[:5] not in signature
    assert thoughts_in("Hm", signature) == "Hm"
    assert thoughts_in("", signature) == ""


@pytest.mark.parametrize("rest", ["", "!", "AAAA", "ä", "eJwDAAAAAAE="])
def test_a_signature_that_was_changed_has_no_thoughts(rest):
    begin, _, _ = signature_of("x", is_sealed=True).partition(".")
    assert thoughts_in("", f"{begin}.{rest}") == ""
