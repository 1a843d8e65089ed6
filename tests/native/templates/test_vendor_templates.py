"""All chat templates of the vendored archive: their formats, and answers written in them.

A template that shows earlier calls tells what its model writes; for the others it is written down.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, TemplateOptions
from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.call_writer import MAX_CALLS, Calls
from pyserve.openai.tools.formats import HOLE, AnswerFormat, control_marks
from pyserve.openai.tools.grammar import Surroundings, answer_grammar
from pyserve.openai.tools.parts import (
    AnswerStyle,
    Thinking,
)
from pyserve.openai.tools.recognition import may_think, recognized
from pyserve.openai.tools.value_types import TEXT
from tests.support import family_texts
from tests.support.gbnf import Acceptor
from tests.support.parts import read
from tests.support.tiny.llama import write_tiny_llama
from tests.support.vendor_templates import vendor_templates

TEMPLATES = vendor_templates()
pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the vendored archive is not here")

# How the calls of each template are recognized, and how they are written.
EXPECTED = {
    "Apertus-8B-Instruct": "derived keyed",
    "Apriel-1.6-15b-Thinker-fixed": "known object",
    "Bielik-11B-v3.0-Instruct": "derived object",
    "ByteDance-Seed-OSS": "derived tagged",
    "Cohere2MoE": "derived object",
    "CohereForAI-c4ai-command-r-plus-tool_use": "derived object",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "derived object",
    "GLM-4.6": "derived tagged",
    "GLM-4.7-Flash": "derived tagged",
    "GigaChat3-10B-A1.8B": "derived object",
    "GigaChat3.1-10B-A1.8B": "derived object",
    "HuggingFaceTB-SmolLM3-3B": "generic object",
    "Kimi-K2-Instruct": "derived named",
    "Kimi-K2-Thinking": "derived named",
    "Kimi-K3": "known tagged",
    "LFM2-8B-A1B": "known pythonic",
    "LFM2.5-8B-A1B": "derived pythonic",
    "LFM2.5-Instruct": "known pythonic",
    "MiMo-VL": "derived object",
    "MiniMax-M1": "derived object",
    "MiniMax-M2": "derived tagged",
    "MiniMax-M3": "derived elements",
    "Mistral-Small-3.2-24B-Instruct-2506": "derived named",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "derived tagged",
    "NVIDIA-Nemotron-Nano-v2": "derived object",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "derived object",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "derived object",
    "Qwen-QwQ-32B": "derived object",
    "Qwen-Qwen2.5-7B-Instruct": "derived object",
    "Qwen-Qwen3-0.6B": "derived object",
    "Qwen3-Coder": "derived tagged",
    "Qwen3.5-4B": "derived tagged",
    "Reka-Edge": "derived object",
    "Spark2.5": "derived tagged",
    "StepFun3.5-Flash": "derived tagged",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "generic object",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "derived named",
    "deepseek-ai-DeepSeek-V3.1": "derived named",
    "deepseek-ai-DeepSeek-V3.2": "derived tagged",
    "deepseek-ai-DeepSeek-V4": "derived tagged",
    "deepseek-ai-DeepSeek-V4-Flash-0731": "derived tagged",
    "fireworks-ai-llama-3-firefunction-v2": "derived object",
    "google-gemma-2-2b-it": "generic object",
    "google-gemma-4-31B-it": "derived quoted",
    "google-gemma-4-31B-it-interleaved": "derived quoted",
    "ibm-granite-granite-3.3-2B-Instruct": "known object",
    "ibm-granite-granite-4.0": "derived object",
    "ibm-granite-granite-4.1": "derived object",
    "inclusionai-ling-3.0-flash": "derived tagged",
    "llama-cpp-deepseek-r1": "derived named",
    "llama-cpp-rwkv-world": "generic object",
    "meetkai-functionary-medium-v3.1": "derived named",
    "meetkai-functionary-medium-v3.2": "known named",
    "meta-llama-Llama-3.1-8B-Instruct": "derived object",
    "meta-llama-Llama-3.2-3B-Instruct": "derived object",
    "meta-llama-Llama-3.3-70B-Instruct": "derived object",
    "microsoft-Phi-3.5-mini-instruct": "generic object",
    "mistralai-Ministral-3-14B-Reasoning-2512": "derived named",
    "mistralai-Mistral-Nemo-Instruct-2407": "derived object",
    "moonshotai-Kimi-K2": "derived named",
    "muse-glimmer": "known tagged",
    "openai-gpt-oss-120b": "known named",
    "openbmb-MiniCPM5-1B": "derived tagged",
    "poolside-Laguna-S-2.1": "derived tagged",
    "poolside-Laguna-XS-2.1": "derived tagged",
    "poolside-Laguna-XS.2": "derived tagged",
    "tencent-Hy3": "derived tagged",
    "unsloth-Apriel-1.5": "derived object",
    "unsloth-mistral-Devstral-Small-2507": "derived named",
    "upstage-Solar-Open-100B": "known named",
}
WRITTEN: dict[str, family_texts.Write] = {
    "Apriel-1.6-15b-Thinker-fixed": family_texts.apriel,
    "Kimi-K3": family_texts.kimi_k3,
    "LFM2-8B-A1B": family_texts.lfm2,
    "LFM2.5-8B-A1B": family_texts.lfm2,
    "LFM2.5-Instruct": family_texts.lfm2,
    "ibm-granite-granite-3.3-2B-Instruct": family_texts.granite,
    "meetkai-functionary-medium-v3.2": family_texts.functionary,
    "muse-glimmer": family_texts.muse,
    "openai-gpt-oss-120b": family_texts.harmony,
    "upstage-Solar-Open-100B": family_texts.solar,
}
# Thoughts that the template does not mention, or no thoughts at all.
THOUGHTLESS = {"meetkai-functionary-medium-v3.2"}
ARGUMENTS: dict[str, Any] = {
    "text": "He said \"hi\" & 'bye', 5 < 6\n\tC:\\dir é 日本 🎉 {x}: [1]",
    "number": -3,
    "ratio": 2.5,
    "flag": True,
    "list": [1, "two", [3]],
    "nested": {"key": {"deep": 'va"lue'}},
}
SIMPLE: dict[str, Any] = {"text": "Oslo"}
CALLS: list[family_texts.Call] = [("first_one", ARGUMENTS), ("other_one", SIMPLE)]
TEXTS = {(name, "text"): TEXT for name, _ in CALLS}
# Templates that cannot write some values themselves: what is left of the arguments.
LOSSY = {
    "openbmb-MiniCPM5-1B": ("text", "number", "ratio", "flag"),  # objects are left out
}
THOUGHTS, SAID = "Let me see:\n1 < 2.", "Well, é 日本: <b>.\n\nYes"


class Rendered:
    """One template, and the format that was recognized in it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        source = TEMPLATES[name]
        path = write_tiny_llama(folder / "tiny.gguf", chat_template=source, n_ctx=8192)
        config = EngineConfig(model_id=name, model_path=str(path), n_ctx=8192, n_seq_max=2)
        engine = LocalEngine(config)

        def render(messages: Any, tools: Any, variables: Any) -> str:
            return engine.render(messages, TemplateOptions(tools=tools, variables=variables))

        self.render = render
        self.format: AnswerFormat = recognized(source, render)
        self.engine = engine

    def written(self, thoughts: str, text: str, calls: list[family_texts.Call]) -> str:
        """An answer as the model writes it, from the begin of its thoughts if it has some."""
        if self.name in WRITTEN:
            return WRITTEN[self.name](thoughts, text, calls)
        if self.format.origin == "generic":
            return family_texts.tagged(thoughts, text, calls)
        begin, end = self.format.thinking or ("", "")
        answer = f"{begin}\n{thoughts}\n{end}\n" if thoughts else ""
        if text:
            answer += f"{self.format.text_begin}{text}"
        return answer + (self.run(calls) if calls else "")

    def run(self, calls: list[family_texts.Call]) -> str:
        """The calls as the template writes them."""
        layout = self.format.calls
        told = [
            {
                "id": f"callid{i:03}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for i, (name, arguments) in enumerate(calls)
        ]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "name": name, "content": "7007"}
            for call, (name, _) in zip(told, calls, strict=True)
        ]
        messages = [
            {"role": "user", "content": "Question"},
            {"role": "assistant", "content": "", "tool_calls": told},
            *results,
        ]
        tools = [
            {"type": "function", "function": {"name": name, "description": "d", "parameters": {}}}
            for name, _ in calls
        ]
        prompt = self.render(messages, tools, {}).rpartition("Question")[2]
        begin = prompt.index(layout.trigger or "{")
        prompt = prompt[: prompt.index("7007")]
        prompt = prompt[: prompt.find("<|im_end|>", begin)]
        end = (layout.arguments_end + layout.after).strip() or "}"
        return prompt[begin : prompt.rindex(end) + len(end)]


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    rendered = Rendered(request.param, tmp_path_factory.mktemp("template"))
    yield rendered
    rendered.engine.close()


