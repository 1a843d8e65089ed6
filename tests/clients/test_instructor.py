"""Instructor, which asks for objects in many ways and asks again where they do not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import instructor
import openai
import pydantic
import pytest

from tests.clients.conftest import FIRST, MODEL, TIMEOUT_S
from tests.support.server import ServerProcess

SAID: Any = [{"role": "user", "content": "Anna is 31 years old."}]


class Person(pydantic.BaseModel):
    """A person."""

    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    options: Any = {"max_retries": 0, "timeout": TIMEOUT_S}
    with openai.OpenAI(api_key=FIRST, base_url=base_url, **options) as made:
        yield made


@pytest.mark.parametrize(
    "mode",
    [
        instructor.Mode.TOOLS,
        instructor.Mode.JSON,
        instructor.Mode.JSON_SCHEMA,
        instructor.Mode.RESPONSES_TOOLS,
    ],
)
def test_answers_become_objects(client: openai.OpenAI, mode: instructor.Mode) -> None:
    asked: Any = {"model": MODEL, "messages": SAID, "temperature": 0, "max_retries": 0}
    if mode is not instructor.Mode.RESPONSES_TOOLS:
        asked["max_tokens"] = 100
    person = instructor.from_openai(client, mode=mode).create(response_model=Person, **asked)
    assert isinstance(person, Person)


def test_objects_come_in_parts(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": SAID, "temperature": 0, "max_tokens": 100}
    parts = list(instructor.from_openai(client).create_partial(response_model=Person, **asked))
    assert len(parts) > 1
    assert Person.model_validate(parts[-1].model_dump())


def test_what_does_not_hold_is_asked_for_again(client: openai.OpenAI) -> None:
    n_seen = 0

    class Odd(Person):
        @pydantic.model_validator(mode="after")
        def _is_asked_for_twice(self) -> Odd:
            nonlocal n_seen
            n_seen += 1
            if n_seen == 1:
                raise ValueError("ask again")
            return self

    asked: Any = {"model": MODEL, "messages": SAID, "temperature": 0, "max_tokens": 100}
    odd = instructor.from_openai(client).create(response_model=Odd, max_retries=2, **asked)
    assert (isinstance(odd, Odd), n_seen) == (True, 2)


def test_objects_over_the_api_of_anthropic(server: ServerProcess) -> None:
    with anthropic.Anthropic(api_key=FIRST, base_url=server.url, max_retries=0) as client:
        person = instructor.from_anthropic(client).create(
            response_model=Person, model=MODEL, messages=SAID, max_tokens=100, max_retries=0
        )
    assert isinstance(person, Person)
