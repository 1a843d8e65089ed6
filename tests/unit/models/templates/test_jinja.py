"""Jinja templates in place of a model file's own: where they come from, and which one counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyserve.cli.plan import engine_config
from pyserve.config import ServeConfig
from pyserve.errors import ModelLoadError, PyserveError
from pyserve.models.files import resolve_models
from pyserve.models.model_file import ModelFile
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.jinja import (
    MAX_JSON_BYTES,
    file_templates,
    named_template,
    with_chosen_templates,
)
from tests.support.catalogs import catalog_of, model_of, notes_of
from tests.support.gguf_edit import GgufEdit, string

HEAD = "name: x\nparameters: {model: a.gguf}\n"
GO = "Q: {{.Input}}"


def of_yaml(directory: Path, template: str = "") -> ModelFile:
    return model_of(catalog_of(directory, x=f"{HEAD}template: {{{template}}}\n"), "x")


def text_of(model: ModelFile) -> str:
    return "" if model.jinja is None else model.jinja.text


@pytest.mark.parametrize("name", ["a.jinja", "a.gguf.jinja"])
def test_beside_the_model_file(directory: Path, name: str) -> None:
    (directory / name).write_text("beside")
    assert text_of(model_of(catalog_of(directory), "a")) == "beside"
    assert text_of(of_yaml(directory)) == "beside"
    assert text_of(of_yaml(directory, "use_tokenizer_template: true")) == "beside"


def test_it_goes_before_a_go_template_beside_the_file_in_chats_alone(directory: Path) -> None:
    (directory / "a.jinja").write_text("beside")
    (directory / "a.gguf.tmpl").write_text(GO)
    model = model_of(catalog_of(directory), "a")
    assert (text_of(model), model.profile.prompt.has_chat) == ("beside", False)
    assert model.profile.prompt.completion is not None


def test_the_yaml_comes_first(directory: Path) -> None:
    (directory / "a.jinja").write_text("beside")
    (directory / "mine.jinja").write_text("mine")
    assert text_of(of_yaml(directory, "jinja: '{{ x }}'")) == "{{ x }}"
    assert text_of(of_yaml(directory, "jinja_file: mine")) == "mine"
    assert text_of(of_yaml(directory, "jinja_file: mine.jinja")) == "mine"
    go = of_yaml(directory, f"chat: '{GO}'")
    assert (text_of(go), go.profile.prompt.has_chat) == ("", True)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("jinja: a, jinja_file: b", "there is template.jinja_file too"),
        (f"jinja: a, chat: '{GO}'", "there is template.chat too"),
        ("jinja_file: nowhere", "there is no file nowhere"),
        ("jinja_file: ../x", "there is no file ../x"),
        ("jinja_file: empty", "is empty"),
        ("jinja_file: long", f"at most {MAX_JSON_BYTES:,}"),
    ],
)
def test_what_cannot_be_meant_is_an_error(directory: Path, template: str, words: str) -> None:
    (directory / "empty.jinja").write_text("\n")
    (directory / "long.jinja").write_text("x" * (MAX_JSON_BYTES + 1))
    text = f"{HEAD}template: {{{template}}}\n"
    (error,) = notes_of(catalog_of(directory, x=text), "error")
    assert words in error


class TestTheCommandLine:
    def test_it_replaces_what_lies_beside_the_file(self, directory: Path) -> None:
        (directory / "a.jinja").write_text("beside")
        (directory / "b.gguf.tmpl").write_text(GO)
        models = catalog_of(directory).models
        chosen = with_chosen_templates(models, "{{ all }}", [])
        assert [text_of(model) for model in chosen] == ["{{ all }}"] * 2
        assert not any(model.profile.prompt.has_chat for model in chosen)

    def test_it_leaves_what_the_yaml_says(self, directory: Path) -> None:
        for template, text in (("jinja: mine", "mine"), (f"chat: '{GO}'", "")):
            (model,) = with_chosen_templates([of_yaml(directory, template)], "{{ all }}", [])
            assert text_of(model) == text

    def test_a_file_for_one_model_goes_before_one_for_all(self, directory: Path) -> None:
        for name in ("one", "all"):
            (directory / name).write_text(name)
        models = catalog_of(directory).models
        files = [str(directory / "all"), f"{directory / 'one'}=b"]
        chosen = with_chosen_templates(models, "{{ text }}", files)
        assert {model.id: text_of(model) for model in chosen} == {"a": "all", "b": "one"}
        chosen = with_chosen_templates(models, "{{ text }}", files[1:])
        assert {model.id: text_of(model) for model in chosen} == {"a": "{{ text }}", "b": "one"}

    def test_unknown_models_and_files_are_named(self, directory: Path) -> None:
        models = catalog_of(directory).models
        with pytest.raises(ModelLoadError, match="no model 'c'"):
            with_chosen_templates(models, None, ["x=c"])
        with pytest.raises(TemplateError, match="nowhere"):
            with_chosen_templates(models, None, ["nowhere"])

    def test_a_template_becomes_a_setting_of_the_engine(self, directory: Path) -> None:
        config = ServeConfig(models_dir=directory, chat_template="{{ x }}")
        models = resolve_models(config)
        assert [engine_config(config, model, 1).chat_template for model in models] == [
            "{{ x }}",
            "{{ x }}",
        ]
        plain = replace(models[0], jinja=None)
        assert engine_config(config, plain, 1).chat_template == ""


class TestVariables:
    def test_those_of_a_model_come_first(self, directory: Path) -> None:
        text = HEAD + "chat_template_kwargs: {enable_thinking: false, mine: 1}\n"
        (directory / "x.yaml").write_text(text)
        kwargs = '{"enable_thinking": true, "more": {"a": [1]}}'
        models = resolve_models(ServeConfig(models_dir=directory, chat_template_kwargs=kwargs))
        found = {model.id: model.profile.defaults["chat_template_kwargs"] for model in models}
        assert found == {
            "x": {"enable_thinking": False, "mine": 1, "more": {"a": [1]}},
            "b": {"enable_thinking": True, "more": {"a": [1]}},
        }

    @pytest.mark.parametrize("kwargs", ["{", "[1]", '{"messages": []}', '{"a": ' + "[" * 9999])
    def test_what_is_none_is_refused(self, directory: Path, kwargs: str) -> None:
        config = ServeConfig(models_dir=directory, chat_template_kwargs=kwargs)
        with pytest.raises(PyserveError, match="--chat-template-kwargs"):
            resolve_models(config)


class TestNames:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "m.gguf"
        key = "tokenizer.chat_template"
        keys = {key: string("own"), f"{key}.tool_use": string("tools"), f"{key}s": string("no")}
        path.write_bytes(GgufEdit(keys=keys).to_bytes())
        return path

    def test_variants_of_the_file_and_built_in_ones(self, path: Path) -> None:
        assert file_templates(path) == {"default": "own", "tool_use": "tools"}
        assert named_template("tool_use", path).text == "tools"
        assert named_template("default", path).text == "own"
        assert "<|im_start|>" in named_template("chatml", path).text

    def test_text_is_a_template(self, path: Path) -> None:
        assert named_template("{{ x }}", path).text == "{{ x }}"

    def test_another_name_is_told_those_there_are(self, path: Path) -> None:
        with pytest.raises(TemplateError, match="none of chatml, default, tool_use"):
            named_template("rag", path)
