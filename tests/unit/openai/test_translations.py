from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from pyserve.engine.protocol import (
    Delta,
    SamplingParams,
    TopLogprob,
)
from pyserve.errors import InvalidRequestError
from pyserve.openai.chat.chat import ChatAnswer, chat_requests
from pyserve.openai.completions.completions import CompletionAnswer, completion_requests
from pyserve.openai.edits import EditAnswer, edit_requests
from pyserve.openai.ids import fingerprint
from pyserve.openai.logprobs import chat_logprobs
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from tests.support.answers import INFO, as_json, chunks_of, last, output, token

PLAIN_INFO = msgspec.structs.replace(INFO, has_chat_template=False)
USER = {"role": "user", "content": "hi"}


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [USER], **fields})


def completion(**fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate(fields)


def edit(**fields: Any) -> EditRequest:
    return EditRequest.model_validate({"instruction": "fix", **fields})


def test_absent_fields_take_the_engines_defaults():
    (request,) = chat_requests(chat(), INFO)
    assert request.sampling == SamplingParams()
    assert request.max_tokens is None
    assert request.n_logprobs is None
    assert request.stop == []


def test_every_sampling_field_reaches_the_engine():
    fields = {
        "temperature": 0.5,
        "dynatemp_range": 0.25,
        "dynatemp_exponent": 2.0,
        "top_k": 3,
        "top_p": 0.5,
        "min_p": 0.25,
        "typical_p": 0.75,
        "top_n_sigma": 1.0,
        "min_keep": 2,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.25,
        "repeat_penalty": 1.5,
        "repeat_last_n": -1,
        "frequency_penalty": -1.0,
        "presence_penalty": 1.0,
        "dry_multiplier": 0.5,
        "dry_base": 2.0,
        "dry_allowed_length": 3,
        "dry_penalty_last_n": -1,
        "mirostat": 2,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.25,
        "adaptive_target": 0.5,
        "adaptive_decay": 0.75,
        "seed": 7,
        "ignore_eos": True,
    }
    others = {
        "dry_sequence_breakers": ("x",),
        "samplers": "kt",
        "logit_bias": {5: -100.0},
    }
    body = chat(
        **fields,
        logit_bias={"5": -100},
        samplers=["top_k", "temperature"],
        dry_sequence_breakers=["x"],
    )
    (request,) = chat_requests(body, INFO)
    assert request.sampling == SamplingParams(**fields, **others)
    assert {*fields, *others} == set(SamplingParams.__struct_fields__)


def test_repetition_penalty_is_another_name_of_repeat_penalty():
    for fields in ({}, {"repeat_penalty": 1.5}):
        (request,) = chat_requests(chat(repetition_penalty=1.5, **fields), INFO)
        assert request.sampling.repeat_penalty == 1.5


@pytest.mark.parametrize(
    "requests_of",
    [
        lambda **f: chat_requests(chat(**f), INFO),
        lambda **f: completion_requests(completion(prompt="x", **f), INFO),
        lambda **f: edit_requests(edit(**f), INFO),
    ],
)
def test_what_the_scheduler_should_know_reaches_the_engine(requests_of):
    fields = {"cache_salt": "s", "priority": -3, "deterministic": True, "speculative.n_max": 0}
    (given,) = requests_of(**fields)
    assert (given.cache_salt, given.priority, given.deterministic) == ("s", -3, True)
    (absent,) = requests_of()
    assert (given.n_draft_max, absent.n_draft_max) == (0, None)
    assert (absent.cache_salt, absent.priority, absent.deterministic) == ("", 0, False)


def test_temperature_zero_is_not_absent():
    assert chat_requests(chat(temperature=0), INFO)[0].sampling.temperature == 0


def test_minus_one_switches_top_k_off_and_the_seed_to_random():
    sampling = chat_requests(chat(top_k=-1, seed=-1), INFO)[0].sampling
    assert sampling.top_k == 0
    assert sampling.seed is None


@pytest.mark.parametrize(
    ("seed", "seeds"), [(7, [7, 8, 9]), (2**63 - 2, [2**63 - 2, 2**63 - 1, 0])]
)
def test_n_choices_count_the_seed_up_within_int64(seed, seeds):
    assert [r.sampling.seed for r in chat_requests(chat(seed=seed, n=3), INFO)] == seeds


def test_choices_without_a_seed_are_left_to_chance():
    assert [r.sampling.seed for r in chat_requests(chat(n=2), INFO)] == [None, None]


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 1, "max_completion_tokens": 2, "n_predict": 3}, 2),
        ({"max_tokens": 1, "n_predict": 3}, 1),
        ({"n_predict": 3}, 3),
        ({"n_predict": -1}, None),
        ({}, None),
    ],
)
def test_the_newest_name_of_the_limit_wins(fields, max_tokens):
    assert chat_requests(chat(**fields), INFO)[0].max_tokens == max_tokens


@pytest.mark.parametrize(
    ("fields", "n_logprobs"),
    [
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
        ({"logprobs": False}, None),
    ],
)
def test_chat_logprobs_are_asked_of_the_engine(fields, n_logprobs):
    assert chat_requests(chat(**fields), INFO)[0].n_logprobs == n_logprobs


def test_roles_that_templates_do_not_know_are_translated():
    call = {"name": "f", "arguments": "{}"}
    messages = [
        {"role": "developer", "content": "be brief", "name": "dev"},
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "2"}]},
    ]
    (request,) = chat_requests(chat(messages=messages), INFO)
    assert request.messages == [
        {"role": "system", "content": "be brief", "name": "dev"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": call}],
        },
        {"role": "tool", "content": "1", "name": "f"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "c"},
    ]