def style_of(model: Rendered, *, is_open: bool = False) -> AnswerStyle:
    form = model.format
    thinking = form.thinking and Thinking(*form.thinking, is_open, form.is_repeated)
    return AnswerStyle(thinking, form.calls, TEXTS, marks=form.all_marks, channels=form.channels)


def test_every_template_has_a_row():
    assert set(TEMPLATES) == set(EXPECTED)


def test_the_format_is_recognized(model: Rendered):
    form = model.format
    assert may_think(TEMPLATES[model.name]) == (form.thinking is not None)
    assert f"{form.origin} {form.calls.kind}" == EXPECTED[model.name]


def cases(model: Rendered) -> Iterator[tuple[str, str, list[family_texts.Call]]]:
    """Thoughts, text and calls of answers that the model may give."""
    thinks = model.format.thinking is not None
    yield "", SAID, []
    yield "", "", CALLS[:1]
    yield "", "", [("other_one", {})] if model.name in WRITTEN else CALLS[1:]
    yield "", SAID if model.format.calls.trigger else "", CALLS[1:]
    if model.format.calls.can_repeat or model.name in WRITTEN:
        yield "", "", CALLS
    if thinks:
        yield THOUGHTS, SAID, []
        yield THOUGHTS, "", CALLS[:1]
        yield THOUGHTS, "", CALLS if model.format.calls.can_repeat else CALLS[1:]


