"""Which models a directory holds: model files, the files that describe them, and adapters."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pyserve.models.catalog import read_catalog
from pyserve.models.gallery import load_gallery
from tests.support.catalogs import ADAPTER, GGUF, catalog_of, model_of, notes_of


def test_a_draft_model_is_a_file_of_the_directory(directory: Path) -> None:
    text = """
draft_model: b.gguf
n_draft: 8
options: ["spec_n_min:2"]
parameters: {model: a.gguf}
"""
    model = model_of(catalog_of(directory, x=text), "x")
    assert model.settings == {
        "draft_model_path": str(directory / "b.gguf"), "n_draft_max": 8, "n_draft_min": 2,
    }  # fmt: skip
    for name in ("c.gguf", "../b.gguf"):
        (note,) = notes_of(catalog_of(directory, x=text.replace("b.gguf", name)), "error")
        assert f"draft_model: '{name}' is not in the models directory" in note


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        ("parameters: {model: 'https://h/x.gguf'}", "pyserve pull https://h/x.gguf"),
        (
            "parameters: {model: 'huggingface://o/r/x.gguf'}",
            "pyserve pull huggingface://o/r/x.gguf",
        ),
        (
            "parameters: {model: x.gguf}\n"
            "download_files: [{filename: x.gguf, uri: 'https://h/y', sha256: abc}]",
            "pyserve pull https://h/y --sha256 abc",
        ),
    ],
)
def test_a_model_that_is_elsewhere_is_told_how_to_get_it(
    directory: Path, keys: str, command: str
) -> None:
    (error,) = notes_of(catalog_of(directory, m=keys), "error")
    assert error.endswith(f"get it first, with: {command}")


def test_models_of_old_formats_are_told_what_to_do(directory: Path) -> None:
    (directory / "koala.ggmlv3.q4_0.bin").write_bytes(b"tjgg" + struct.pack("<I", 3) + bytes(64))
    (directory / "notes.bin").write_bytes(b"no model")
    (error,) = notes_of(read_catalog(directory, load_gallery()), "error")
    assert "GGJT version 3" in error
    assert "pyserve convert koala.ggmlv3.q4_0.bin" in error


@pytest.mark.parametrize(
    "text",
    [
        "- name: x\n  parameters: {model: a.gguf}\n- name: y\n  parameters: {model: b.gguf}\n",
        "name: x\nparameters: {model: a.gguf}\n---\nname: y\nparameters: {model: b.gguf}\n",
    ],
)
def test_many_models_in_one_file(directory: Path, text: str) -> None:
    catalog = catalog_of(directory, many=text)
    assert {model.id: model.path.name for model in catalog.models} == {"x": "a.gguf", "y": "b.gguf"}


def test_one_model_file_may_be_several_models(directory: Path) -> None:
    catalog = catalog_of(directory, x="parameters: {model: a}", y="parameters: {model: a.gguf}")
    assert [model.id for model in catalog.models] == ["x", "y", "b"]


def test_a_config_file_elsewhere(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("etc") / "models.yaml"
    path.write_text("- name: x\n  parameters: {model: a.gguf}\n")
    catalog = read_catalog(directory, load_gallery(), path)
    assert [model.id for model in catalog.models] == ["x", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nparameters:\n  model: a.gguf\n  temperature: hot", "x.yaml:4: error: x: parame"),
        ("name: x\nparameters: {model: a.gguf, top_p: -3}", "parameters.top_p"),
        ("name: x\ncontext_size: -5\nparameters: {model: a.gguf}", "x.yaml:2: error"),
        ("name: x\nparameters: {model: ../secret.gguf}", "not in the models directory"),
        ("name: x\nparameters: {model: /etc/passwd}", "not in the models directory"),
        ("name: x\nparameters: {model: missing.gguf}", "does not exist"),
        ("name: x\nparameters: {model: 'https://host/c.gguf'}", "pyserve pull"),
        ("name: b\nparameters: [1", "x.yaml:3: error"),
        ("name: x\nparameters: {model: a.gguf}\ncutstrings: ['(']", "regular expression"),
        ("name: x\nparameters: {model: a.gguf}\ncutstrings: ['(?=a)']", "regular expression"),
        ("name: x\nparameters: {model: a.gguf}\ntemplate: {chat: none}", "none.tmpl"),
        ("name: x\nparameters: {model: a.gguf}\ntemplate: {chat: '{{if}}'}", "template.chat:1"),
        ("name: x\nparameters: {model: a.gguf}\ntemplate: {chat: ../t}", "../t.tmpl"),
        ("name: x\nparameters: {model: a.gguf}\nreasoning_effort: silly", "reasoning_effort"),
        (
            "name: x\nparameters: {model: a.gguf}\nchat_template_kwargs: {tools: 1}",
            "set by the server",
        ),
        ("name: q\nalias: nobody", "there is no model 'nobody'"),
    ],
)
def test_an_error_costs_its_model_only(directory: Path, text: str, words: str) -> None:
    catalog = catalog_of(directory, x=text, y="name: y\nparameters: {model: b.gguf}")
    (error,) = notes_of(catalog, "error")
    assert words in error
    assert "y" in [model.id for model in catalog.models]
    assert "x" not in [model.id for model in catalog.models]


def test_links_may_lead_to_models_elsewhere_and_to_nothing_else(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.gguf").write_bytes(GGUF)
    (elsewhere / "secret.tmpl").write_text("secret")
    (directory / "far.gguf").symlink_to(elsewhere / "far.gguf")
    (directory / "out.gguf").symlink_to("/etc/passwd")
    (directory / "t.tmpl").symlink_to(elsewhere / "secret.tmpl")
    catalog = catalog_of(
        directory,
        x="name: x\nparameters: {model: far.gguf}",
        y="name: y\nparameters: {model: out.gguf}",
        z="name: z\nparameters: {model: a.gguf}\ntemplate: {chat: t}",
    )
    assert [model.id for model in catalog.models] == ["x", "b"]
    not_a_model, not_a_template = notes_of(catalog, "error")
    assert "is not a GGUF file" in not_a_model
    assert "there is no file t.tmpl" in not_a_template


def test_other_backends_and_disabled_models_are_skipped(directory: Path) -> None:
    catalog = catalog_of(
        directory,
        x="name: x\nbackend: whisper\nparameters: {model: a.gguf}",
        y="name: y\ndisabled: true\nparameters: {model: b.gguf}",
    )
    assert catalog.models == []
    assert len(notes_of(catalog, "note")) == 2


def test_an_alias_entry_is_a_further_name_of_its_model(directory: Path) -> None:
    catalog = catalog_of(directory, x="name: gpt-4\nalias: b")
    assert model_of(catalog, "b").profile.aliases == ("gpt-4",)


def test_two_models_of_one_name(directory: Path) -> None:
    text = "- name: x\n  parameters: {model: a.gguf}\n- name: x\n  parameters: {model: b.gguf}\n"
    catalog = catalog_of(directory, x=text)
    assert model_of(catalog, "x").path.name == "a.gguf"
    assert "another model has this name" in notes_of(catalog, "error")[0]


def test_files_that_are_no_models_are_warned_about(directory: Path) -> None:
    catalog = catalog_of(directory, compose="services: {web: {image: x}}", empty="")
    assert len(notes_of(catalog, "warning")) == 2
    assert [model.id for model in catalog.models] == ["a", "b"]


def test_a_split_model_is_one_model(directory: Path) -> None:
    for i in (1, 2):
        (directory / f"big-0000{i}-of-00002.gguf").write_bytes(GGUF)
    assert [m.id for m in catalog_of(directory).models] == ["a", "b", "big-00001-of-00002"]


LORA = """
name: pirate-base
parameters: {model: a.gguf}
lora_adapter: pirate
lora_scale: 0.5
lora_adapters: ["sql=loras/queries.gguf", loras/other.gguf]
lora_scales: [0]
lora_base: a.gguf
"""


def test_adapters_of_a_model_have_names_scales_and_models(directory: Path) -> None:
    (directory / "loras").mkdir()
    for name in ("pirate.gguf", "loras/queries.gguf", "loras/other.gguf"):
        (directory / name).write_bytes(ADAPTER)
    catalog = catalog_of(directory, x=LORA)
    model = model_of(catalog, "pirate-base")
    adapters = model.profile.adapters
    assert model.settings["adapters"] == adapters
    assert [(each.name, each.scale, each.model_id, each.aliases) for each in adapters] == [
        ("pirate", 0.5, "pirate-base-pirate", ("pirate",)),
        ("sql", 0.0, "sql", ("pirate-base-sql",)),
        ("other", 1.0, "pirate-base-other", ("other",)),
    ]
    assert adapters[1].path == str(directory / "loras" / "queries.gguf")
    assert notes_of(catalog, "error") == notes_of(catalog, "warning") == []
    assert any("lora_base has no effect" in note for note in notes_of(catalog, "note"))
    # An adapter is no model.
    assert {found.id for found in catalog.models} == {"pirate-base", "b"}
    assert any("it is a LoRA adapter" in note for note in notes_of(catalog, "note"))


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("lora_adapter: none.gguf", "'none.gguf' is not in the models directory"),
        ("lora_adapter: ../l.gguf", "'../l.gguf' is not in the models directory"),
        ("lora_adapter: b.gguf", "b.gguf is no LoRA adapter"),
        ("lora_adapters: [l.gguf, sub/l.gguf]", "two LoRA adapters of x have the name 'l'"),
        ("{lora_adapters: [l.gguf], lora_scales: [1, 2]}", "there are 2 for 1 lora_adapters"),
        ("lora_scale: 1e9", "lora_scale"),
    ],
)
def test_adapters_that_cannot_be_used_are_errors(directory: Path, keys: str, problem: str) -> None:
    (directory / "sub").mkdir()
    for name in ("l.gguf", "sub/l.gguf", "../l.gguf"):
        (directory / name).write_bytes(ADAPTER)
    fields = keys.strip("{}").replace("], ", "]\n")
    catalog = catalog_of(directory, x=f"name: x\nparameters: {{model: a.gguf}}\n{fields}\n")
    (error,) = notes_of(catalog, "error")
    assert problem in error
