from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserve.cli.check import check
from pyserve.engine.config import Override, RopeConfig
from pyserve.models.catalog import Catalog, read_catalog
from pyserve.models.gallery import load_gallery
from pyserve.models.model_file import Limits, ModelFile
from pyserve.models.profile import CallProfile

GGUF = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)
TYPE, ADAPTER_TYPE = b"general.type", b"adapter"
ADAPTER = b"".join(
    (
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1),
        struct.pack("<Q", len(TYPE)) + TYPE,
        struct.pack("<IQ", 8, len(ADAPTER_TYPE)) + ADAPTER_TYPE,
    )
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(GGUF)
    return tmp_path


def catalog_of(directory: Path, **files: str) -> Catalog:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return read_catalog(directory, load_gallery())


def model_of(catalog: Catalog, name: str) -> ModelFile:
    (model,) = [model for model in catalog.models if model.id == name]
    return model


def notes_of(catalog: Catalog, level: str) -> list[str]:
    return [str(note) for note in catalog.notes if note.level == level]


FULL = """
name: assistant
backend: llama-cpp
description: Answers briefly.
usage: |
  Ask it.
context_size: 2048
threads: 4
f16: true
mmap: false
gpu_layers: 35
known_usecases: [FLAG_CHAT, completion]
aliases: [helper, "gpt-*"]
parameters:
  model: a.gguf
  temperature: 0.2
  top_p: 0.9
  top_k: 80
  min_p: 0.1
  max_tokens: 200
  repeat_penalty: 1.1
  presence_penalty: 0.5
  frequency_penalty: -0.5
  seed: 7
  ignore_eos: true
  typical_p: 0.95
  batch_size: 256
  n_keep: 5
mirostat: 2
mirostat_tau: 4
mirostat_eta: 0.2
stopwords: ["USER:", "</s>"]
cutstrings: ['\\[.*?\\]']
extract_regex: ['<a>(.*)</a>']
trimspace: ["ASSISTANT:"]
trimsuffix: ["</s>"]
system_prompt: Be brief.
roles: {user: "USER:", assistant: "ASSISTANT:"}
cache_type_k: q8_0
flash_attention: off
numa: true
overrides: ["a.b=int:1", "a.c=str:x,y"]
options: ["parallel:2", "use_jinja:true"]
function:
  grammar:
    disable: true
"""


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


def test_what_has_no_effect_is_a_note_and_what_is_unknown_a_warning(directory: Path) -> None:
    catalog = catalog_of(directory, x=FULL + "colour: blue\nparameters2: {}\n")
    notes = notes_of(catalog, "note")
    assert any("x.yaml:11:" in note and "gpu_layers has no effect" in note for note in notes)
    assert any("parameters.n_keep" in note for note in notes)
    assert any("use_jinja" in note for note in notes)
    assert notes_of(catalog, "warning") == [
        "x.yaml:47: warning: assistant: colour is not a key that is known here",
        "x.yaml:48: warning: assistant: parameters2 is not a key that is known here",
    ]
    assert notes_of(catalog, "error") == []


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
        ("name: x\nparameters: {model: a.gguf, top_p: 3}", "parameters.top_p"),
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
        ("name: x\nparameters: {model: a.gguf}\nchat_template_kwargs: {k: 1}", "is not one of"),
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


