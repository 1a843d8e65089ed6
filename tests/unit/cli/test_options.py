"""Options are declared in `ServeConfig` alone: what is made of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pyserve.cli import main
from pyserve.cli.options import options_page
from pyserve.cli.plan import engine_config
from pyserve.config import ServeConfig, read_config, serve_options
from pyserve.engine.config import EngineConfig
from pyserve.models.model_file import ModelFile
from tests.support.scripts import REPOSITORY

MODEL = ModelFile("m", Path("/m.gguf"))


def test_the_page_of_options_is_up_to_date() -> None:
    page = (REPOSITORY / "docs/options.md").read_text()
    assert page == options_page(), "run: make options"


def test_every_option_says_what_it_is_for() -> None:
    for option in serve_options():
        assert option.about.endswith("."), option.name


def test_the_help_has_every_option_with_its_default() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=200).output
    words = " ".join(text.split())
    for expected in (
        "--port INTEGER Port; 0 takes a free one. [default: 8080]",
        "-fa, --flash-attn TEXT",
        "--deterministic / --fast Compute",
        "--override-kv KEY=TYPE:VALUE",
        "--max-token-gap-ms FLOAT",
        "[default: what the model was trained for, by the memory",
    ):
        assert expected in words


def test_what_reaches_the_engine_has_a_field_there() -> None:
    fields = {option.info["engine"] for option in serve_options()} - {""}
    assert fields <= set(EngineConfig.__struct_fields__)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"n_ctx": 0, "n_kv": 0, "numa": "", "draft_model_path": "", "n_threads": 3}),
        ({"threads": 2}, {"n_threads": 2, "n_threads_batch": 2}),
        ({"threads": 2, "threads_batch": 1}, {"n_threads": 2, "n_threads_batch": 1}),
        ({"ctx_size": 64, "kv_size": 128}, {"n_ctx": 64, "n_kv": 128}),
        ({"model_draft": "/d.gguf", "draft_p_min": 0.5}, {"draft_model_path": "/d.gguf"}),
        ({"kernels": "avx2", "numa": "isolate"}, {"kernels": "avx2", "numa": "isolate"}),
        ({"deterministic": True, "parallel": 4}, {"deterministic": True, "n_seq_max": 4}),
    ],
)
def test_options_become_settings_of_engines(given, expected) -> None:
    config = msgspec.structs.asdict(engine_config(read_config(given), MODEL, 3))
    assert {name: config[name] for name in expected} == expected


def test_what_nobody_sets_is_the_same_on_both_sides() -> None:
    """Defaults stand in `ServeConfig` and, for engines without a server, in `EngineConfig`."""
    plain = EngineConfig(model_id="m", model_path="/m.gguf")
    different = {
        name
        for name, value in ServeConfig().engine_settings().items()
        if value != getattr(plain, name)
    }
    # "auto" takes nothing from the environment; engines without a server write no files.
    assert different == {"kernels", "prefix_disk_dir"}
