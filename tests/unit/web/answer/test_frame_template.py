from __future__ import annotations

import copy
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.model import fake_info
from pyserve.engine.protocol import Delta, Finish, TokenLogprob, Usage
from pyserve.openai.answer import StreamAnswer
from pyserve.openai.chat.chat import ChatAnswer
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.answer import frame_template, frame_template_py
from pyserve.web.answer.sse import DataFrames, frame

TEMPLATES = [frame_template_py.FrameTemplate]
if frame_template.is_compiled:
    TEMPLATES.append(frame_template.FrameTemplate)
INFO = fake_info(EngineConfig(model_id="m", model_path=""), has_chat_template=True)
USAGE = Usage(n_prompt_tokens=1, n_completion_tokens=1)

both = pytest.mark.parametrize("template", TEMPLATES, ids=lambda cls: cls.__module__)


def chat(**fields: Any) -> StreamAnswer:
    messages = [{"role": "user", "content": "x"}]
    body = ChatRequest.model_validate({"messages": messages, "stream": True, **fields})
    return ChatAnswer(body, "m", INFO)


def completion(**fields: Any) -> StreamAnswer:
    body = CompletionRequest.model_validate({"prompt": "x", "stream": True, **fields})
    return CompletionAnswer(body, "m", INFO, str)


USAGE_CHUNK = {"stream_options": {"include_usage": True}}
ANSWERS = [
    chat(),
    chat(n=2, **USAGE_CHUNK),
    chat(logprobs=True),
    completion(),
    completion(n=2, **USAGE_CHUNK),
    completion(logprobs=0),
    completion(echo=True),
]


def test_the_compiled_one_is_used():
    if not frame_template.is_compiled and "CI" not in os.environ:
        pytest.skip("not built: make build")
    assert frame_template.FrameTemplate.__module__ == "pyserve.web.answer._frame_template"


@both
@given(text=st.text())
def test_a_text_is_written_as_json(template, text):
    quoted = msgspec.json.encode(text)
    assert template(b"head:", b":tail\n").fill(text) == b"head:" + quoted + b":tail\n"


@both
def test_every_character_that_is_escaped_is_escaped(template):
    for text in [*map(chr, range(0x180)), "\u2028", "\ufffe", "\U0010ffff", 'a"\\b' * 100]:
        assert template(b"", b"").fill(text) == msgspec.json.encode(text)


@both
def test_head_and_tail_may_hold_anything(template):
    assert template(b'\0"', bytes(range(256))).fill("") == b'\0"""' + bytes(range(256))


@both
def test_what_has_no_utf8_is_an_error(template):
    with pytest.raises(UnicodeEncodeError):
        template(b"", b"").fill("a\ud800")


@both
@pytest.mark.parametrize(
    ("answer", "index"), [(answer, i) for answer in ANSWERS for i in range(len(answer.requests))]
)
def test_frames_are_those_of_the_answers_chunks(template, answer, index):
    frames = DataFrames(copy.deepcopy(answer), template)
    plain = copy.deepcopy(answer)
    deltas = [
        Delta(text=" a"),
        Delta(text='"\n\u2028\U0001f600', n_tokens=2),
        Delta(n_tokens=1),
        Delta(text="b", logprobs=[TokenLogprob(1, b"b", -0.5, [])]),
        Delta(text="c"),
        Delta(text="d", finish=Finish(reason="stop", usage=USAGE)),
    ]
    for delta in deltas:
        expected = b"".join(frame(chunk) for chunk in plain.push(index, delta))
        assert frames.push(index, delta) == expected
