"""One prompt or conversation as a list of one, and a list as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pyserve.client.asks import PLAIN, Message, Prompt
from pyserve.client.params import SamplingParams
from pyserve.errors import InvalidRequestError

Prompts = Prompt | Sequence[Prompt]
Chats = Sequence[Message] | Sequence[Sequence[Message]] | str
Params = SamplingParams | Sequence[SamplingParams] | None


def is_one_prompt(prompts: Prompts) -> bool:
    """A text, or a list of token ids that is not empty."""
    return isinstance(prompts, str) or _has_first(prompts, lambda each: hasattr(each, "__index__"))


def is_one_chat(chats: Chats) -> bool:
    """A text, or a list of messages that is not empty."""
    return isinstance(chats, str) or _has_first(chats, lambda each: isinstance(each, Mapping))


def as_prompts(prompts: Prompts) -> list[Prompt]:
    return cast("list[Prompt]", [prompts] if is_one_prompt(prompts) else list(prompts))


def as_chats(chats: Chats) -> list[Sequence[Message] | str]:
    one = [chats] if is_one_chat(chats) else list(chats)
    return cast("list[Sequence[Message] | str]", one)


def as_params(params: Params, n: int) -> list[SamplingParams]:
    """One for each of `n`. Raises InvalidRequestError for another number of them."""
    if params is None or isinstance(params, SamplingParams):
        return [params or PLAIN] * n
    if len(params) != n:
        message = f"{len(params)} SamplingParams for {n} prompts: give 1, or as many"
        raise InvalidRequestError(message, param="params")
    return list(params)


def as_texts(texts: str | Sequence[str]) -> str | list[str]:
    return texts if isinstance(texts, str) else list(texts)


def _has_first(values: Sequence[Any], is_it: Any) -> bool:
    return len(values) > 0 and bool(is_it(values[0]))