def test_tokens_outside_the_vocabulary_are_refused():
    with pytest.raises(InvalidRequestError) as caught:
        chat_requests(chat(logit_bias={str(INFO.n_vocab): 1}), INFO)
    assert caught.value.param == "logit_bias"
    with pytest.raises(InvalidRequestError) as caught:
        completion_requests(completion(prompt=[[0], [INFO.n_vocab]]), INFO)
    assert caught.value.param == "prompt"
    assert completion_requests(completion(prompt=[INFO.n_vocab - 1]), INFO)


def test_a_chat_response_has_every_required_field():
    answer = ChatAnswer(chat(n=2), "model/x", INFO)
    body = as_json(
        answer.response(
            [
                output(Delta(text="He"), Delta(text="llo"), last(5, 2, 3)),
                output(last(5, 1, 5, text="Ho")),
            ]
        )
    )
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 1_600_000_000
    assert body.pop("system_fingerprint") == fingerprint(INFO)
    assert body == {
        "object": "chat.completion",
        "model": "model/x",
        "service_tier": "default",
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
            for index, text in enumerate(["Hello", "Ho"])
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


def test_a_streamed_chat_is_role_deltas_finish():
    chunks = chunks_of(
        ChatAnswer(chat(stream=True), "m", INFO), [(0, Delta(text="Hi")), (0, last())]
    )
    assert [chunk["choices"] for chunk in chunks] == [
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        [{"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}],
    ]
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)


def test_a_delta_with_text_and_end_is_two_chunks_and_one_without_text_none():
    answer = ChatAnswer(chat(stream=True), "m", INFO)
    assert answer.push(0, Delta(n_tokens=1)) == []
    said, end = as_json(answer.push(0, last(text="x")))
    assert said["choices"][0]["delta"] == {"content": "x"}
    assert end["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "make",
    [
        lambda **f: ChatAnswer(chat(**f), "m", INFO),
        lambda **f: CompletionAnswer(completion(prompt="p", **f), "m", INFO, str),
    ],
)
def test_usage_comes_last_and_is_null_before(make):
    answer = make(stream=True, n=2, stream_options={"include_usage": True})
    chunks = chunks_of(answer, [(1, last(5, 2)), (0, last(5, 3))])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 10
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_prompts_count_once_and_choices_all():
    answer = CompletionAnswer(completion(prompt=["a", "b"], n=2), "m", INFO, str)
    usage = as_json(answer.response([output(last(n, 1)) for n in (5, 5, 7, 7)]))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (12, 4)


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, -1e9])
def test_impossible_tokens_have_a_finite_logprob(logprob):
    tokens = [token(b"a", logprob, TopLogprob(2, b"b", logprob))]
    content = as_json(chat_logprobs(tokens))["content"][0]
    assert content["logprob"] == content["top_logprobs"][0]["logprob"] == -9999.0


def test_chat_logprobs_carry_the_bytes_of_split_characters():
    first, second = as_json(chat_logprobs([token(b"\xc3"), token(b"\xa9")]))["content"]
    assert bytes(first["bytes"] + second["bytes"]).decode() == "é"
    assert first["token"] == "\ufffd"


def test_an_edit_is_a_conversation_when_the_model_has_a_template():
    (request,) = edit_requests(edit(input="Black cat {x}"), INFO)
    assert request.messages is not None
    roles = [message["role"] for message in request.messages]
    assert roles == ["system", *["user", "assistant"] * (len(roles) // 2 - 1), "user"]
    assert request.messages[-1]["content"] == "fix:\n\nBlack cat {x}"
    assert request.prompt is None
    assert request.stop == []


def test_an_edit_is_an_instruction_prompt_when_it_has_none():
    (request,) = edit_requests(edit(input="{instruction}", stop="X"), PLAIN_INFO)
    assert request.messages is None
    assert request.prompt is not None
    assert request.prompt.endswith(
        "\n\n### Instruction:\nfix\n\n### Input:\n{instruction}\n\n### Response:\n"
    )
    assert request.stop == ["X", "\n###"]


def test_an_edit_of_nothing_is_the_instruction():
    (request,) = edit_requests(edit(), INFO)
    assert request.messages is not None
    assert request.messages[-1]["content"] == "fix"


def test_an_edit_has_room_for_an_answer_as_long_as_its_input():
    short, long = edit_requests(edit(input=["", "x" * 10_000]), INFO)
    assert short.max_tokens is not None
    assert long.max_tokens == short.max_tokens + 10_000
    assert edit_requests(edit(max_tokens=3), INFO)[0].max_tokens == 3


def test_an_edit_response_counts_inputs_and_choices_and_is_stripped():
    answer = EditAnswer(edit(input=["a", "b"], n=2), "m", INFO)
    body = as_json(answer.response([output(last(text=f"\n  t{i} \n")) for i in range(4)]))
    assert body["object"] == "edit"
    assert body["choices"] == [
        {"text": f"t{i}", "index": i, "finish_reason": "stop", "logprobs": None} for i in range(4)
    ]
    assert body["usage"]["prompt_tokens"] == 10


def test_the_fingerprint_tells_models_apart_but_not_how_long_they_loaded():
    assert fingerprint(msgspec.structs.replace(INFO, load_ms=5.0)) == fingerprint(INFO)
    assert fingerprint(msgspec.structs.replace(INFO, n_threads=64)) != fingerprint(INFO)


@pytest.mark.parametrize("given", ["0123abc", "fp_0123abc"])
def test_the_engines_own_fingerprint_is_told(given):
    info = msgspec.structs.replace(INFO, fingerprint=given)
    assert fingerprint(info) == "fp_0123abc"
