"""The endpoints around tokens, in llama-server's shapes and vLLM's."""

from __future__ import annotations

import pytest

from pyserve.openai.server.tokens import tokenized, with_pieces
from tests.support.answers import as_json
from tests.support.front import CHAT, RESPONSES, chat_body, error_of

COUNT = "/v1/chat/completions/input_tokens"
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
RENDER = "/v1/chat/completions/render"
RENDER_TEXTS = "/v1/completions/render"
BODIES = {
    "/tokenize": {"content": "a b"},
    "/detokenize": {"tokens": [1]},
    "/apply-template": chat_body(),
    COUNT: chat_body(),
    RENDER: chat_body(),
    RENDER_TEXTS: {"prompt": "a b"},
}


class HalfCharacters:
    """What an engine says of tokens of which one is half a character."""

    def pieces(self, tokens):
        return [b"\xc3", b"\xe2\x80", "é".encode()][: len(tokens)]


def test_text_becomes_tokens_and_tokens_text(front):
    tokens = front.post("/tokenize", {"content": "one two"}).get_json()["tokens"]
    assert len(tokens) == 2
    assert front.post("/detokenize", {"tokens": tokens}).get_json() == {
        "content": "one two",
        "prompt": "one two",
    }
    assert front.post("/detokenize", {"tokens": []}).get_json()["content"] == ""
    assert front.post("/tokenize", {"content": ""}).get_json() == {"tokens": []}


def test_special_tokens_are_added_when_asked_for(front):
    plain = front.post("/tokenize", {"content": "one"}).get_json()["tokens"]
    special = front.post("/tokenize", {"content": "one", "add_special": True}).get_json()["tokens"]
    assert special[-1:] == plain
    assert len(special) == 2


def test_tokens_come_with_their_pieces(front):
    body = {"content": "é two", "with_pieces": True}
    tokens = front.post("/tokenize", body).get_json()["tokens"]
    assert [token["piece"] for token in tokens] == ["é", " two"]
    assert front.post("/detokenize", {"tokens": [token["id"] for token in tokens]}).get_json()


def test_a_piece_that_is_no_text_is_bytes():
    answer = as_json(with_pieces([7, 8, 9], [b"\xc3", b"\xa9", b"x"]))
    assert answer == [
        {"id": 7, "piece": [0xC3]},
        {"id": 8, "piece": [0xA9]},
        {"id": 9, "piece": "x"},
    ]


def test_texts_and_token_ids_may_be_mixed(front):
    def tokens(content, **more):
        return front.post("/tokenize", {"content": content, **more}).get_json()["tokens"]

    one, two = tokens("one"), tokens("two")
    assert tokens(["one", 7, 8, "two"]) == [*one, 7, 8, *two]
    assert tokens(["one", 7, "two"], add_special=True)[1:] == [*one, 7, *two]
    assert tokens([7, "one"], add_special=True) == [7, *one]  # llama-server: a first text alone
    assert tokens([]) == []
    assert tokens([7], with_pieces=True)[0]["id"] == 7


@pytest.mark.parametrize("body", [{"content": "é two"}, {"prompt": "é two"}])
def test_tokens_come_with_their_texts_as_in_vllm(front, body):
    answer = front.post("/tokenize", {**body, "return_token_strs": True}).get_json()
    assert answer["token_strs"][-2:] == ["é", " two"]
    assert len(answer["token_strs"]) == len(answer["tokens"])


def test_bytes_that_are_no_text_are_shown_as_in_vocabularies():
    wanted = {"is_counted": False, "has_pieces": False, "has_strings": True}
    answer = as_json(tokenized(HalfCharacters(), [7, 8, 9], **wanted))
    assert answer == {"tokens": [7, 8, 9], "token_strs": ["<0xC3>", "<0xE2><0x80>", "é"]}


def test_the_prompt_of_a_conversation_is_tokenized_as_a_chat_has_it(front):
    body = chat_body("one two three", tools=TOOLS)
    answer = front.post("/tokenize", {**body, "return_token_strs": True}).get_json()
    assert answer["count"] == front.post(COUNT, body).get_json()["input_tokens"]
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    assert answer["max_model_len"] == 4096
    prompt = front.post("/apply-template", body).get_json()["prompt"]
    assert front.post("/detokenize", {"tokens": answer["tokens"]}).get_json()["prompt"] == prompt
    assert "get_weather" in prompt


def test_the_template_is_applied_to_messages_of_any_role(front):
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ]
    prompt = front.post("/apply-template", {"messages": messages}).get_json()["prompt"]
    assert prompt == "system: be brief\nuser: hi\nassistant:"


@pytest.mark.parametrize("path", [COUNT, "/chat/completions/input_tokens"])
def test_the_count_is_the_usage_of_the_same_request(front, path):
    body = chat_body("one two three", temperature=0, max_tokens=1)
    usage = front.post(CHAT, body).get_json()["usage"]
    assert front.post(path, body).get_json() == {"input_tokens": usage["prompt_tokens"]}


def test_prompts_are_told_as_the_tokens_that_an_answer_to_them_has(front):
    chat = chat_body("one two three", tools=TOOLS, return_token_ids=True, max_tokens=1)
    told = front.post(CHAT, chat).get_json()["prompt_token_ids"]
    assert front.post(RENDER, chat).get_json() == {"token_ids": told}
    body = {"prompt": ["one two", "three"], "return_token_ids": True, "max_tokens": 1}
    choices = front.post("/v1/completions", body).get_json()["choices"]
    rendered = front.post(RENDER_TEXTS, body).get_json()
    assert rendered == [{"token_ids": choice["prompt_token_ids"]} for choice in choices]
    rendered = front.post(RENDER_TEXTS, {"prompt": [1, 2, 3]}).get_json()
    assert rendered == [{"token_ids": [1, 2, 3]}]


