"""Templates of strangers: what they may use is bounded, and other prompts do without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.errors import InvalidRequestError
from tests.support.gguf_edit import string, taken_apart

MESSAGES = [{"role": "user", "content": "hi"}]
DOUBLING = (
    "{% set x = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set x.s = x.s + x.s %}"
    "{% endfor %}{{ x.s }}"
)
HARMFUL = [
    ("classes of Python", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    ("builtins of Python", "{{ cycler.__init__.__globals__.os.popen('id').read() }}"),
    ("10^12 steps", "{% for i in range(1000000000000) %}x{% endfor %}"),
    ("10^10 steps", "{% for i in range(99999) %}" * 2 + "{% endfor %}" * 2),
    ("doubling", DOUBLING),
    ("text of 10 GB", "{{ 'a' * 10000000000 }}"),
    ("text of 10 GB, turned round", "{{ 10000000000 * 'a' }}"),
    ("text of texts of 1 TB", "{{ 'a' * 1000000 * 1000000 }}"),
    ("100,000 parentheses", "{{ " + "(" * 100_000 + " }}"),
    ("100,000 lists", "{{ " + "[" * 100_000 + "]" * 100_000 + " }}"),
    ("40,000 nots", "{{ " + "not " * 40_000 + "1 }}"),
    ("40,000 ifs", "{% if 1 %}" * 40_000 + "{% endif %}" * 40_000),
    ("20,000 elifs", "{% if 0 %}" + "{% elif 0 %}" * 20_000 + "{% endif %}"),
    ("a macro of itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    ("a source of 1 MB", "x" * (1 << 20)),
    ("other files", "{% include '/etc/passwd' %}"),
    ("imports", "{% import 'os' as os %}{{ os }}"),
    ("raises", "{{ raise_exception('no') }}"),
    ("open tag", "{% for m in messages %}{{ m.content"),
    ("unknown tag", "{% nope %}"),
    ("unknown filter", "{{ messages | nope }}"),
    ("division by zero", "{{ 1 // 0 }}"),
]
COUNT_DOWN = "{% macro f(n) %}{% if n %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
GOOD = [
    ("range", "{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}", "321"),
    ("loops in loops", "{% for i in range(30) %}" * 2 + "x" + "{% endfor %}" * 2, "x" * 900),
    ("a macro that calls itself", COUNT_DOWN + "{{ f(3) }}", "321"),
    (
        "products",
        "{{ 'ab' * 3 }}{{ 2 * 'c' }}{{ 3 * 4 * 5 }}{{ 1000000 * 1000000 }}",
        "abababcc601000000000000",
    ),
    ("elifs", "{% if 0 %}a" + "{% elif 0 %}b" * 30 + "{% else %}c{% endif %}", "c"),
    ("blocks in a row", "{% if 1 %}x{% elif 1 %}y{% endif %}" * 500, "x" * 500),
]


def engine_with(path: Path, tiny_model: Path, template: str | bytes) -> LocalEngine:
    edit = taken_apart(tiny_model.read_bytes())
    edit.keys["tokenizer.chat_template"] = string(template)
    path.write_bytes(edit.to_bytes())
    return LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), n_threads=1))


@pytest.mark.parametrize("template", [pytest.param(row[1], id=row[0]) for row in HARMFUL])
def test_harmful_templates_are_refused_and_leave_the_rest(
    tmp_path: Path, tiny_model: Path, template: str
) -> None:
    engine = engine_with(tmp_path / "x.gguf", tiny_model, template)
    try:
        with pytest.raises(InvalidRequestError) as refused:
            engine.render(MESSAGES)
        assert refused.value.param == "messages"
        assert engine.tokenize("hi", add_special=False, parse_special=False)
    finally:
        engine.close()


@pytest.mark.parametrize(("template", "text"), [pytest.param(*row[1:], id=row[0]) for row in GOOD])
def test_templates_that_mean_well_are_not_disturbed(
    tmp_path: Path, tiny_model: Path, template: str, text: str
) -> None:
    engine = engine_with(tmp_path / "x.gguf", tiny_model, template)
    assert engine.render(MESSAGES) == text
    engine.close()


def test_a_template_of_no_utf8_is_no_crash(tmp_path: Path, tiny_model: Path) -> None:
    template = b"{{ '\xff\xfe' }}{{ messages[0].content }}"
    engine = engine_with(tmp_path / "x.gguf", tiny_model, template)
    assert "hi" in engine.render(MESSAGES)
    engine.close()
