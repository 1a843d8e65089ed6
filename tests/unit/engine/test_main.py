from __future__ import annotations

import sys

import pytest

from pyserve.engine.main import find_kind
from pyserve.errors import ModelLoadError


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(ModelLoadError, match="no-such-engine"):
        find_kind("no-such-engine")


def test_a_module_that_refuses_this_cpu_is_a_load_error_with_its_words(monkeypatch):
    """None in `sys.modules` makes the import raise ImportError, as the module itself does."""
    monkeypatch.delitem(sys.modules, "pyserve.engine.native", raising=False)
    monkeypatch.setitem(sys.modules, "pyserve._native", None)
    monkeypatch.delattr("pyserve._native", raising=False)
    with pytest.raises(ModelLoadError, match=r"cannot be used: .*pyserve"):
        find_kind("native")
