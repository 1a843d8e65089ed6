from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.model import fake_info
from pyserve.engine.protocol import Delta, Finish, Usage
from pyserve.errors import EngineRestartedError
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.answer.sse import DONE, KEEP_ALIVE, event_frames, frame

END = Delta(finish=Finish(reason="stop", usage=Usage(n_prompt_tokens=1, n_completion_tokens=1)))


def answer() -> CompletionAnswer:
    info = fake_info(EngineConfig(model_id="m", model_path=""), has_chat_template=False)
    return CompletionAnswer(CompletionRequest(prompt="", stream=True), "m", info, str)


def text_of(event: bytes) -> str:
    assert event.startswith(b"data: ")
    return str(msgspec.json.decode(event[6:])["choices"][0]["text"])


def test_a_frame_is_one_line_whatever_it_holds():
    data = frame({"text": "a\r\nb\u2028\n\ndata: x"})
    assert data.count(b"\n") == 2
    assert data.endswith(b"\n\n")
    assert b"\r" not in data
    assert len(data.decode().splitlines()) == 2  # as clients split that read text


def test_deltas_become_events_and_done_is_last():
    events = list(event_frames(iter([(0, Delta(text="a")), (0, END)]), answer(), "r"))
    assert text_of(events[0]) == "a"
    assert events[-1] == DONE


def test_silence_is_broken_by_comments():
    deltas = iter([None, (0, Delta(n_tokens=1)), (0, Delta(text="a")), (0, END)])
    events = list(event_frames(deltas, answer(), "r", keep_alive_s=0.0))
    assert events[:2] == [KEEP_ALIVE, KEEP_ALIVE]
    assert text_of(events[2]) == "a"


def test_short_silence_is_not():
    events = list(event_frames(iter([None, (0, END)]), answer(), "r", keep_alive_s=3600.0))
    assert KEEP_ALIVE not in events


@pytest.mark.parametrize(
    ("error", "code"),
    [(EngineRestartedError("gone"), "engine_restarted"), (KeyError("secret"), "internal_error")],
)
def test_an_error_is_the_last_event(error, code):
    def deltas() -> Iterator[tuple[int, Delta]]:
        yield 0, Delta(text="a")
        raise error

    events = list(event_frames(deltas(), answer(), "req_7"))
    assert len(events) == 2
    body = msgspec.json.decode(events[-1][6:])
    assert body["error"]["code"] == code
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert "secret" not in body["error"]["message"]