def test_answers_are_read_into_their_parts(model: Rendered):
    for thoughts, text, calls in cases(model):
        answer = model.written(thoughts, text, calls)
        is_open = model.name in ("Kimi-K3", "Apriel-1.6-15b-Thinker-fixed")
        style = style_of(model, is_open=is_open)
        said, thought, made = whole = read(style, [answer])
        assert said.strip() == text
        assert thought.strip() == thoughts
        assert [name for name, _ in made] == [name for name, _ in calls]
        for (_, written), (_, arguments) in zip(made, calls, strict=True):
            keys = LOSSY.get(model.name, tuple(arguments))
            found = json.loads(written)
            assert {key: found.get(key) for key in keys if key in arguments} == {
                key: arguments[key] for key in keys if key in arguments
            }
        assert read(style, list(answer)) == whole
        for i in range(len(answer)):
            assert read(style, [answer[:i], answer[i:]]) == whole, answer[:i]
    assert msgspec.json.encode(model.format)  # it is data


def is_part(piece: str, marks: list[str]) -> bool:
    return any(piece in mark for mark in marks) and not piece.strip().isalnum()


def test_no_mark_is_ever_text(model: Rendered):
    """Marks and words in any order: what comes out as text or call depends on no cut."""
    form = model.format
    channels = form.channels
    marks = [*form.all_marks, *control_marks(form.calls.trigger, *(form.thinking or ()))]
    if channels is not None:
        marks += [*channels.opens, *channels.ends, channels.message]
    heads = [*(channels.text_headers + channels.call_headers if channels else ())]
    whole = model.written("so", "text", CALLS[1:])
    pieces = [
        *marks,
        *(head.replace(HOLE, "other_one") for head in heads),
        *(form.thinking or ()),
        form.calls.trigger,
        *re.findall(r"<[^<>]*>|\s+|[^<>\s]+", whole),
        *("word", " ", "\n", '{"a": 1}', "[", "}", '"', "é", "<", "|"),
    ]
    # No parts of marks, which make up marks where something between them is left out.
    pieces = [piece for piece in pieces if piece in marks or not is_part(piece, marks)]
    randomness = random.Random(model.name)
    controls = [mark for mark in marks if control_marks(mark) == (mark,)]
    for _ in range(60):
        chunks = [randomness.choice(pieces) for _ in range(randomness.randrange(1, 25))]
        answer = "".join(chunks)
        style = style_of(model, is_open=randomness.random() < 0.3)
        if channels is not None:
            style = msgspec.structs.replace(style, is_continued=randomness.random() < 0.3)
        text, _, _ = found = read(style, [answer])
        assert [mark for mark in controls if mark in text] == [], answer
        assert read(style, chunks) == found, answer
        assert read(style, list(answer)) == found, answer


