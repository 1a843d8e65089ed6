"""Chat templates in place of the file's, for tools, and conversations that a template refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.request import TemplateOptions
from pyserve.errors import InvalidRequestError, ModelLoadError
from tests.support.gguf_edit import string, taken_apart
from tests.support.vendor_templates import vendor_templates

KEY = "tokenizer.chat_template"
ROLES = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
# As those of Mistral and Gemma: turns alternate, a system message is the first one or none at all.
FIRST_SYSTEM_ONLY = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('Only the first may be a system message.') }}{% endif %}{% endfor %}"
)
ALTERNATING = (
    "{% set turns = messages | rejectattr('role', 'equalto', 'system') | list %}"
    "{% for m in turns %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate.') }}{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('There is no system role.') }}{% endif %}{% endfor %}"
)


@contextmanager
def engine_of(
    directory: Path, model: Path, templates: dict[str, str], chat_template: str = ""
) -> Iterator[LocalEngine]:
    edit = taken_apart(model.read_bytes())
    edit.keys |= {key: string(text) for key, text in templates.items()}
    path = directory / "x.gguf"
    path.write_bytes(edit.to_bytes())
    config = EngineConfig(model_id="x", model_path=str(path), chat_template=chat_template)
    with closing(LocalEngine(config)) as engine:
        yield engine


def said(text: str) -> list[dict[str, Any]]:
    """Messages of a text such as `system:a user:b`."""
    roles = [turn.split(":") for turn in text.split()]
    return [{"role": role, "content": content} for role, content in roles]


def test_a_template_takes_the_place_of_the_files(tmp_path: Path, tiny_model: Path) -> None:
    variants = {KEY: "own", f"{KEY}.tool_use": "own for tools"}
    template = "{{ mine.a[0] }} {{ messages[0].content }}"
    with engine_of(tmp_path, tiny_model, variants, template) as engine:
        variables = {"mine": {"a": [1]}}
        options = TemplateOptions(tools=TOOLS, variables=variables)
        assert engine.render(said("user:hi"), options) == "1 hi"
        info = engine.info()
        assert (info.chat_template, info.tool_template) == (template, "")
        assert info.has_chat_template


def test_the_variant_for_tools_is_used_where_there_are_tools(
    tmp_path: Path, tiny_model: Path
) -> None:
    variants = {KEY: "plain", f"{KEY}.tool_use": "{{ tools[0].function.name }}"}
    with engine_of(tmp_path, tiny_model, variants) as engine:
        assert engine.render(said("user:hi")) == "plain"
        assert engine.render(said("user:hi"), TemplateOptions(tools=TOOLS)) == "weather"
        assert engine.info().tool_template == variants[f"{KEY}.tool_use"]


@pytest.mark.parametrize("template", ["{% for m in messages %}", "{{ nope(", "{% nope %}"])
def test_one_that_cannot_be_compiled_is_a_load_error(
    tmp_path: Path, tiny_model: Path, template: str
) -> None:
    with (
        pytest.raises(ModelLoadError, match="chat template cannot be used"),
        engine_of(tmp_path, tiny_model, {}, template),
    ):
        pass


@pytest.mark.parametrize(
    ("rules", "messages", "prompt"),
    [
        (FIRST_SYSTEM_ONLY, "system:a user:b system:c user:d", "[system:a\n\nc][user:b][user:d]"),
        (FIRST_SYSTEM_ONLY, "user:b system:c", "[system:c][user:b]"),
        (ALTERNATING, "user:a user:b assistant:c", "[user:a\n\nb][assistant:c]"),
        (
            ALTERNATING,
            "user:a assistant:b assistant:c user:d",
            "[user:a][assistant:b\n\nc][user:d]",
        ),
        (
            ALTERNATING + FIRST_SYSTEM_ONLY,
            "system:a user:b assistant:c system:d user:e user:f",
            "[system:a\n\nd][user:b][assistant:c][user:e\n\nf]",
        ),
        (
            ALTERNATING + FIRST_SYSTEM_ONLY,
            "system:a user:b system:c user:d",
            "[system:a\n\nc][user:b\n\nd]",
        ),
        (NO_SYSTEM, "system:a user:b", "[user:a\n\nb]"),
        # what is not refused stays as it is
        ("", "system:a user:b system:c user:d", "[system:a][user:b][system:c][user:d]"),
        (FIRST_SYSTEM_ONLY, "user:a user:b", "[user:a][user:b]"),
        (ALTERNATING, "system:a system:b user:c", "[system:a][system:b][user:c]"),
    ],
)
def test_a_conversation_that_is_refused_is_arranged(
    tmp_path: Path, tiny_model: Path, rules: str, messages: str, prompt: str
) -> None:
    with engine_of(tmp_path, tiny_model, {KEY: rules + ROLES}) as engine:
        assert engine.render(said(messages)) == prompt


def test_a_system_message_that_would_be_left_out_is_arranged(
    tmp_path: Path, tiny_model: Path
) -> None:
    template = (
        "{% for m in messages %}{% if m.role != 'system' or loop.first %}"
        "[{{ m.role }}:{{ m.content | trim }}]{% endif %}{% endfor %}"
    )
    with engine_of(tmp_path, tiny_model, {KEY: template}) as engine:
        assert engine.render(said("user:a system:b user:c")) == "[system:b][user:a][user:c]"
        spaced = [{"role": "system", "content": " a\n"}, *said("user:b")]
        assert engine.render(spaced) == "[system:a][user:b]"
    none = "{% for m in messages if m.role == 'user' %}{{ m.content }} {% endfor %}"
    with engine_of(tmp_path, tiny_model, {KEY: none}) as engine:
        assert {"word", "other"} <= set(engine.render(said("user:word system:other")).split())


@pytest.mark.skipif(not vendor_templates(), reason="the archive of llama.cpp is not there")
def test_templates_of_well_known_models_take_every_conversation(
    tmp_path: Path, tiny_model: Path
) -> None:
    """Nothing is refused, nothing is left out: of 70 templates."""
    conversations = [
        "system:first user:second",
        "system:first user:second assistant:third system:fourth user:fifth",
        "user:first user:second",
        "user:first assistant:second assistant:third user:fourth",
        "user:first system:second",
    ]
    for name, template in vendor_templates().items():
        with engine_of(tmp_path, tiny_model, {}, template) as engine:
            for conversation in conversations:
                messages = said(conversation)
                prompt = engine.render(messages)
                for message in messages:
                    assert message["content"] in prompt, (name, conversation)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 'y' if nope in ['a'] or 'b' in ['a'] else 'n' }}", "n"),
        ("{{ 'y' if nope not in ['a'] else 'n' }}{{ 'y' if 'a' not in ['a'] else 'n' }}", "yn"),
        ("{{ {'a': 1, 'b': 2} | list | join('-') }}{{ [1, 2] | list | join('-') }}", "a-b1-2"),
        (
            "{% set s = namespace(items=[1]) %}{{ s.items | length }}"
            "{{ {'a': 1}.items() | length }}",
            "11",
        ),
        (
            "{% macro f(a, b='B', c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}"
            "{{ f(1, c='C') }}{{ f(2) }}",
            "1BC2B",
        ),
        (
            "{% macro f(a, b) %}{{ a }}{{ b is defined }}{% endmacro %}{{ f(b=1, a=2) }}{{ f(3) }}",
            "2True3False",
        ),
        ("{{ '{%s} %d%%' | format('a%s', 5) }}{{ '%s' | format([1, 'b']) }}", "{a%s} 5%[1, 'b']"),
        ("{{ [{'a': 1}, {'b': 2}] | selectattr('a', 'undefined') | list | tojson }}", '[{"b": 2}]'),
        ("{{ [{'a': 1}, {'b': 2}] | rejectattr('a', 'defined') | list | tojson }}", '[{"b": 2}]'),
        ("{{ [1, 'b'] | select('string') | join }}{{ [1, 'b'] | reject('string') | join }}", "b1"),
        (
            "{{ [{'a': 1}, {'a': 2}] | selectattr('a', 'equalto', 2) | list | tojson }}",
            '[{"a": 2}]',
        ),
    ],
)
def test_templates_run_as_in_jinja2(
    tmp_path: Path, tiny_model: Path, source: str, expected: str
) -> None:
    with engine_of(tmp_path, tiny_model, {KEY: source}) as engine:
        assert engine.render(said("user:a")) == expected


@pytest.mark.parametrize(
    ("source", "refusal"),
    [
        ("{{ '%s%s' | format('a') }}", "too few values"),
        ("{{ '%x' | format(1) }}", "only %s, %d, %i and %% can be filled in"),
        ("{{ 'a%' | format(1) }}", "only %s, %d, %i and %% can be filled in"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(
    tmp_path: Path, tiny_model: Path, source: str, refusal: str
) -> None:
    with (
        engine_of(tmp_path, tiny_model, {KEY: source}) as engine,
        pytest.raises(InvalidRequestError, match=refusal),
    ):
        engine.render(said("user:a"))


def test_calls_and_their_results_are_not_merged(tmp_path: Path, tiny_model: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        *said("user:a user:b assistant:c"),
        {"role": "assistant", "content": "d", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "e"},
    ]
    rules = (
        "{% for m in messages %}{% if not loop.first and m.role == 'user' %}"
        "{{ raise_exception('two users') }}{% endif %}{% endfor %}"
    )
    with engine_of(tmp_path, tiny_model, {KEY: rules + ROLES}) as engine:
        assert engine.render(messages) == "[user:a\n\nb][assistant:c][assistant:d][tool:e]"


def test_what_cannot_be_arranged_is_refused_in_the_templates_own_words(
    tmp_path: Path, tiny_model: Path
) -> None:
    rules = "{{ raise_exception('Ask about the sea: Error: none.') }}"
    with engine_of(tmp_path, tiny_model, {KEY: rules}) as engine:
        with pytest.raises(InvalidRequestError) as refused:
            engine.render(said("user:a user:b"))
        assert refused.value.param == "messages"
        assert refused.value.message == (
            "the model's chat template refuses these messages: Ask about the sea: Error: none."
        )


# As those of models that also read images: contents are lists.
WALKS = (
    "{% for m in messages %}[{{ m.role }}{% if m.parts %}!{% endif %}"
    "{% for part in m.content %}{% if part.type == 'text' %}|{{ part.text }}{% endif %}"
    "{% endfor %}]{% endfor %}"
)
WALKS_OR_SHOWS = (
    "{% for m in messages %}[{{ m.role }}{% if m.content is string %}={{ m.content }}{% else %}"
    "{% for part in m.content %}|{{ part.text }}{% endfor %}{% endif %}]{% endfor %}"
)
REFUSES_TEXTS = (
    "{% for m in messages %}{% if m.content is string %}{{ raise_exception('no list') }}"
    "{% endif %}{% endfor %}" + WALKS
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (WALKS, "[system|a][user|b|c]"),
        (REFUSES_TEXTS, "[system|a][user|b|c]"),
        (WALKS_OR_SHOWS, "[system=a][user=b\nc]"),
        (ROLES, "[system:a][user:b\nc]"),
        (ALTERNATING + WALKS, "[system|a][user|b|c]"),
    ],
)
def test_parts_go_to_templates_that_show_nothing_else(
    tmp_path: Path, tiny_model: Path, template: str, expected: str
) -> None:
    messages = [*said("system:a"), {"role": "user", "content": "b\nc", "parts": ["b", "c"]}]
    with engine_of(tmp_path, tiny_model, {KEY: template}) as engine:
        assert engine.render(messages) == expected


def test_parts_of_a_content_that_was_changed_are_one(tmp_path: Path, tiny_model: Path) -> None:
    parts = {"parts": ["b", "c"]}
    turns = [{"role": "user", "content": "b\nc", **parts}, *said("user:d")]
    with engine_of(tmp_path, tiny_model, {KEY: ALTERNATING + WALKS}) as engine:
        changed = [{"role": "user", "content": "b\nc and more", **parts}]
        assert engine.render(changed) == "[user|b\nc and more]"
        assert engine.render(turns) == "[user|b\nc\n\nd]"
