"""What `pyserve.LLM` asks of the application in its own process, over the fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel

from pyserve import SamplingParams
from pyserve.client.async_server import AsyncServer
from pyserve.engine.fake.script import FakeScript
from pyserve.errors import (
    ContextLengthExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    QueueFullError,
)
from pyserve.llm.llm import AppClient
from pyserve.llm.transport import AsyncAppTransport
from tests.api.conftest import StartFront
from tests.support.front import Front
from tests.support.limits import SOON_S


class Pair(BaseModel):
    name: str
    size: int


def client_of(front: Front, model: str | None = None) -> AppClient:
    return AppClient(front.app, model, n_at_once=4)


def requests_of(front: Front) -> list[Any]:
    return list(front.core.requests)


def test_one_prompt_gives_one_output_and_a_list_a_list(front: Front) -> None:
    with client_of(front) as llm:
        one = llm.generate("a b c")
        several = llm.generate([f"a b {i}" for i in range(9)])
        assert llm.generate([]) == []

    assert one.text == one.outputs[0].text
    assert [each.outputs[0].finish_reason for each in several] == ["stop"] * 9
    assert [each.text for each in several] == [f"a b {i}" for i in range(9)]


def test_token_ids_are_one_prompt(front: Front) -> None:
    with client_of(front) as llm:
        tokens = llm.tokenize("a b c")
        output = llm.generate(tokens, return_token_ids=True)
        assert llm.detokenize(tokens) == "a b c"
        assert len(llm.generate([tokens, tokens])) == 2

    assert list(output.prompt_token_ids) == tokens
    assert requests_of(front)[0].tokens == tokens


def test_params_become_those_of_the_engine(front: Front) -> None:
    params = SamplingParams(
        temperature=0.5,
        top_k=3,
        max_tokens=7,
        stop="x",
        seed=1,
        logit_bias={5: 2.0},
        repetition_penalty=1.5,
        extra={"dry_multiplier": 0.8},
    )
    with client_of(front) as llm:
        llm.generate("a", params)

    request = requests_of(front)[0]
    sampling = request.sampling
    assert (request.max_tokens, request.stop) == (7, ["x"])
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0.5, 3, 1)
    assert (sampling.repeat_penalty, sampling.dry_multiplier) == (1.5, 0.8)
    assert sampling.logit_bias == {5: 2.0}


def test_each_prompt_may_have_its_own_params(front: Front) -> None:
    with client_of(front) as llm:
        llm.generate(["a", "b"], [SamplingParams(seed=1), SamplingParams(seed=2)])
        with pytest.raises(InvalidRequestError, match="3 SamplingParams for 2 prompts"):
            llm.generate(["a", "b"], [SamplingParams()] * 3)

    seeds = {each.prompt: each.sampling.seed for each in requests_of(front)}
    assert seeds == {"a": 1, "b": 2}


def test_log_probabilities_come_alike_from_texts_and_chats(front: Front) -> None:
    params = SamplingParams(logprobs=2)
    with client_of(front) as llm:
        outputs = [llm.generate("a b", params), llm.chat("a b", params)]

    for output in outputs:
        scores = output.outputs[0].logprobs
        assert scores
        assert all(score.logprob <= 0 for score in scores)
        assert all(len(score.top) == 2 for score in scores)


def test_chats_are_answered_alone_and_in_lists(front: Front) -> None:
    conversation = [{"role": "system", "content": "s"}, {"role": "user", "content": "a b"}]
    with client_of(front) as llm:
        one = llm.chat(conversation)
        two = llm.chat([conversation, conversation])
        assert [each.text for each in two] == [one.text] * 2

    assert one.message == {"role": "assistant", "content": one.text}
    assert requests_of(front)[0].messages == conversation


def test_streams_are_the_same_text_in_pieces(front: Front) -> None:
    with client_of(front) as llm:
        whole = llm.chat("a b c")
        chunks = list(llm.stream_chat("a b c"))
        pieces = list(llm.stream("a b c"))

    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert "".join(chunk.text for chunk in pieces) == "a b c"
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert chunks[-1].usage == whole.usage


def test_a_stream_that_is_closed_is_cancelled(start: StartFront) -> None:
    front = start(FakeScript(hold_after=1))
    with client_of(front) as llm:
        stream = llm.stream("a b c")
        next(stream)
        stream.close()
        assert front.core.wait_cancelled(1, SOON_S)


@pytest.mark.parametrize("schema", [Pair, Pair.model_json_schema()])
def test_an_answer_is_the_object_of_its_schema(start: StartFront, schema: Any) -> None:
    front = start(FakeScript(texts=('{"name": "x", "size": 3}',)))
    with client_of(front) as llm:
        output = llm.chat("a", schema=schema)
        cut = llm.chat("a", SamplingParams(max_tokens=1), schema=schema)

    is_class = isinstance(schema, type)
    assert output.parsed == (Pair(name="x", size=3) if is_class else {"name": "x", "size": 3})
    assert requests_of(front)[0].grammar
    assert cut.parsed is None


def test_what_is_no_schema_is_refused(front: Front) -> None:
    with client_of(front) as llm, pytest.raises(InvalidRequestError, match="schema is a int"):
        llm.chat("a", schema=3)  # type: ignore[call-overload]


def test_calls_of_tools_come_back_and_go_on(start: StartFront) -> None:
    text = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
    front = start(FakeScript(texts=(text,)))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with client_of(front) as llm:
        output = llm.chat("a", tools=tools)
        chunks = list(llm.stream_chat("a", tools=tools))

    (call,) = output.tool_calls
    assert (call.name, call.arguments) == ("f", '{"x": 1}')
    assert output.outputs[0].finish_reason == "tool_calls"
    assert output.message["tool_calls"][0]["function"]["name"] == "f"
    pieces = [piece for chunk in chunks for piece in chunk.tool_calls]
    assert "".join(piece.arguments for piece in pieces) == call.arguments


def test_vectors_ranks_and_scores(start: StartFront) -> None:
    front = start(n_ranks=1)
    with client_of(front) as llm:
        one = llm.embed("a")
        assert llm.embed(["a", "b"])[0] == one
        assert sum(number * number for number in one) == pytest.approx(1)
        assert isinstance(llm.score("a", "b"), float)
        assert len(llm.score("a", ["b", "c"])) == 2
        assert len(llm.rerank("a", ["b", "c", "d"], top_n=2)) == 2


def long_prompt(llm: AppClient) -> None:
    llm.generate("a " * 100_000)


def bad_value(llm: AppClient) -> None:
    llm.generate("a", SamplingParams(temperature=9))


@pytest.mark.parametrize(
    ("ask", "error", "param"),
    [
        (long_prompt, ContextLengthExceededError, "prompt"),
        (bad_value, InvalidRequestError, "temperature"),
    ],
)
def test_errors_are_those_of_the_server(
    front: Front, ask: Callable[[AppClient], None], error: type[Exception], param: str
) -> None:
    with client_of(front) as llm, pytest.raises(error) as caught:
        ask(llm)
    assert type(caught.value) is error
    assert caught.value.param == param


def test_an_unknown_model_is_an_error(start: StartFront) -> None:
    front = start(models=("one", "two"))
    with client_of(front, "three") as llm, pytest.raises(ModelNotFoundError):
        llm.generate("a")


def test_errors_say_when_to_come_again(start: StartFront) -> None:
    front = start(FakeScript(hold_after=1), engine={"n_seq_max": 1, "n_queue_max": 1})
    with client_of(front) as llm, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(llm.generate, "a b") for _ in range(2)]
        assert front.core.wait_submitted(2, SOON_S)
        with pytest.raises(QueueFullError) as caught:
            llm.generate("c d")
        front.core.release()
        assert [each.result().text for each in asked] == ["a b"] * 2
    assert caught.value.details["retry_after_s"] >= 1


def test_a_cancelled_task_cancels_its_request(start: StartFront) -> None:
    front = start(FakeScript(hold_after=1))
    core = front.core

    async def leave() -> None:
        with ThreadPoolExecutor(2) as threads:
            server = AsyncServer(
                "http://localhost", transport=AsyncAppTransport(front.app, threads)
            )
            task = asyncio.create_task(server.post("/v1/completions", {"prompt": "a b c"}))
            assert await asyncio.to_thread(core.wait_submitted, 1, SOON_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            chunks = server.stream("/v1/completions", {"prompt": "a b c", "stream": True})
            await anext(chunks)
            await chunks.aclose()
            await server.aclose()

    asyncio.run(leave())
    assert core.wait_cancelled(2, SOON_S)
