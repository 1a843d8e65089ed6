"""LoRA adapters as options name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.cli.plan import engine_config
from pyserve.config import ServeConfig
from pyserve.errors import ModelLoadError
from pyserve.gguf.kind import file_kind
from pyserve.models.adapters import parsed_adapter
from pyserve.models.files import resolve_models
from pyserve.models.memory import predicted_bytes
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.lora import make_lora, write_lora


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a.gguf", ("", "a.gguf", 1.0)),
        ("a.gguf:0.5", ("", "a.gguf", 0.5)),
        ("pirate=dir/a.gguf:-2", ("pirate", "dir/a.gguf", -2.0)),
        ("dir=1/a.gguf", ("dir", "1/a.gguf", 1.0)),
        ("dir/b=c/a.gguf", ("", "dir/b=c/a.gguf", 1.0)),
        ("odd:name.gguf", ("", "odd:name.gguf", 1.0)),
        ("odd:name.gguf:0", ("", "odd:name.gguf", 0.0)),
    ],
)
def test_an_option_has_a_name_a_path_and_a_scale(text: str, named: tuple[str, str, float]) -> None:
    assert parsed_adapter(text) == named


@pytest.mark.parametrize("scale", ["nan", "inf", "-inf", "1e3"])
def test_scales_are_bounded(scale: str) -> None:
    with pytest.raises(ModelLoadError, match="at most 100"):
        parsed_adapter(f"a.gguf:{scale}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    base = write_tiny_llama(tmp_path / "tiny.gguf")
    write_lora(tmp_path / "l.gguf", make_lora(base))
    return tmp_path


def test_the_only_model_gets_the_adapters_of_the_options(directory: Path) -> None:
    assert file_kind(directory / "l.gguf") == "adapter"
    assert file_kind(directory / "tiny.gguf") == "model"
    (model,) = resolve_models(ServeConfig(models_dir=directory, lora=["x=l", "l.gguf:0.5"]))
    adapters = model.profile.adapters
    assert [(each.name, each.model_id, each.scale) for each in adapters] == [
        ("x", "x", 1.0),
        ("l", "tiny-l", 0.5),
    ]


@pytest.mark.parametrize(
    ("lora", "problem"),
    [
        (["tiny=l"], "two models have the id 'tiny'"),
        (["l", "l.gguf"], "two LoRA adapters of tiny have the name 'l'"),
        (["none"], "does not exist"),
        ([f"a{i}=l" for i in range(65)], "has 65 LoRA adapters, at most 64"),
    ],
)
def test_options_that_cannot_be(directory: Path, lora: list[str], problem: str) -> None:
    with pytest.raises(ModelLoadError, match=problem):
        resolve_models(ServeConfig(models_dir=directory, lora=lora))


def test_the_options_are_for_one_model(directory: Path) -> None:
    write_tiny_llama(directory / "other.gguf")
    with pytest.raises(ModelLoadError, match="--lora needs one model, 2 are served"):
        resolve_models(ServeConfig(models_dir=directory, lora=["l"]))


def test_an_adapter_is_not_served_as_a_model(directory: Path) -> None:
    with pytest.raises(ModelLoadError, match="is a LoRA adapter: serve its model"):
        resolve_models(ServeConfig(models_dir=directory, models=["l"]))


def test_predicted_memory_counts_adapters(directory: Path) -> None:
    plain, with_lora = (
        predicted_bytes(engine_config(config, resolve_models(config)[0], 1))
        for config in (
            ServeConfig(models_dir=directory),
            ServeConfig(models_dir=directory, lora=["l"]),
        )
    )
    assert with_lora - plain == (directory / "l.gguf").stat().st_size
