from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.engine.calls import GetInfo, Tokenize
from pyserve.engine.protocol import (
    Accepted,
    Delta,
    Failed,
    Finish,
    GenerateRequest,
    SamplingParams,
    Step,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from pyserve.engine.remote.wire import (
    HEADER,
    Ask,
    Cancel,
    EngineMessage,
    Events,
    FrameDecoder,
    FrontMessage,
    Hello,
    Reply,
    Submit,
    WireError,
    encode,
    engine_decoder,
    front_decoder,
)
from pyserve.errors import ErrorInfo

FRONT_MESSAGES: list[FrontMessage] = [
    Hello(),
    Submit(
        request_id=1,
        request=GenerateRequest(
            messages=[{"role": "user", "content": "héllo \0 🙂", "name": None}],
            sampling=SamplingParams(logit_bias={5: -100.0}, seed=2**63 - 1),
            stop=["\n"],
        ),
    ),
    Cancel(request_id=1),
    Ask(call_id=-1, call=Tokenize(text="", add_special=True, parse_special=False)),
    Ask(call_id=-2, call=GetInfo()),
]
ENGINE_MESSAGES: list[EngineMessage] = [
    Hello(),
    Reply(call_id=1),
    Reply(call_id=2, error=ErrorInfo(code="queue_full", message="full", details={"n": 1})),
    Reply(call_id=3, value=[]),
    Events(
        events=[
            Accepted(request_id=1, n_prompt_tokens=5),
            Step(
                request_id=1,
                delta=Delta(
                    text="ü",
                    n_tokens=1,
                    logprobs=[TokenLogprob(7, b"\xff", -0.5, [TopLogprob(7, b"\xff", -0.5)])],
                    finish=Finish(
                        reason="stop", usage=Usage(n_prompt_tokens=5, n_completion_tokens=1)
                    ),
                ),
            ),
            Failed(request_id=2, error=ErrorInfo(code="cancelled", message="")),
        ]
    ),
]


def front_bytes() -> bytes:
    return b"".join(encode(message) for message in FRONT_MESSAGES)


def test_messages_of_both_sides_come_out_as_they_went_in():
    assert front_decoder().feed(front_bytes()) == FRONT_MESSAGES
    data = b"".join(encode(message) for message in ENGINE_MESSAGES)
    assert engine_decoder().feed(data) == ENGINE_MESSAGES


def test_byte_by_byte_gives_the_same_messages():
    decoder = front_decoder()
    messages = [m for byte in front_bytes() for m in decoder.feed(bytes([byte]))]
    assert messages == FRONT_MESSAGES


@given(st.lists(st.integers(0, len(front_bytes())), max_size=8))
def test_any_split_gives_the_same_messages(cuts):
    data = front_bytes()
    bounds = [0, *sorted(cuts), len(data)]
    decoder = front_decoder()
    parts = (data[begin:end] for begin, end in itertools.pairwise(bounds))
    assert [message for part in parts for message in decoder.feed(part)] == FRONT_MESSAGES


def test_half_a_frame_gives_nothing_yet():
    assert front_decoder().feed(encode(Hello())[:-1]) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        msgspec.msgpack.encode({"type": "no_such_type"}),
        msgspec.msgpack.encode({"type": "cancel", "request_id": "one"}),
        msgspec.msgpack.encode({"type": "reply", "call_id": 1}),
        msgspec.msgpack.encode({"request_id": 1}),
        msgspec.msgpack.encode({"type": "cancel", "request_id": 1}) + b"\0",
        msgspec.msgpack.encode({"type": "tokenize", "text": 1}),
        b"\x91" * 100_000,
    ],
)
def test_garbage_is_a_wire_error(body):
    with pytest.raises(WireError):
        front_decoder().feed(HEADER.pack(len(body)) + body)


@given(st.binary(max_size=200))
def test_random_bodies_never_raise_anything_else(body):
    with contextlib.suppress(WireError):
        assert front_decoder().feed(HEADER.pack(len(body)) + body)


def test_an_announced_frame_over_the_cap_is_refused_before_its_body_arrives():
    decoder = FrameDecoder(msgspec.msgpack.Decoder(FrontMessage), max_frame_bytes=100)
    with pytest.raises(WireError, match="101"):
        decoder.feed(HEADER.pack(101))


def test_a_message_over_the_cap_is_not_sent():
    message = Ask(call_id=1, call=Tokenize("x" * 100, True, True))
    with pytest.raises(WireError, match="cap of 100"):
        encode(message, max_frame_bytes=100)
