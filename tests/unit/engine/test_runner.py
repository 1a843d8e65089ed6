from __future__ import annotations

import sys

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.runner import load_core
from pyserve.errors import ModelLoadError

CONFIG = EngineConfig(model_id="m", model_path="/m.gguf")


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(ModelLoadError, match="no-such-engine"):
        load_core("no-such-engine", CONFIG)


def test_a_module_that_refuses_this_cpu_is_a_load_error_with_its_words(monkeypatch):
    """None in `sys.modules` makes the import raise ImportError, as the module itself does."""
    monkeypatch.delitem(sys.modules, "pyserve.engine.local", raising=False)
    monkeypatch.setitem(sys.modules, "pyserve._native", None)
    monkeypatch.delattr("pyserve._native", raising=False)
    with pytest.raises(ModelLoadError, match=r"cannot be used: .*pyserve"):
        load_core("native", CONFIG)