def test_a_response_is_counted_too(front):
    body = {"instructions": "be brief", "input": "one two three"}
    usage = front.post(RESPONSES, body).get_json()["usage"]
    assert front.post(f"{RESPONSES}/input_tokens", body).get_json() == {
        "object": "response.input_tokens",
        "input_tokens": usage["input_tokens"],
    }


def test_a_count_may_be_over_the_context(start):
    front = start(engine={"n_ctx": 8})
    assert front.post(COUNT, chat_body("x " * 50)).get_json()["input_tokens"] > 50
    assert front.core.requests == []


@pytest.mark.parametrize("path", BODIES)
def test_the_model_is_chosen_by_name(start, path):
    front = start(models=("a", "b"))
    response = front.post(path, {**BODIES[path], "model": "b"})
    assert response.headers["X-Model-Resolved"] == "b"
    assert error_of(front.post(path, {**BODIES[path], "model": "c"}))["code"] == "model_not_found"
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize("path", BODIES)
def test_a_busy_front_says_so(start, path):
    front = start(max_streams=1)
    permit = front.stream_limit.acquire()
    assert error_of(front.post(path, BODIES[path]))["code"] == "queue_full"
    permit.release()
    assert front.post(path, BODIES[path]).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("/tokenize", {}, "content", "missing_required_parameter"),
        ("/tokenize", {"content": "a", "prompt": "a"}, "prompt", "invalid_value"),
        ("/tokenize", {"prompt": "é" * 2**20 + "x"}, "prompt", "invalid_value"),
        ("/tokenize", {"content": 5}, "content", "invalid_type"),
        ("/tokenize", {"content": [["a"]]}, "content.0", "invalid_type"),
        ("/tokenize", {"content": ["a", True]}, "content.1", "invalid_type"),
        ("/tokenize", {"content": ["a", -1]}, "content.1", "invalid_value"),
        ("/tokenize", {"content": ["a", 32000]}, "content", "invalid_value"),
        ("/tokenize", {"content": ["a"] * 2049}, "content", "invalid_value"),
        ("/tokenize", {"content": ["é" * 2**18] * 5}, "content", "invalid_value"),
        ("/tokenize", {"messages": []}, "messages", "invalid_value"),
        ("/tokenize", {"messages": None}, "content", "missing_required_parameter"),
        ("/tokenize", {"content": "a", **chat_body()}, "content", "invalid_value"),
        ("/tokenize", {"return_token_strs": 1, **chat_body()}, "return_token_strs", "invalid_type"),
        ("/tokenize", {"content": "é" * 2**20 + "x"}, "content", "invalid_value"),
        ("/tokenize", {"content": "a", "add_special": 1}, "add_special", "invalid_type"),
        ("/tokenize", {"content": "a", "parse_special": "no"}, "parse_special", "invalid_type"),
        ("/tokenize", {"content": "a", "with_pieces": 0}, "with_pieces", "invalid_type"),
        ("/detokenize", {}, "tokens", "missing_required_parameter"),
        ("/detokenize", {"tokens": 5}, "tokens", "invalid_type"),
        ("/detokenize", {"tokens": ["a"]}, "tokens.0", "invalid_type"),
        ("/detokenize", {"tokens": [1, -1]}, "tokens.1", "invalid_value"),
        ("/detokenize", {"tokens": [32000]}, "tokens", "invalid_value"),
        ("/apply-template", {}, "messages", "missing_required_parameter"),
        ("/apply-template", {"messages": []}, "messages", "invalid_value"),
        (COUNT, {"messages": [{"role": "x"}]}, "messages.0.role", "invalid_value"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_bodies_are_refused_by_name(front, path, body, param, code):
    response = front.post(path, body)
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


def test_vllms_clients_find_what_they_ask_for(front):
    info = front.client.get("/tokenizer_info").get_json()
    assert (info["eos_token"], info["bos_token"]) == ("</s>", None)
    plain = front.post("/tokenize", {"prompt": "one two", "add_special_tokens": False}).get_json()
    special = front.post("/tokenize", {"prompt": "one two"}).get_json()
    assert (plain["count"], special["count"]) == (2, 3)
    assert special["tokens"][1:] == plain["tokens"]
    assert plain["max_model_len"] == 4096


@pytest.mark.parametrize("path", ["/props", "/v1/lora-adapters", "/tokenizer_info"])
def test_what_tells_of_a_model_loads_it_when_asked_to(front, path):
    assert front.post("/models/unload", {"model": "tiny"}).status_code == 200
    for query in ("", "?model=tiny", "?autoload=false"):
        response = front.client.get(path + query)
        error = error_of(response)
        assert (response.status_code, error["code"]) == (400, "model_not_loaded")
        assert error["param"] == "model"
        assert front.backend.models()[0].state == "unloaded"
    assert front.client.get(f"{path}?autoload=true").status_code == 200
    assert front.client.get(path).status_code == 200


def test_props_name_the_model_and_its_context(start):
    front = start(models=("a", "b"), engine={"n_ctx": 99, "n_seq_max": 3})
    body = front.client.get("/props?model=b").get_json()
    assert body["model_alias"] == "b"
    assert body["default_generation_settings"]["n_ctx"] == 99
    assert body["default_generation_settings"]["params"]["temperature"] == 0.8
    assert body["total_slots"] == 3
    assert (body["endpoint_slots"], body["is_sleeping"]) == (True, False)
    assert body["model_path"] == front.backend.models()[1].model_path
    assert body["chat_template_caps"]["supports_system_role"] is True
    assert body["chat_template_caps"]["supports_tools"] is False
    assert error_of(front.client.get("/props"))["param"] == "model"
