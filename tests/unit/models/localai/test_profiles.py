"""What a model file says, as settings of an engine and a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.engine.config import Override, RopeConfig
from pyserve.models.profile import CallProfile
from tests.support.catalogs import FULL, catalog_of, model_of, notes_of


def test_every_key_that_concerns_text_is_honoured(directory: Path) -> None:
    catalog = catalog_of(directory, x=FULL)
    model = model_of(catalog, "assistant")
    assert model.path == directory / "a.gguf"
    assert model.settings == {
        "n_ctx": 2048, "n_threads": 4, "n_batch": 256, "use_mmap": False,
        "cache_type_k": "q8_0", "n_seq_max": 2, "flash_attn": "off", "numa": "distribute",
        "overrides": (Override("a.b", 1), Override("a.c", "x,y")),
    }  # fmt: skip
    assert model.profile.defaults == {
        "temperature": 0.2, "top_p": 0.9, "top_k": 80, "min_p": 0.1, "max_tokens": 200,
        "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5, "seed": 7,
        "ignore_eos": True, "typical_p": 0.95, "mirostat": 2, "mirostat_tau": 4.0,
        "mirostat_eta": 0.2,
    }  # fmt: skip
    assert model.profile.stop == ("USER:", "</s>")
    assert model.profile.shape.cutstrings == (r"\[.*?\]",)
    assert model.profile.prompt.system_prompt == "Be brief."
    assert model.profile.prompt.roles == {"user": "USER:", "assistant": "ASSISTANT:"}
    assert model.profile.aliases == ("helper", "gpt-*")
    assert model.profile.usecases == ("chat", "completion")
    assert [m.id for m in catalog.models] == ["assistant", "b"]  # a.gguf is the assistant's


@pytest.mark.parametrize(
    ("value", "setting"), [("on", "on"), ('"enabled"', "on"), ("auto", "auto"), ('""', None)]
)
def test_flash_attention_has_the_words_of_llama_cpp(
    directory: Path, value: str, setting: str | None
) -> None:
    text = f"flash_attention: {value}\nparameters: {{model: a.gguf}}\n"
    assert model_of(catalog_of(directory, x=text), "x").settings.get("flash_attn") == setting


def test_a_bad_override_is_named_with_its_line(directory: Path) -> None:
    text = 'parameters: {model: a.gguf}\noverrides:\n- "a=int:1"\n- "b=int:many"\n'
    (note,) = notes_of(catalog_of(directory, x=text), "error")
    assert "x.yaml:4:" in note
    assert "'b=int:many': 'many' is not of type int" in note


def test_positions_are_scaled_as_the_file_says(directory: Path) -> None:
    text = """
context_size: 4096
rope_scaling: yarn
yarn_orig_ctx: 2048
yarn_ext_factor: 0
mmlock: true
parameters: {model: a.gguf, rope_freq_base: 10000, rope_freq_scale: 0.5}
"""
    model = model_of(catalog_of(directory, x=text), "x")
    rope = RopeConfig(scaling="yarn", freq_base=10000, freq_scale=0.5, yarn_orig_ctx=2048)
    assert model.settings == {"n_ctx": 4096, "use_mlock": True, "rope": rope}
    assert model.profile.defaults == {}


FUNCTIONS = """
template: {chat: "{{.Input}}", function: "{{toJson .Functions}} {{.Input}}"}
function:
  disable_no_action: true
  no_action_function_name: answer
  response_regex: '(?P<name>\\w+)\\((?P<arguments>.*)\\)'
  json_regex_match: ['(?s)<c>(.*)</c>']
  argument_regex: ['(?P<k>\\w+)=(?P<value>\\w+)']
  argument_regex_key_name: k
  replace_function_results: [{key: "'", value: '"'}]
  replace_llm_results: [{key: "<end>"}]
  capture_llm_results: ["<say>(.*)</say>"]
  function_name_key: function
  function_arguments_key: with
  grammar: {parallel_calls: true, prefix: "<f>", properties_order: "with, function", colour: blue}
parameters: {model: a.gguf}
"""


def test_how_functions_are_called_is_honoured(directory: Path) -> None:
    catalog = catalog_of(directory, x=FUNCTIONS)
    profile = model_of(catalog, "x").profile
    assert profile.calls == CallProfile(
        must_call=True,
        can_repeat=True,
        name_key="function",
        arguments_key="with",
        has_arguments_first=True,
        prefix="<f>",
        json_regex=("(?s)<c>(.*)</c>",),
        call_regex=(r"(?P<name>\w+)\((?P<arguments>.*)\)",),
        argument_regex=(r"(?P<k>\w+)=(?P<value>\w+)",),
        argument_groups=("k", "value"),
        replace_results=(("'", '"'),),
        replace_text=(("<end>", ""),),
        capture_text=("<say>(.*)</say>",),
    )
    assert profile.prompt.function_text == "{{toJson .Functions}} {{.Input}}"
    (unknown,) = notes_of(catalog, "warning")
    assert "function.grammar.colour" in unknown
    assert [note.split(":", 4)[-1].split()[0] for note in notes_of(catalog, "note")] == [
        "function.no_action_function_name",
    ]


@pytest.mark.parametrize("order", ["name,arguments", "arguments", "arguments,city"])
def test_the_name_of_a_call_comes_first_unless_both_keys_are_ordered(
    directory: Path, order: str
) -> None:
    text = f'function: {{grammar: {{properties_order: "{order}"}}}}\nparameters: {{model: a}}\n'
    assert not model_of(catalog_of(directory, x=text), "x").profile.calls.has_arguments_first


@pytest.mark.parametrize("keys", ["disable: true", "mixed_mode: true", 'triggers: [{word: "<c>"}]'])
def test_a_model_that_may_write_freely_need_not_call(directory: Path, keys: str) -> None:
    text = f"function: {{disable_no_action: true, grammar: {{{keys}}}}}\nparameters: {{model: a}}\n"
    assert not model_of(catalog_of(directory, x=text), "x").profile.calls.must_call


@pytest.mark.parametrize(
    ("text", "usecases"),
    [
        ("reranking: true", ("rerank",)),
        ("reranking: true\nknown_usecases: [chat, rerank]", ("chat", "rerank")),
        ("reranking: false", None),
        ("known_usecases: []", ()),
    ],
)
def test_what_a_model_is_for(directory: Path, text: str, usecases: tuple[str, ...] | None) -> None:
    text = f"name: m\nbackend: llama\nparameters: {{model: a.gguf}}\n{text}\n"
    assert model_of(catalog_of(directory, x=text), "m").profile.usecases == usecases
