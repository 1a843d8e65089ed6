"""The extension module itself."""

from __future__ import annotations

import pytest

from pyserve import _native


def test_this_cpu_has_what_the_build_needs() -> None:
    _native.check_cpu(_native.cpu_features)


def test_a_missing_feature_is_an_import_error_with_a_remedy() -> None:
    with pytest.raises(ImportError, match=r"avx1024.*Build it on this machine"):
        _native.check_cpu([*_native.cpu_features, "avx1024"])
