"""The settings of an `LLM`: those of a server of one model, without its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError
from pyserve.llm.engines import OF_GPUS, OTHER_NAMES, read_settings


def test_options_go_before_environment_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pyserve.toml"
    file.write_text('ctx_size = 100\nparallel = 3\napi_key = ["secret"]\n', encoding="utf-8")
    monkeypatch.setenv("PYSERVE_CTX_SIZE", "200")
    monkeypatch.setenv("PYSERVE_QUEUE_SIZE", "5")
    settings = read_settings(tmp_path / "m.gguf", file, {"ctx_size": 300})

    assert (settings.ctx_size, settings.queue_size, settings.parallel) == (300, 5, 3)
    assert settings.models == [str(tmp_path / "m.gguf")]
    assert settings.api_key == []


def test_unknown_fields_are_errors_unless_they_are_allowed() -> None:
    assert read_settings("m", None, {}).strict_fields
    assert not read_settings("m", None, {"strict_fields": False}).strict_fields


def test_a_bad_option_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="did you mean threads") as caught:
        read_settings("m", None, {"thread": 3})
    assert caught.value.param == "thread"
    for name, said in (("n_ctx", "did you mean ctx_size"), ("n_gpu_layers", "leave it out")):
        with pytest.raises(InvalidRequestError, match=said):
            read_settings("m", None, {name: 3})
    assert set(OTHER_NAMES.values()) <= set(ServeConfig.model_fields)
    assert not (set(OTHER_NAMES) | OF_GPUS) & set(ServeConfig.model_fields)
    with pytest.raises(InvalidRequestError, match="--threads"):
        read_settings("m", None, {"threads": 0})
