"""From messages and text to tokens."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, Segment
from pyserve.errors import ContextLengthExceededError, InvalidRequestError, ModelLoadError
from pyserve.openai.chat.chat import chat_conversation
from pyserve.openai.completions.completions import completion_requests
from pyserve.openai.completions.infill import infill_prompts
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from tests.native.helpers import GREEDY, Answer
from tests.support.tiny.llama import FIM_TOKENS, IM_END, IM_START, write_tiny_llama

CONTROL = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")


def _chat(engine: LocalEngine, *contents: str) -> Answer:
    messages = [{"role": "user", "content": content} for content in contents]
    return Answer(
        list(engine.submit(GenerateRequest(messages=messages, sampling=GREEDY, max_tokens=4)))
    )


def test_the_template_renders_roles_and_the_assistant_turn(engine: LocalEngine) -> None:
    text = engine.render(
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    )
    assert text == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_prompt_may_end_without_the_head_of_the_answer(engine: LocalEngine) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    made = [
        chat_conversation(engine, ChatRequest.model_validate(body | more))
        for more in ({}, {"add_generation_prompt": True}, {"add_generation_prompt": False})
    ]
    whole, told, cut = [engine.render(one.messages, one.options) for one in made]
    assert whole == told == f"{cut}<|im_start|>assistant\n"


def test_control_tokens_are_parsed_only_on_request(engine: LocalEngine) -> None:
    parsed = engine.tokenize("<|im_start|>x<|im_end|>", add_special=False, parse_special=True)
    assert (parsed[0], parsed[-1]) == (IM_START, IM_END)
    plain = engine.tokenize("<|im_start|>x<|im_end|>", add_special=False, parse_special=False)
    assert not {IM_START, IM_END} & set(plain)
    assert engine.detokenize(plain) == "<|im_start|>x<|im_end|>"


@pytest.mark.parametrize("control", CONTROL)
def test_control_tokens_that_a_user_types_are_plain_text(engine: LocalEngine, control: str) -> None:
    empty = _chat(engine, "").finish.usage.n_prompt_tokens
    typed = _chat(engine, control).finish.usage.n_prompt_tokens
    as_text = len(engine.tokenize(control, add_special=False, parse_special=False))
    assert as_text > 3
    assert typed - empty >= as_text - 2


@pytest.mark.parametrize("control", CONTROL)
def test_control_tokens_in_a_text_prompt_are_plain_text(engine: LocalEngine, control: str) -> None:
    request = GenerateRequest(prompt=control, sampling=GREEDY, max_tokens=1)
    answer = Answer(list(engine.submit(request)))
    assert answer.finish.usage.n_prompt_tokens == len(
        engine.tokenize(control, add_special=False, parse_special=False)
    )


def test_without_a_template_messages_become_a_transcript(plain_model: Path) -> None:
    engine = LocalEngine(EngineConfig(model_id="plain", model_path=str(plain_model)))
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Who are you?"},
    ]
    assert engine.render(messages) == (
        "Answer briefly.\n\nUser: Hi\nAssistant: Hello!\nUser: Who are you?\nAssistant:"
    )
    assert not engine.info().has_chat_template
    engine.close()


@pytest.mark.parametrize("text", ["", "hello world", "ünïcödé €", "😀 x \n\t y", "a" * 5000])
def test_detokenize_undoes_tokenize(engine: LocalEngine, text: str) -> None:
    tokens = engine.tokenize(text, add_special=False, parse_special=False)
    assert engine.detokenize(tokens) == text


def test_half_a_character_detokenizes_to_a_replacement(engine: LocalEngine) -> None:
    euro = engine.tokenize("€", add_special=False, parse_special=False)
    assert engine.detokenize(euro[:-1]) == "\ufffd"
    with pytest.raises(InvalidRequestError, match="vocabulary"):
        engine.detokenize([-1])


@pytest.mark.parametrize("text", ["hello world", "ünïcödé € 😀", "<|im_start|>x"])
def test_pieces_are_the_bytes_of_the_text(engine: LocalEngine, text: str) -> None:
    tokens = engine.tokenize(text, add_special=False, parse_special=True)
    pieces = engine.pieces(tokens)
    assert len(pieces) == len(tokens)
    assert b"".join(pieces) == text.encode()
    with pytest.raises(InvalidRequestError, match="vocabulary"):
        engine.pieces([engine.info().n_vocab])


@pytest.mark.parametrize("content", ["Hi", "", *CONTROL])
def test_a_chat_is_counted_as_its_request_is(engine: LocalEngine, content: str) -> None:
    tokens = engine.tokenize_chat([{"role": "user", "content": content}])
    assert len(tokens) == _chat(engine, content).finish.usage.n_prompt_tokens
    assert tokens[0] == IM_START


def test_a_chat_over_the_context_is_counted_too(engine: LocalEngine) -> None:
    n_ctx = engine.info().n_ctx
    tokens = engine.tokenize_chat([{"role": "user", "content": "x " * n_ctx}])
    assert len(tokens) > n_ctx


def test_the_tokenizer_is_described(engine: LocalEngine) -> None:
    info = engine.info()
    assert info.has_chat_template
    assert "messages" in info.chat_template
    assert info.eos_token in CONTROL
    assert info.bos_token in ("", *CONTROL)


def test_a_long_run_of_one_letter_is_tokenized_on_a_stack_that_fits(engine: LocalEngine) -> None:
    text = "A" * 2_000_000
    assert engine.detokenize(engine.tokenize(text, add_special=False, parse_special=False)) == text
    with pytest.raises(InvalidRequestError, match="limit"):
        engine.tokenize("A" * 3_000_000, add_special=False, parse_special=False)


def test_messages_that_the_template_refuses_are_the_clients_mistake(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequestError, match="messages"):
        engine.render([])


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + b"\xff" * 64, b"not a model at all" * 10]
)
def test_a_damaged_file_is_a_load_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"bad\.gguf"):
        LocalEngine(EngineConfig(model_id="bad", model_path=str(path)))


def test_a_truncated_and_a_missing_file_are_load_errors(tmp_path: Path, tiny_model: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_model.read_bytes()[:-1000])
    for name in (path, tmp_path / "missing.gguf"):
        with pytest.raises(ModelLoadError):
            LocalEngine(EngineConfig(model_id="bad", model_path=str(name)))


def test_an_error_may_quote_bytes_that_are_no_text(tmp_path: Path, tiny_model: Path) -> None:
    good = tiny_model.read_bytes()
    at = good.index(b"{% if add_generation_prompt")
    path = tmp_path / "template.gguf"
    path.write_bytes(good[:at] + b"{% \xff\xff" + good[at + 5 :])
    engine = LocalEngine(EngineConfig(model_id="bad", model_path=str(path)))
    with pytest.raises(InvalidRequestError, match="template"):
        engine.render([{"role": "user", "content": "hi"}])
    engine.close()


def test_info_describes_the_model(engine: LocalEngine) -> None:
    info = engine.info()
    assert (info.architecture, info.n_vocab, info.n_ctx_train, info.n_ctx) == (
        "llama",
        320,
        256,
        256,
    )
    assert info.has_chat_template
    assert info.n_params > 0


def test_fill_in_the_middle_tokens_are_known_and_used(engine: LocalEngine, tmp_path: Path) -> None:
    info = engine.info()
    assert {info.fim_pre_token, info.fim_suf_token, info.fim_mid_token} == {-1}
    path = write_tiny_llama(tmp_path / "infill.gguf", infill=True)
    able = LocalEngine(EngineConfig(model_id="infill", model_path=str(path)))
    body = CompletionRequest(prompt="def f():<|im_end|>", suffix="return x", temperature=0)
    (tokens,) = infill_prompts(body.prompts, "return x", able.info(), able.tokenize)
    fim = [token for token in tokens if token in FIM_TOKENS.values()]
    assert fim == list(FIM_TOKENS.values())
    assert IM_END not in tokens
    (request,) = completion_requests(body, able.info(), [tokens])
    answer = Answer(list(able.submit(request)))
    assert answer.finish.usage.n_prompt_tokens == len(tokens)
    able.close()


def test_segments_name_control_tokens_in_their_own_text_only(engine: LocalEngine) -> None:
    eos = engine.info().eos_token
    own = engine.tokenize_segments([Segment(eos, False)])
    typed = engine.tokenize_segments([Segment(eos, True)])
    assert engine.tokenize(eos, add_special=True, parse_special=True) == own
    assert engine.tokenize(eos, add_special=True, parse_special=False) == typed
    assert own != typed


def test_a_request_of_segments_is_as_one_of_the_messages(engine: LocalEngine) -> None:
    messages = [{"role": "user", "content": "hi"}]
    text = engine.render(messages)
    segments = [Segment(text, False)]
    stream = engine.submit(GenerateRequest(segments=segments, max_tokens=2))
    finish = list(stream)[-1].finish
    assert finish.usage.n_prompt_tokens == len(engine.tokenize_segments(segments))
    assert finish.usage.n_prompt_tokens == len(engine.tokenize_chat(messages))


def test_short_prompts_do_not_wait_behind_long_texts(engine: LocalEngine) -> None:
    long_text = " ".join(map(str, range(280_000)))  # no two pieces of it are equal
    ended: list[str] = []

    def submit(name: str, **fields: Any) -> Callable[[], None]:
        stream = engine.submit(GenerateRequest(prompt="Hi", sampling=GREEDY, **fields))
        return lambda: ended.append(f"{name} {len(list(stream)) > 0}")

    waits = [submit("long", draft=long_text, max_tokens=1) for _ in range(6)]
    waits.append(submit("short", max_tokens=8))
    with ThreadPoolExecutor(len(waits)) as pool:
        list(pool.map(lambda wait: wait(), waits))
    assert sorted(ended) == ["long True"] * 6 + ["short True"]
    assert ended[-1] == "long True"


def test_what_cannot_fit_is_not_tokenized(engine: LocalEngine) -> None:
    request = GenerateRequest(prompt="a" * 2_000_000, sampling=GREEDY, max_tokens=1)
    with pytest.raises(ContextLengthExceededError, match="at least") as refused:
        list(engine.submit(request))
    assert refused.value.details["n_prompt_tokens"] > refused.value.details["n_ctx"]
