"""Which keys of a model file are known, and what becomes of their values."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserve.models.localai.reader import read_models
from pyserve.models.model_file import Limits
from tests.support.catalogs import ADAPTER, FULL, catalog_of, model_of, notes_of


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
compression:
  enabled: true
  trigger_at_ratio: 0.5
  keep_tail_tokens: 100
  max_summary_tokens: 64
  compressor_model: x
  on_post_compression_overflow: error
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
    assert everything.profile.defaults["truncation"] == {
        "type": "compact",
        "ratio": 0.5,
        "tail_tokens": 100,
        "max_summary_tokens": 64,
        "overflow": "disabled",
    }
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


def test_samplers_that_localai_switches_off_are_off(directory: Path) -> None:
    parameters = "{model: a.gguf, top_p: 80, top_k: 0.9, typical_p: 1.5, temperature: 0.1}"
    catalog = catalog_of(directory, old=f"name: old\nparameters: {parameters}\n")
    assert notes_of(catalog, "error") == []
    warnings = [note.partition(": old: ")[2] for note in notes_of(catalog, "warning")]
    assert warnings == [
        "parameters.top_p is 80, and counts as 1.0, as in LocalAI",
        "parameters.top_k is 0.9, and counts as 0, as in LocalAI",
        "parameters.typical_p is 1.5, and counts as 1.0, as in LocalAI",
    ]
    found = model_of(catalog, "old").profile.defaults
    assert (found["top_p"], found["top_k"], found["typical_p"]) == (1.0, 0, 1.0)


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


AS_WRITTEN = """
name: 3.10
aliases: [No, 1e3, 0x10]
parameters: {model: tiny.gguf, temperature: 1, max_tokens: 7, echo: no, stop: Off}
stopwords: [Yes, No, 1.50, "true", null_word]
system_prompt: 2024
roles: {user: On, assistant: 007}
template: {use_tokenizer_template: yes}
chat_template_kwargs: {enable_thinking: yes, level: 2.50}
"""


def test_texts_stay_what_is_written() -> None:
    (entry,), notes = read_models("x.yaml", AS_WRITTEN)
    assert notes == []
    values = entry.values
    assert (entry.name, values.name, values.aliases) == ("3.10", "3.10", ["No", "1e3", "0x10"])
    assert values.stopwords == ["Yes", "No", "1.50", "true", "null_word"]
    assert values.parameters.stop == ["Off"]
    assert values.system_prompt == "2024"
    assert values.roles == {"user": "On", "assistant": "007"}
    assert (values.parameters.temperature, values.parameters.echo) == (1, False)
    assert values.template.use_tokenizer_template is True
    assert values.chat_template_kwargs == {"enable_thinking": True, "level": 2.5}


def test_a_text_of_a_merged_mapping_is_its_own() -> None:
    text = "- &base\n  name: 1.10\n  parameters: {model: a.gguf}\n- <<: *base\n  name: 2.20\n"
    (first, second), _ = read_models("x.yaml", text)
    assert (first.name, second.name) == ("1.10", "2.20")
