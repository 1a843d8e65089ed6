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
    """Raises InvalidRequestError."""
    _check_is_list(prompts, "prompts")
    return cast("list[Prompt]", [prompts] if is_one_prompt(prompts) else list(prompts))


def as_chats(chats: Chats) -> list[Sequence[Message] | str]:
    """Raises InvalidRequestError."""
    _check_is_list(chats, "messages")
    one = [chats] if is_one_chat(chats) else list(chats)
    return cast("list[Sequence[Message] | str]", one)


def as_params(params: Params, n: int, more: dict[str, Any]) -> list[SamplingParams]:
    """One for each of `n`. Raises InvalidRequestError for another number of them.

    more: the other keywords, of which `sampling_params` is taken away: vLLM's name of params.
    """
    params = more.pop("sampling_params", None) if params is None else params
    if params is None or isinstance(params, SamplingParams):
        return [params or PLAIN] * n
    if len(params) != n:
        message = f"{len(params)} SamplingParams for {n} prompts: give 1, or as many"
        raise InvalidRequestError(message, param="params")
    return list(params)


def as_texts(texts: str | Sequence[str]) -> str | list[str]:
    return texts if isinstance(texts, str) else list(texts)


def _check_is_list(given: object, name: str) -> None:
    if not isinstance(given, str) and (isinstance(given, bytes) or not hasattr(given, "__len__")):
        message = f"{name}: a text, or a list, not {type(given).__name__}"
        raise InvalidRequestError(message, param=name)


def _has_first(values: Sequence[Any], is_it: Any) -> bool:
    return len(values) > 0 and bool(is_it(values[0]))