class TestTemplates:
    def prompt(self, directory: Path, text: str = "name: x\nparameters: {model: a.gguf}\n"):
        return model_of(catalog_of(directory, x=text), "x").profile.prompt

    def test_beside_the_model_file(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("Q: {{.Input}}")
        prompt = self.prompt(directory)
        assert {prompt.chat, prompt.completion, prompt.edit} == {prompt.chat}
        assert prompt.chat is not None
        assert prompt.chat.text == "Q: {{.Input}}"

    def test_a_loose_model_has_it_too(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("Q: {{.Input}}")
        prompt = model_of(catalog_of(directory), "a").profile.prompt
        assert prompt.chat is not None

    def test_by_name_and_inline_come_first(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("beside")
        (directory / "mine.tmpl").write_text("mine {{.Input}}")
        text = "template: {chat: mine, completion: 'inline {{.Input}}'}\n"
        prompt = self.prompt(directory, "name: x\nparameters: {model: a.gguf}\n" + text)
        texts = [getattr(prompt, kind).text for kind in ("chat", "completion", "edit")]
        assert texts == ["mine {{.Input}}", "inline {{.Input}}", "beside"]

    def test_the_model_files_own(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("beside")
        text = "template: {use_tokenizer_template: true}\n"
        prompt = self.prompt(directory, "name: x\nparameters: {model: a.gguf}\n" + text)
        assert (prompt.chat, prompt.has_chat) == (None, False)


def test_check_prints_what_is_used_and_fails_on_errors(directory: Path) -> None:
    (directory / "x.yaml").write_text(FULL)
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 0, result.output
    assert "assistant (a.gguf)" in result.output
    assert "n_ctx 2048" in result.output
    assert "gpu_layers has no effect: there is no GPU here" in result.output
    (directory / "y.yaml").write_text("name: [")
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 1
    assert "y.yaml:" in result.output


EVERY_KEY = """
name: everything
backend: llama
description: All that model files say.
usage: none
debug: true
pinned: true
download_files: [{filename: a.gguf, uri: 'https://host/a.gguf', sha256: abc}]
artifacts: []
feature_flags: {usage: true}
known_usecases: [FLAG_CHAT]
parameters:
  model: a.gguf
  temperature: 0.7
  top_k: 40
  top_p: 0.95
  min_p: 0.05
  max_tokens: 256
  n: 1
  echo: false
  seed: -1
  frequency_penalty: 0.1
  presence_penalty: 0.1
  repeat_penalty: 1.1
  repeat_last_n: 64
  typical_p: 1.0
  tfz: 1.0
  n_keep: 0
  keep: 0
  batch: 512
  ignore_eos: false
  logprobs: 1
  top_logprobs: 1
  logit_bias: {5: -10}
  negative_prompt: x
  rope_freq_base: 10000
  rope_freq_scale: 1
  tokenizer: x
  language: en
  f16kv: true
context_size: 1024
threads: 2
f16: true
mmap: true
mmlock: false
numa: true
embeddings: true
reranking: false
flash_attention: auto
cache_type_k: f16
cache_type_v: q8_0
no_kv_offloading: true
rope_scaling: linear
yarn_ext_factor: 1.0
yarn_attn_factor: 1.0
yarn_beta_fast: 32
yarn_beta_slow: 1
rms_norm_eps: 0.00001
ngqa: 8
low_vram: true
gpu_layers: 10
tensor_split: "1,1"
main_gpu: "0"
no_mulmatq: true
cuda: true
quantization: x
mmproj: x.gguf
options: ["gpu"]
overrides: ["a=int:1"]
mirostat: 2
mirostat_tau: 5.0
mirostat_eta: 0.1
stopwords: ["</s>"]
cutstrings: ["a"]
extract_regex: ["b"]
trimspace: ["c"]
trimsuffix: ["d"]
system_prompt: Be brief.
roles: {user: "U:", assistant: "A:", system: "S:", tool: "T:", assistant_function_call: "F:"}
template:
  chat: "{{.Input}}"
  chat_message: "{{.Content}}"
  completion: "{{.Input}}"
  edit: "{{.Instruction}} {{.Input}}"
  function: "{{.Input}}"
  use_tokenizer_template: false
  join_chat_messages_by_character: "\\n"
  multimodal: x
  reply_prefix: x
chat_template_kwargs: {enable_thinking: false}
function:
  disable_no_action: true
  no_action_function_name: answer
  no_action_description_name: x
  response_regex: ["a"]
  json_regex_match: ["a"]
  replace_function_results: [{key: a, value: b}]
  grammar: {parallel_calls: true, disable: true, mixed_mode: true, properties_order: "a,b"}
grammar: 'root ::= "a"'
reasoning_effort: low
reasoning: {disable: true, strip_reasoning_only: true, tag_pairs: [{start: a, end: b}]}
prompt_cache_path: cache
prompt_cache_all: true
prompt_cache_ro: true
draft_model: b.gguf
n_draft: 4
lora_adapter: l
lora_base: b
lora_scale: 0.5
lora_adapters: []
lora_scales: []
limits: {max_concurrent: 2, retry_after_seconds: 5}
concurrency_groups: [a]
compression: {enabled: true}
grpc: {attempts: 3}
mcp: {remote: ""}
agent: {max_attempts: 3}
pii: {}
router: {}
step: 20
diffusers: {cuda: true}
tts: {voice: x}
vall-e: {audio_path: x}
trust_remote_code: true
enforce_eager: true
swap_space: 2
max_model_len: 100
gpu_memory_utilization: 0.5
"""


def test_every_key_of_the_format_is_known(directory: Path) -> None:
    (directory / "l").write_bytes(ADAPTER)
    catalog = catalog_of(directory, x=EVERY_KEY)
    assert notes_of(catalog, "warning") == []
    assert notes_of(catalog, "error") == []
    everything = model_of(catalog, "everything")
    assert everything.profile.defaults["logit_bias"] == {5: -10}
    assert everything.profile.thinking.tags == (("a", "b"),)
    assert everything.settings["shown_tokens"] == ("a", "b")
    assert everything.profile.shape.prefix == "x"
    assert everything.limits == Limits(max_concurrent=2, retry_after_s=5, groups=frozenset({"a"}))


EXAMPLES = {
    "koala": """
name: koala
context_size: 512
threads: 4
parameters:
  model: a.gguf
  top_k: 80
  temperature: 0.2
  top_p: 0.7
roles: {assistant: "GPT:", user: "USER:"}
template:
  chat: koala-chat
stopwords: ["USER:"]
""",
    "chatml": """
- &base
  name: one
  mmap: true
  context_size: 4096
  f16: true
  stopwords: [<|im_end|>, <dummy32000>, </s>]
  parameters: {model: a.gguf}
  template:
    chat_message: |
      <|im_start|>{{if eq .RoleName "assistant"}}assistant{{else if eq .RoleName "system"}}system
      {{- else}}user{{end}}
      {{if .Content}}{{.Content}}{{end}}<|im_end|>
    chat: |
      {{.Input -}}
      <|im_start|>assistant
    completion: |
      {{.Input}}
- <<: *base
  name: two
  description: The same file under another name.
""",
    "jinja": """
name: jinja
parameters: {model: b.gguf, min_p: 0, repeat_penalty: 1}
function: {grammar: {disable: true}, automatic_tool_parsing_fallback: true}
options: [use_jinja:true]
template: {use_tokenizer_template: true}
""",
}


def test_configurations_as_users_write_them_load_without_a_word(directory: Path) -> None:
    (directory / "koala-chat.tmpl").write_text("BEGINNING OF CONVERSATION: {{.Input}} GPT:")
    catalog = catalog_of(directory, **EXAMPLES)
    assert [model.id for model in catalog.models] == ["one", "two", "jinja", "koala"]
    assert notes_of(catalog, "warning") + notes_of(catalog, "error") == []
    assert model_of(catalog, "two").profile.stop == model_of(catalog, "one").profile.stop


WRONG = [
    None, 0, -1, 10**400, float("nan"), float("inf"), "", "x" * 3000, "a\nb", "../..", "(", "{{",
    [], [1], [None], [[["a"]]], {}, {"a": {1: 2}}, True,
]  # fmt: skip
KEYS = [
    (key,) if section is None else (section, key)
    for section, keys in ((None, yaml.safe_load(EVERY_KEY)), *yaml.safe_load(EVERY_KEY).items())
    if isinstance(keys, dict)
    for key in keys
]


@given(st.sampled_from(KEYS), st.sampled_from(WRONG))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_of_any_key_is_taken_or_noted(
    directory: Path, path: tuple[str, ...], value: object
) -> None:
    values = yaml.safe_load(EVERY_KEY)
    section = values if len(path) == 1 else values[path[0]]
    section[path[-1]] = value
    catalog = catalog_of(directory, x=yaml.safe_dump(values, allow_unicode=True))
    served = [model for model in catalog.models if model.path.name == "a.gguf"]
    assert served or catalog.notes
    for model in served:
        assert model.id.isprintable()
        json.dumps(model.profile.defaults, allow_nan=False)


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


def test_check_shows_settings_as_they_are_written(directory: Path) -> None:
    text = "name: x\nparameters: {model: a.gguf}\noverrides: ['a.b=int:3', 'c=bool:true']\n"
    (directory / "x.yaml").write_text(text)
    result = CliRunner().invoke(check, [str(directory)])
    assert "engine: overrides a.b=3 c=True" in result.output


def test_check_tells_of_adapters(directory: Path) -> None:
    (directory / "l.gguf").write_bytes(ADAPTER)
    (directory / "x.yaml").write_text("name: x\nparameters: {model: a.gguf}\nlora_adapter: l\n")
    result = CliRunner().invoke(check, [str(directory)])
    assert result.exit_code == 0
    assert "adapters: l (l.gguf, scale 1) as x-l" in result.output
