"""The fingerprint of what answers."""

from __future__ import annotations

import msgspec
import pytest

from pyserve.openai.ids import fingerprint
from tests.support.answers import INFO


def test_the_fingerprint_tells_models_apart_but_not_how_long_they_loaded():
    assert fingerprint(msgspec.structs.replace(INFO, load_ms=5.0)) == fingerprint(INFO)
    assert fingerprint(msgspec.structs.replace(INFO, n_threads=64)) != fingerprint(INFO)


@pytest.mark.parametrize("given", ["0123abc", "fp_0123abc"])
def test_the_engines_own_fingerprint_is_told(given):
    info = msgspec.structs.replace(INFO, fingerprint=given)
    assert fingerprint(info) == "fp_0123abc"
