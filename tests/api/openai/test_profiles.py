"""What a model's configuration does to requests and answers."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.models.profile import ModelProfile, PromptProfile, ShapeProfile, TemplateSource
from tests.api.conftest import StartFront
from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, Front, chat_body, error_of

MARKS = PromptProfile(
    chat=TemplateSource("chat", "<s>{{.Input}}<a>"),
    chat_message=TemplateSource("message", "<{{.RoleName}}>{{.Content}}</>"),
    completion=TemplateSource("completion", "C {{.Input}}:"),
    edit=TemplateSource("edit", "E {{.Instruction}} {{.Input}}:"),
)
FAILING = PromptProfile(chat=TemplateSource("bad", "x\n{{index .Functions 3}}"))


def front_of(start: StartFront, script: FakeScript | None = None, **fields: Any) -> Front:
    scripts = () if script is None else (script,)
    return start(*scripts, profiles={"tiny": ModelProfile(**fields)})


def last_request(front: Front) -> Any:
    return front.core.requests[-1]


def text_of(segments: Any) -> str:
    return "".join(f"[{s.text}]" if s.is_input else s.text for s in segments)


FIELDS: dict[str, Any] = {"temperature": 0.25, "top_k": 7, "max_tokens": 5, "seed": 3}


class TestDefaults:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (CHAT, chat_body()),
            (COMPLETIONS, {"prompt": "a b"}),
            (EDITS, {"instruction": "i", "input": "a b"}),
            (RESPONSES, {"input": "a b"}),
        ],
    )
    def test_they_fill_what_a_request_leaves_open(self, start, path, body) -> None:
        front = front_of(start, defaults=FIELDS, stop=("END",))
        assert front.post(path, body).status_code == 200
        request = last_request(front)
        assert (request.sampling.temperature, request.sampling.top_k) == (0.25, 7)
        assert (request.max_tokens, request.sampling.seed) == (5, 3)
        assert request.stop == ["END"]

    def test_a_request_overrides_them_and_null_does_not(self, start) -> None:
        front = front_of(start, defaults=FIELDS, stop=("END",))
        fields = {"temperature": 0, "top_k": None, "max_completion_tokens": 2, "stop": "X"}
        front.post(CHAT, chat_body(**fields))
        request = last_request(front)
        assert (request.sampling.temperature, request.sampling.top_k) == (0, 7)
        assert (request.max_tokens, request.stop) == (2, ["X", "END"])

    def test_a_penalty_under_its_other_name_is_one_too(self, start) -> None:
        front = front_of(start, defaults={"repeat_penalty": 1.5})
        front.post(CHAT, chat_body(repetition_penalty=1.2))
        assert last_request(front).sampling.repeat_penalty == 1.2

    def test_a_grammar_gives_way_to_a_constraint_of_the_request(self, start) -> None:
        front = front_of(start, defaults={"grammar": 'root ::= "a"'})
        front.post(CHAT, chat_body())
        assert last_request(front).grammar == 'root ::= "a"'
        front.post(CHAT, chat_body(choice=["b"]))
        assert '"a"' not in last_request(front).grammar

    def test_many_choices_of_many_prompts_stay_within_the_limit(self, start) -> None:
        front = front_of(start, defaults={"n": 16})
        assert len(front.post(COMPLETIONS, {"prompt": "a"}).get_json()["choices"]) == 16
        response = front.post(COMPLETIONS, {"prompt": ["a"] * 10})
        assert len(response.get_json()["choices"]) == 10

    @pytest.mark.parametrize(
        ("defaults", "n_chat", "n_completion"),
        [
            ({"logprobs": True}, 0, 0),
            ({"logprobs": 3}, 3, 3),
            ({"logprobs": True, "top_logprobs": 9}, 9, 5),
            ({"logprobs": False, "top_logprobs": 9}, None, None),
            ({"logprobs": 0}, None, None),
        ],
    )
    def test_logprobs_are_a_number_or_a_truth(self, start, defaults, n_chat, n_completion) -> None:
        front = front_of(start, defaults=defaults)
        front.post(CHAT, chat_body())
        assert last_request(front).n_logprobs == n_chat
        front.post(COMPLETIONS, {"prompt": "a"})
        assert last_request(front).n_logprobs == n_completion
        front.post(CHAT, chat_body(logprobs=False))
        assert last_request(front).n_logprobs is None
        front.post(RESPONSES, {"input": "a"})
        assert front.post(EDITS, {"instruction": "i", "input": "a"}).status_code == 200


class TestTemplates:
    def test_of_chats(self, start) -> None:
        front = front_of(start, prompt=MARKS)
        body = chat_body("hi")
        assert front.post(CHAT, body).status_code == 200
        request = last_request(front)
        assert request.messages is None
        assert text_of(request.segments) == "<s><user>[hi]</><a>"
        rendered = front.post("/apply-template", body).get_json()
        assert rendered == {"prompt": "<s><user>hi</><a>"}
        counted = front.post("/v1/chat/completions/input_tokens", body).get_json()
        usage = front.post(CHAT, body).get_json()["usage"]
        assert counted["input_tokens"] == usage["prompt_tokens"]

    def test_of_responses(self, start) -> None:
        front = front_of(start, prompt=MARKS)
        front.post(RESPONSES, {"input": "hi", "instructions": "be kind"})
        expected = "<s><system>[be kind]</>\n<user>[hi]</><a>"
        assert text_of(last_request(front).segments) == expected

    def test_of_completions(self, start) -> None:
        front = front_of(start, prompt=MARKS)
        front.post(COMPLETIONS, {"prompt": ["a", "b"]})
        texts = [text_of(request.segments) for request in front.core.requests]
        assert texts == ["C [a]:", "C [b]:"]

    def test_token_ids_need_no_template(self, start) -> None:
        front = front_of(start, prompt=MARKS)
        front.post(COMPLETIONS, {"prompt": [1, 2]})
        assert last_request(front).tokens == [1, 2]

    def test_of_edits(self, start) -> None:
        front = front_of(start, prompt=MARKS)
        front.post(EDITS, {"instruction": "do", "input": "x"})
        assert text_of(last_request(front).segments) == "E [do] [x]:"

    def test_a_system_prompt_alone_goes_before_conversations(self, start) -> None:
        front = front_of(start, prompt=PromptProfile(system_prompt="S!"))
        front.post(CHAT, chat_body("hi"))
        assert [message["content"] for message in last_request(front).messages] == ["S!", "hi"]

    def test_a_system_prompt_that_a_template_shows_is_no_message(self, start) -> None:
        prompt = PromptProfile(
            chat=TemplateSource("chat", "{{.SystemPrompt}}|{{.Input}}"), system_prompt="S!"
        )
        front = front_of(start, prompt=prompt)
        front.post(CHAT, chat_body("hi"))
        assert text_of(last_request(front).segments) == "S!|[hi]"
        talk = [{"role": "system", "content": "own"}, {"role": "user", "content": "hi"}]
        front.post(CHAT, {"messages": talk})
        assert text_of(last_request(front).segments) == "|[own]\n[hi]"
        tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
        front.post(CHAT, chat_body("hi", tools=[tool]))
        text = text_of(last_request(front).segments)
        assert text.startswith("|[S!\n\n")
        assert '"add"' in text

    def test_a_system_prompt_are_the_instructions_of_responses(self, start) -> None:
        front = front_of(start, prompt=PromptProfile(system_prompt="S!"))
        front.post(RESPONSES, {"input": "hi"})
        assert [message["content"] for message in last_request(front).messages] == ["S!", "hi"]
        front.post(RESPONSES, {"input": "hi", "instructions": "I!"})
        assert [message["content"] for message in last_request(front).messages] == ["I!", "hi"]

    def test_a_template_that_fails_is_an_error_of_the_request(self, start) -> None:
        front = front_of(start, prompt=FAILING)
        response = front.post(CHAT, chat_body())
        error = error_of(response)
        assert (response.status_code, error["param"]) == (400, "messages")
        assert error["message"].startswith("template bad:2:")


class TestShaping:
    SHAPE = ShapeProfile(cutstrings=(r"\(.*?\)",), trimspace=("A:",), trimsuffix=("END",))
    SCRIPT = FakeScript(texts=("A: one (two) three END",))

    def test_of_plain_and_streamed_answers(self, start) -> None:
        front = front_of(start, self.SCRIPT, shape=self.SHAPE)
        plain = front.post(CHAT, chat_body()).get_json()["choices"][0]["message"]["content"]
        assert plain == "one  three"
        streamed = front.post(CHAT, chat_body(stream=True)).get_data(as_text=True)
        assert '"content":"one  three"' in streamed
        text = front.post(COMPLETIONS, {"prompt": "x"}).get_json()["choices"][0]["text"]
        assert text == "one  three"

    def test_constrained_answers_stay_as_they_are(self, start) -> None:
        front = front_of(start, self.SCRIPT, shape=self.SHAPE)
        body = chat_body(regex="^A.*END$")
        text = front.post(CHAT, body).get_json()["choices"][0]["message"]["content"]
        assert text == self.SCRIPT.texts[0]


class TestNames:
    def test_aliases_patterns_and_defaults(self, start) -> None:
        front = start(
            models=("a", "b"),
            profiles={
                "a": ModelProfile(aliases=("first", "gpt-*"), usecases=("completion",)),
                "b": ModelProfile(aliases=("gpt-4",)),
            },
            model_alias=["x?=b"],
            default_model=["chat=b"],
        )
        wanted = {"first": "a", "gpt-3.5": "a", "gpt-4": "b", "x1": "b", None: "b"}
        for name, model in wanted.items():
            response = front.post(CHAT, chat_body(model=name))
            assert response.headers["X-Model-Resolved"] == model
        response = front.post(COMPLETIONS, {"prompt": "x"})
        assert response.headers["X-Model-Resolved"] == "a"
        response = front.post(CHAT, chat_body(model="y1"))
        assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
        assert front.client.get("/v1/models/first").get_json()["id"] == "a"

    def test_the_path_and_the_query_name_a_model(self, start) -> None:
        front = start(models=("a", "b"))
        response = front.post("/v1/engines/b/completions", {"prompt": "x"})
        assert response.headers["X-Model-Resolved"] == "b"
        response = front.post(COMPLETIONS + "?model=b", {"prompt": "x"})
        assert response.headers["X-Model-Resolved"] == "b"

    def test_the_list_tells_names_and_can_be_filtered(self, start) -> None:
        profile = ModelProfile(aliases=("first",), description="A.")
        front = start(models=("a", "b"), profiles={"a": profile})
        meta = front.client.get("/v1/models").get_json()["data"][0]["meta"]
        assert (meta["aliases"], meta["description"]) == (["first"], "A.")
        listed = front.client.get("/v1/models?filter=^b").get_json()["data"]
        assert [model["id"] for model in listed] == ["b"]
        for wrong in ("(", "(?=a)", "a" * 300):
            response = front.client.get("/v1/models", query_string={"filter": wrong})
            assert (response.status_code, error_of(response)["param"]) == (400, "filter")

    def test_the_properties_show_the_defaults_of_a_model(self, start) -> None:
        front = front_of(start, defaults={"temperature": 0.5, "top_k": -1, "max_tokens": 4})
        params = front.client.get("/props").get_json()["default_generation_settings"]["params"]
        assert (params["temperature"], params["top_k"]) == (0.5, 0)

    @pytest.mark.parametrize(("seed", "shown"), [(42, 42), (-1, 4294967295)])
    def test_the_properties_show_the_seed_of_a_model(self, start, seed, shown) -> None:
        front = front_of(start, defaults={"seed": seed})
        params = front.client.get("/props").get_json()["default_generation_settings"]["params"]
        assert params["seed"] == shown