@pytest.mark.parametrize(
    ("name", "efforts"),
    [
        ("openai-gpt-oss-120b", {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}),
        ("tencent-Hy3", {"minimal": "low", "medium": "high", "xhigh": "high", "max": "high"}),
        ("Kimi-K3", {"minimal": "low", "medium": "high", "xhigh": "max"}),
        ("Cohere2MoE", {"none": "none"}),
        ("Qwen-Qwen3-0.6B", {}),
    ],
)
def test_efforts_become_the_templates_own_levels(
    name: str, efforts: dict[str, str], tmp_path: Path
):
    model = Rendered(name, tmp_path)
    assert model.format.efforts == efforts
    model.engine.close()


TYPED = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "number": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "nested": {"type": "object"},
    },
}
LOOSE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "more": {"type": "integer"}},
    "required": ["text"],
    "additionalProperties": False,
}

# Messages with headers are calls of their own: the grammar ends with the first.
ONE_CALL = {"meetkai-functionary-medium-v3.2", "muse-glimmer", "openai-gpt-oss-120b"}

# Lists and objects are Python's there, or left out, or have escapes of half characters; the grammar
# holds them to JSON.
OTHER_SPELLING = {
    "Reka-Edge",
    "ByteDance-Seed-OSS",
    "LFM2-8B-A1B",
    "LFM2.5-8B-A1B",
    "LFM2.5-Instruct",
    "openbmb-MiniCPM5-1B",
}


# What they write between thoughts and calls, or after calls, is left out where a call is forced.
SHORTENED = {"Kimi-K3", "upstage-Solar-Open-100B"}


def grammar_of(model: Rendered, *, can_repeat: bool) -> str:
    """The grammar of required calls."""
    form = model.format
    functions = [
        Function("first_one", TYPED, "tools.0.function"),
        Function("other_one", LOOSE, "tools.1.function"),
    ]
    calls = Calls(form.calls, functions, is_required=True, can_repeat=can_repeat)
    is_open = model.name in ("Kimi-K3", "Apriel-1.6-15b-Thinker-fixed")
    thinking = form.thinking and Thinking(*form.thinking, is_open, form.is_repeated)
    return answer_grammar(thinking, calls, "", Surroundings(form.text_begin, form.channels))


def check_end(model: Rendered, grammar: str, answer: str) -> None:
    """The grammar allows the answer, and nothing after it."""
    said = model.engine.tokenize(answer, add_special=False, parse_special=False)
    request = GenerateRequest(prompt="x", grammar=grammar, said=said, max_tokens=len(said) + 3)
    deltas = list(model.engine.submit(request))
    more = "".join(delta.text for delta in deltas)
    assert deltas[-1].finish is not None
    assert (deltas[-1].finish.reason, more.strip()) == ("stop", ""), answer


def test_what_a_template_writes_is_what_the_grammar_allows(model: Rendered):
    """A required call, after thoughts and without: the grammar is at its end with the call."""
    grammar = grammar_of(model, can_repeat=False)
    told = [("", CALLS[1:])]
    if model.format.thinking:
        told.append((THOUGHTS, CALLS[1:]))
    if model.name not in OTHER_SPELLING:
        told.append(("", CALLS[:1]))
    for thoughts, made in told:
        answer = model.written(thoughts, "", made)
        check_end(model, grammar, answer)
        if not (thoughts and model.name in SHORTENED) and model.name != "Kimi-K3":
            assert Acceptor(grammar).accepts(answer), answer


def test_the_grammar_allows_as_many_calls_as_an_answer_may_have(model: Rendered):
    """It is at its end with the last one that is allowed."""
    if model.name in ONE_CALL or not model.format.calls.can_repeat:
        return
    calls = [("other_one", {"text": f"City {i}"}) for i in range(MAX_CALLS)]
    answer = model.written("", "", calls)
    check_end(model, grammar_of(model, can_repeat=True), answer)
    assert [json.loads(arguments) for _, arguments in read(style_of(model), [answer])[2]] == [
        arguments for _, arguments in calls
    ]
