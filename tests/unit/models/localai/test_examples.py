"""Model files as LocalAI's documentation and gallery have them load, and make their prompts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyserve.models.catalog import Catalog, read_catalog
from pyserve.models.gallery import load_gallery
from pyserve.models.profile import CallProfile, ModelProfile
from pyserve.models.templates.prompter import Prompter
from tests.support.catalogs import GGUF

EXAMPLES = Path(__file__).parent / "examples"
NAMES = {
    "gpt-3.5-turbo", "list1", "list2", "every-key", "parameters", "messages", "tagged-calls",
    "named-calls", "own-template", "text-embedding-ada-002",
}  # fmt: skip
# What has no effect in them matters to nobody who has no graphics card.
WITHOUT_EFFECT = {
    "f16", "gpu_layers", "prompt_cache_path", "prompt_cache_all", "feature_flags",
    "parameters.tfz", "parameters.keep", "option",
    "function.grammar.expect_strings_after_json",
}  # fmt: skip
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "weather", "description": "Weather", "parameters": CITY}
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    directory = tmp_path_factory.mktemp("models")
    shutil.copytree(EXAMPLES, directory, dirs_exist_ok=True)
    (directory / "one.gguf").write_bytes(GGUF)
    return read_catalog(directory, load_gallery())


def profile_of(catalog: Catalog, name: str) -> ModelProfile:
    return next(model.profile for model in catalog.models if model.id == name)


def prompt_of(catalog: Catalog, name: str, tools: list[dict[str, Any]] | None = None) -> str:
    return str(Prompter(profile_of(catalog, name).prompt).chat(CHAT, tools or []))


def test_all_are_served_without_a_warning(catalog: Catalog) -> None:
    assert [str(note) for note in catalog.notes if note.level != "note"] == []
    assert {model.id for model in catalog.models} == NAMES
    without = {note.text.split()[0] for note in catalog.notes if note.model != "every-key"}
    assert without == WITHOUT_EFFECT


def test_keys_that_change_nothing_change_nothing(catalog: Catalog) -> None:
    calls = CallProfile(can_repeat=False, name_key="name", arguments_key="arguments")
    assert profile_of(catalog, "every-key") == ModelProfile(calls=calls)
    (model,) = [model for model in catalog.models if model.id == "every-key"]
    assert model.settings == {}


def test_parameters_are_defaults(catalog: Catalog) -> None:
    profile = profile_of(catalog, "parameters")
    assert profile.defaults["repeat_penalty"] == 1.1
    assert profile.defaults["include_reasoning"] is False
    assert "max_tokens" not in profile.defaults  # 0: no limit
    assert profile.usecases == ("chat", "completion", "edit")


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (
            "gpt-3.5-turbo",
            "Answer the question.\n### System Instruction: Be kind.\n### Instruction: Hi\n"
            "### Response:\n",
        ),
        ("messages", "Be kind.\nUser: Hi\nAssistant:\n"),
        (
            "tagged-calls",
            "<|im_start|>system\nBe kind.<|im_end|>\n\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            "named-calls",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>\n\n"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\n\n"
            "<|start_header_id|>assistant<|end_header_id|>\n",
        ),
    ],
)
def test_prompts_of_chats(catalog: Catalog, name: str, prompt: str) -> None:
    assert prompt_of(catalog, name) == prompt


@pytest.mark.parametrize("name", ["tagged-calls", "named-calls"])
def test_prompts_with_functions_name_them(catalog: Catalog, name: str) -> None:
    prompt = prompt_of(catalog, name, [{"type": "function", "function": TOOL}])
    assert "'weather'" in prompt
    assert json.dumps(CITY, separators=(",", ":")) in prompt
    assert "<function=its_name>" in prompt or "<tool_call>" in prompt


def test_a_model_with_a_template_of_its_own_keeps_it(catalog: Catalog) -> None:
    profile = profile_of(catalog, "own-template")
    assert not profile.prompt.has_chat
    assert profile.calls.is_free
