"""Ways in which templates show calls, one small template for each: the format that is derived."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, TemplateOptions
from pyserve.openai.chat.chat import chat_conversation
from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.call_writer import Calls
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.grammar import Surroundings, answer_grammar
from pyserve.openai.tools.parts import AnswerStyle, Thinking
from pyserve.openai.tools.prompt import with_history
from pyserve.openai.tools.recognition import format_of, recognized
from pyserve.openai.tools.value_types import TEXT
from pyserve.schemas.chat import ChatRequest
from tests.support.parts import read
from tests.support.tiny.llama import write_tiny_llama

# A template whose turns are in ChatML: what it makes of the calls of a message is put in.
TURNS = (
    "{{% if tools %}}<|im_start|>system\n{{{{ tools | tojson }}}}<|im_end|>\n{{% endif %}}"
    "{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}"
    "{{% if m.tool_calls %}}{calls}{{% endif %}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
)
EACH = "{% for c in m.tool_calls %}"
ELSE = "{% if not loop.last %}"
# By what a call is written with: what the template makes of calls, the form, a run of two calls.
FORMS: dict[str, tuple[str, str, str]] = {
    "an id that names the function": (
        f"<|calls_begin|>{EACH}<|call_begin|>{{{{ c.id }}}}<|arguments_begin|>"
        "{{ c.function.arguments | tojson }}<|call_end|>{% endfor %}<|calls_end|>",
        "derived named",
        '<|calls_begin|><|call_begin|>functions.f:0<|arguments_begin|>{"a": "x"}<|call_end|>'
        "<|call_begin|>functions.g:1<|arguments_begin|>{}<|call_end|><|calls_end|>",
    ),
    "lines between parameters": (
        EACH + "\n<function={{ c.function.name }}>\n"
        "{% for k, v in c.function.arguments | items %}  <parameter={{ k }}>{{ v }}</parameter>\n"
        "{% endfor %}</function>{% endfor %}",
        "derived tagged",
        "<function=f>\n  <parameter=a>x</parameter>\n</function>\n<function=g>\n</function>",
    ),
    "texts between marks": (
        EACH + "<begin_call>call:{{ c.function.name }}{{ '{' }}"
        "{% for k, v in c.function.arguments | dictsort %}{{ k }}:"
        "{% if v is string %}<escape>{{ v }}<escape>{% else %}{{ v }}{% endif %}"
        + ELSE
        + ",{% endif %}{% endfor %}{{ '}' }}<end_call>{% endfor %}<begin_result>",
        "derived quoted",
        "<begin_call>call:f{a:<escape>x<escape>}<end_call><begin_call>call:g{}<end_call>",
    ),
    "a list and nothing else": (
        "[" + EACH + '{"name": "{{ c.function.name }}", "arguments": '
        "{{ c.function.arguments | tojson }}}" + ELSE + ", {% endif %}{% endfor %}]",
        "derived object",
        '[{"name": "f", "arguments": {"a": "x"}}, {"name": "g", "arguments": {}}]',
    ),
    "Python and nothing else": (
        "[" + EACH + "{{ c.function.name }}({% for k, v in c.function.arguments | items %}"
        "{{ k }}={{ v | tojson }}"
        + ELSE
        + ", {% endif %}{% endfor %})"
        + ELSE
        + ", {% endif %}{% endfor %}]",
        "derived pythonic",
        '[f(a="x"), g()]',
    ),
    "Python with values that are all texts": (
        "[" + EACH + "{{ c.function.name }}({% for k, v in c.function.arguments | items %}"
        "{{ k }}=\"{{ '%s' | format(v) }}\""
        + ELSE
        + ", {% endif %}{% endfor %})"
        + ELSE
        + ", {% endif %}{% endfor %}]",
        "derived pythonic",
        '[f(a="x"), g()]',
    ),
    "marks around all values": (
        EACH + "<begin_call>call:{{ c.function.name }}{{ '{' }}"
        "{% for k, v in c.function.arguments | dictsort %}{{ k }}:<escape>{{ v }}<escape>"
        + ELSE
        + ",{% endif %}{% endfor %}{{ '}' }}<end_call>{% endfor %}<begin_result>",
        "derived quoted",
        "<begin_call>call:f{a:<escape>x<escape>}<end_call><begin_call>call:g{}<end_call>",
    ),
    "arguments that are texts": (
        "<calls>[" + EACH + '{"name": "{{ c.function.name }}", "arguments": '
        "{{ c.function.arguments | string }}}" + ELSE + ", {% endif %}{% endfor %}]</calls>",
        "derived object",
        '<calls>[{"name": "f", "arguments": {"a": "x"}}, {"name": "g", "arguments": {}}]</calls>',
    ),
    "a macro that gets a part of its arguments": (
        "{% macro told(name, sign, given={}, more='', other='\"') %}{% if more %}?{% endif %}"
        "<call>{{ name }}{{ sign }}{{ given | tojson }}{{ other }}</call>{% endmacro %}"
        + EACH
        + "{{ told(c.function.name, other='!', given=c.function.arguments) }}{% endfor %}",
        "derived named",
        '<call>f{"a": "x"}!</call><call>g{}!</call>',
    ),
    "attributes that are called as methods": (
        "{% set all = namespace(items=[]) %}" + EACH + "{% set all.items = all.items + [c] %}"
        "{% endfor %}{% for c in all.items %}<call>{{ c.function | tojson }}</call>{% endfor %}",
        "derived object",
        '<call>{"name": "f", "arguments": {"a": "x"}}</call>'
        '<call>{"name": "g", "arguments": {}}</call>',
    ),
    "a form that is told, and not the one that is shown": (
        "{# <tool_call> #}["
        + EACH
        + "{{ c.function | tojson }}"
        + ELSE
        + ", {% endif %}{% endfor %}]",
        "known object",
        '<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>',
    ),
    "calls that are refused": (
        "<tool_call>{{ raise_exception('no calls') }}",
        "generic object",
        '<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>',
    ),
}
CALLS = [("f", '{"a": "x"}'), ("g", "{}")]
TOLD = [
    {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
    for i, (name, arguments) in enumerate(CALLS)
]
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "Question"},
    {"role": "assistant", "content": "", "tool_calls": TOLD},
    *({"role": "tool", "tool_call_id": call["id"], "content": "Result"} for call in TOLD),
]


@contextmanager
def engine_of(folder: Path, source: str, controls: Sequence[str] = ()) -> Iterator[LocalEngine]:
    path = folder / "tiny.gguf"
    write_tiny_llama(path, chat_template=source, n_ctx=1024, controls=controls)
    with closing(LocalEngine(EngineConfig(model_id="m", model_path=str(path)))) as engine:
        yield engine


def form_of(engine: LocalEngine, source: str) -> AnswerFormat:
    def render(messages: Any, tools: Any, variables: Any) -> str:
        return engine.render(messages, TemplateOptions(tools=tools, variables=variables))

    return recognized(source, render)


def check_grammar(engine: LocalEngine, form: AnswerFormat) -> None:
    """The grammar of one required call allows what the template writes, and nothing after it."""
    history = [HISTORY[0], {**HISTORY[1], "tool_calls": TOLD[:1]}, HISTORY[2]]
    answer = engine.render(with_history(history, form)).rpartition("assistant\n")[0]
    answer = (
        answer.rpartition("assistant\n")[2]
        .partition("<|im_end|>")[0]
        .removesuffix("<begin_result>")
    )
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    calls = Calls(
        form.calls, [Function("f", schema, "tools.0")], is_required=True, can_repeat=False
    )
    grammar = answer_grammar(None, calls, "", Surroundings(form.text_begin, form.channels))
    for text, is_allowed in ((answer, True), (answer[1:], False)):
        said = engine.tokenize(text, add_special=False, parse_special=False)
        request = GenerateRequest(prompt="x", grammar=grammar, said=said, max_tokens=len(said) + 9)
        deltas = list(engine.submit(request))
        ended = deltas[-1].finish is not None and deltas[-1].finish.reason == "stop"
        more = "".join(delta.text for delta in deltas).strip()
        assert (ended and not more) == is_allowed, (text, more)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_calls_is_derived_and_read(tmp_path: Path, name: str) -> None:
    calls, expected, written = FORMS[name]
    source = TURNS.format(calls=calls)
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
        assert f"{form.origin} {form.calls.kind}" == expected
        style = AnswerStyle(None, form.calls, {("f", "a"): TEXT}, marks=form.all_marks)
        for chunks in ([written], list(written)):
            text, _, made = read(style, chunks)
            assert text.strip() == ""
            assert [(one, json.loads(arguments)) for one, arguments in made] == [
                (one, json.loads(arguments)) for one, arguments in CALLS
            ]
        if form.origin == "derived":
            check_grammar(engine, form)
            prompt = engine.render(with_history(HISTORY, form))
            assert "".join(written.split()) in "".join(prompt.split())


def test_white_space_before_a_call_is_no_part_of_its_mark(tmp_path: Path) -> None:
    source = (
        "{{ tools | tojson }}{% for m in messages %}{{ m.role }}:"
        "{% for c in m.tool_calls or [] %}{{ '\n<call> ' }}{{ c.function | tojson }}{% endfor %}"
        "{% if not m.tool_calls %} {{ m.content }}{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: \n{% endif %}"
    )
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
    assert (form.origin, form.calls.trigger) == ("derived", "<call>")


@pytest.mark.parametrize(
    ("told", "tags"),
    [
        ("think in <think></think>, answer in <response></response>", "response"),
        (
            "{{ m.content.split('</think>')[-1].split('<answer>')[-1].split('</answer>')[0] }}",
            "answer",
        ),
        ("answer in <response></response>", ""),  # and it does not think
        ("results in <response>1</response>, <think></think>", ""),
    ],
)
def test_tags_around_text_are_told_by_the_template(tmp_path: Path, told: str, tags: str) -> None:
    source = TURNS.format(calls="") + f"{{% if false %}}{told}{{% endif %}}"
    with engine_of(tmp_path, source) as engine:
        body = {"messages": [HISTORY[0]]}
        made = chat_conversation(engine, ChatRequest.model_validate(body))
    assert made.style.text_tags == ((f"<{tags}>", f"</{tags}>") if tags else None)
    if tags:
        answer = f"<think>a</think><{tags}>b</{tags}>"
        assert read(made.style, list(answer)) == ("b", "a", [])


@pytest.mark.parametrize("said", ["</think>\n\nHi", "<think>\n\n</think>\n\nHi", "Hi"])
def test_tags_are_no_text_after_thoughts_that_the_prompt_has_closed(
    tmp_path: Path, said: str
) -> None:
    source = TURNS.format(calls="") + "{{ '<think></think>' if not enable_thinking }}"
    with engine_of(tmp_path, source) as engine:
        body = ChatRequest.model_validate({"messages": [HISTORY[0]], "enable_thinking": False})
        made = chat_conversation(engine, body)
    assert made.thinking is None
    assert read(made.style, list(said)) == ("Hi", "", [])


def test_results_in_the_turn_of_the_call_end_the_answer(tmp_path: Path) -> None:
    source = TURNS.format(calls=FORMS["texts between marks"][0])
    with engine_of(tmp_path, source) as engine:
        assert form_of(engine, source).stops == ("<begin_result>",)


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("{% if tools is none %}none{% else %}{{ tools | tojson }}{% endif %}", "none"),
        ("{{ 'none' if documents is none else documents | tojson }}", "none"),
        # for tools alone: it goes through them
        ("{% for tool in tools %}{{ tool.name }}{% endfor %}", ""),
        ("{{ tools | length }}", "0"),
    ],
)
def test_what_is_not_given_is_none(tmp_path: Path, source: str, prompt: str) -> None:
    with engine_of(tmp_path, source + "{{ messages[0].content }}") as engine:
        assert engine.render([{"role": "user", "content": "hi"}]) == f"{prompt}hi"


PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}"
    "{% if m.role == 'system' and m['tools'] %}<|tool|>{{ m['tools'] }}<|/tool|>{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
def test_tools_stand_in_the_system_message_of_templates_that_show_them_there(
    tmp_path: Path, system: list[Any]
) -> None:
    function = {"name": "f", "description": "Ends <|end|> it.", "parameters": {"type": "object"}}
    body = {"messages": [*system, *HISTORY], "tools": [{"type": "function", "function": function}]}
    with engine_of(tmp_path, PHI, ["<|end|>", "<|tool|>", "<|tool_call|>"]) as engine:
        made = chat_conversation(engine, ChatRequest.model_validate(body))
        prompt = engine.render(made.messages, made.options)
    head = system[0]["content"] if system else "You are a helpful assistant with some tools."
    assert prompt.startswith(f"<|system|>{head}<|tool|>[{json.dumps(function)}]<|/tool|><|end|>")
    assert '<|tool_call|>[{"name": "f", "arguments": {"a": "x"}}, ' in prompt
    answer = 'So<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>'
    for chunks in ([answer], list(answer)):
        assert read(made.style, chunks) == ("So", "", [("f", "{}")])


def test_an_end_of_turns_that_is_no_token_ends_the_answer(tmp_path: Path) -> None:
    source = TURNS.format(calls="").replace("<|im_end|>", "<|over|>")
    for controls, stops in (((), ("<|over|>",)), (("<|over|>",), ())):
        with engine_of(tmp_path, source, controls) as engine:
            assert format_of(engine, source).stops == stops


def test_an_end_of_calls_that_is_no_token_ends_the_answer_too(tmp_path: Path) -> None:
    source = TURNS.format(calls="").replace("<|im_end|>", "<|eot_id|>")
    ends = ("<|eot_id|>", "<|eom_id|>")
    for controls, stops in (((), ends), (ends, ()), (ends[:1], ends[1:])):
        with engine_of(tmp_path, source, controls) as engine:
            assert format_of(engine, source).stops == stops


def test_marks_of_other_templates_are_no_text_where_they_are_control_tokens(
    tmp_path: Path,
) -> None:
    source = TURNS.format(calls="")
    for controls, marks in (((), set()), (("[ARGS]", "<|python_tag|>"),) * 2):
        with engine_of(tmp_path, source, controls) as engine:
            assert set(format_of(engine, source).marks) >= set(marks)
            assert ("[ARGS]" in format_of(engine, source).marks) == bool(marks)


def test_raw_parts_of_a_template_are_text(tmp_path: Path) -> None:
    source = "{% raw %}{{ x }} {% if %}'{% endraw %}{{ messages[0].content }}"
    with engine_of(tmp_path, source) as engine:
        assert engine.render([{"role": "user", "content": "hi"}]) == "{{ x }} {% if %}'hi"


def test_tags_that_are_control_tokens_are_no_text(tmp_path: Path) -> None:
    source = (
        TURNS.format(
            calls=f"{EACH}<tool_call>{{{{ c.function | tojson }}}}</tool_call>{{% endfor %}}"
        )
        + "<think></think>"
    )
    answer = 'a</think> b <tool_call>{"name": "f", "arguments": {}}</tool_call> c</tool_call>'
    told = {(): "a</think> b c</tool_call>", ("</think>", "</tool_call>"): "a b c"}
    for controls, expected in told.items():
        with engine_of(tmp_path, source, controls) as engine:
            form = format_of(engine, source)
        style = AnswerStyle(Thinking(*(form.thinking or ("", ""))), form.calls, marks=form.marks)
        for chunks in ([answer], list(answer)):
            text, _, calls = read(style, chunks)
            assert (text, calls) == (expected, [("f", "{}")])


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("{% if not m.name %}{{ raise_exception('no name') }}{% endif %}{{ m.content }}", "Result"),
        ("[{{ m.name }}:{{ m.content }}]", "[g:Result]"),
    ],
)
def test_results_have_the_names_that_templates_want(
    tmp_path: Path, result: str, shown: str
) -> None:
    calls = f"{EACH}<call>{{{{ c.function | tojson }}}}</call>{{% endfor %}}"
    source = TURNS.format(calls=calls).replace(
        "{{ m.content }}",
        f"{{% if m.role == 'tool' %}}{result}{{% else %}}{{{{ m.content }}}}{{% endif %}}",
    )
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
        assert form.calls.has_named_results
        assert shown in engine.render(with_history(HISTORY, form))


def test_an_earlier_answer_keeps_its_text_where_the_template_would_show_thoughts_in_its_place(
    tmp_path: Path,
) -> None:
    source = TURNS.format(calls="").replace(
        "{{ m.content }}", "{{ m.reasoning_content or m.content }}"
    )
    thoughtful = {"role": "assistant", "content": "Answer", "reasoning_content": "Hm."}
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
        messages = [HISTORY[0], thoughtful, HISTORY[0], thoughtful]
        prompt = engine.render(with_history(messages, form))
        assert (prompt.count("Answer"), prompt.count("Hm.")) == (1, 1)  # the last may be continued


def test_where_results_would_be_left_out_the_system_message_describes_tools(tmp_path: Path) -> None:
    source = TURNS.format(calls="<tool_call>{{ m.tool_calls | tojson }}</tool_call>")
    source = source.replace(
        "{% for m in messages %}", "{% for m in messages if m.role != 'tool' %}"
    )
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
        assert form.origin == "generic"
        assert "Result of g: Result" in engine.render(with_history(HISTORY, form))


@pytest.mark.parametrize("refused", ["length > 9", "length < 9"])
def test_ids_are_as_long_as_the_template_wants(tmp_path: Path, refused: str) -> None:
    check = f"{{% if c.id | {refused} %}}{{{{ raise_exception('ids') }}}}{{% endif %}}"
    calls = f"{EACH}{check}<call>{{{{ c.function | tojson }}}}</call>{{% endfor %}}"
    source = TURNS.format(calls=calls)
    with engine_of(tmp_path, source) as engine:
        form = form_of(engine, source)
        assert (form.origin, form.calls.has_short_ids) == ("derived", True)
        assert "<call>" in engine.render(with_history(HISTORY, form))


@pytest.mark.parametrize(
    ("source", "efforts"),
    [
        # levels alone, of which two are known
        (
            "{% set e = reasoning_effort or 'none' %}{% if e not in ['none', 'high'] %}"
            "{{ raise_exception('none or high') }}{% endif %}<think></think>[{{ e }}]",
            dict.fromkeys(("minimal", "low", "medium", "xhigh", "max", "on"), "high"),
        ),
        # thoughts are open unless the effort is small
        (
            "<think></think>{% if (reasoning_effort or 'high') not in ['none', 'low'] %}<think>"
            "{% endif %}",
            "none",
        ),
        # a switch of its own
        ("<think></think>{{ reasoning_effort }}{{ '<think>' if enable_thinking }}", ""),
    ],
)
def test_efforts_switch_thoughts_where_nothing_else_does(
    tmp_path: Path, source: str, efforts: dict[str, str] | str
) -> None:
    wanted = {efforts: efforts} if isinstance(efforts, str) and efforts else efforts or {}
    source = "{{ messages[-1].content }}" + source
    with engine_of(tmp_path, source) as engine:
        assert form_of(engine, source).efforts == wanted
        if "on" in wanted:
            body = {"messages": [HISTORY[0]], "enable_thinking": True}
            made = chat_conversation(engine, ChatRequest.model_validate(body))
            assert engine.render(made.messages, made.options).endswith("[high]")
