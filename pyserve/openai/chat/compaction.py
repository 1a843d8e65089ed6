"""Compaction: the older part of a conversation becomes a summary by the model.

System messages and the last turns stay as they are; a call stays with its results. What is too
long for one summary is folded: each summary is a part of what the next one is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from pyserve.engine.protocol import Engine, Finish, GenerateRequest, SamplingParams
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.answer import Output
from pyserve.openai.chat.conversation import Conversation, Offer, conversation
from pyserve.openai.scheduling import scheduling
from pyserve.openai.tools.parsed_answer import ReadChoice
from pyserve.schemas.fields.compaction import Compact
from pyserve.schemas.fields.reasoning import ReasoningFields
from pyserve.schemas.fields.scheduling import SchedulingFields

Message = dict[str, Any]
Group = list[Message]
Count = Callable[[list[Message]], int]

SUMMARY_TOKENS = 512
MAX_SUMMARY_SHARE = 8  # of the context, and as much is kept free for an answer
TAIL_SHARE = 2  # of what a conversation may have, which its last turns keep at most
SUMMARY_HEAD = "Summary of the conversation so far:\n\n"
TASK = (
    "Summarize the conversation above for somebody who has to carry on with it and cannot read it:"
    " what is wanted, facts, names and numbers, what was decided and done, results of tools, and"
    " what is still open. Write the summary alone, in the language of the conversation."
)
SILENT = ReasoningFields.model_validate({"reasoning_effort": "none"})


def summary_turn(text: str) -> Message:
    """A summary as a turn of the conversation."""
    return {"role": "user", "content": SUMMARY_HEAD + text}


class Compacted(msgspec.Struct, frozen=True):
    """A conversation made shorter.

    n_compacted: messages that the summary stands for. n_dropped: of them those that were too long
    to be read for it. finishes: how the summaries ended.
    """

    messages: list[Message]
    n_compacted: int
    n_dropped: int = 0
    finishes: tuple[Finish, ...] = ()


class Limits(msgspec.Struct, frozen=True):
    """Tokens: the longest prompt that stays as it is, the kept end of a longer one, a summary, and
    the longest prompt that a summary is made of."""

    n_prompt: int
    n_tail: int
    n_summary: int
    n_read: int


def limits(n_ctx: int, wanted: Compact) -> Limits:
    """Those for a context of `n_ctx` tokens; without other wishes whatever fits stays."""
    n_most = wanted.max_summary_tokens or SUMMARY_TOKENS
    n_summary = max(1, min(n_most, n_ctx // MAX_SUMMARY_SHARE))
    n_prompt = n_ctx - n_ctx // MAX_SUMMARY_SHARE
    if wanted.threshold is not None:
        n_prompt = min(n_prompt, wanted.threshold)
    if wanted.ratio is not None:
        n_prompt = min(n_prompt, int(n_ctx * wanted.ratio))
    n_tail = n_prompt // TAIL_SHARE
    if wanted.tail_tokens is not None:
        n_tail = min(n_tail, wanted.tail_tokens)
    return Limits(n_prompt, n_tail, n_summary, n_ctx - n_summary)


class Parts(msgspec.Struct, frozen=True):
    """What stays in front, what is summarized, and what stays behind."""

    head: list[Message]
    old: list[Group]
    kept: list[Message]


def parts_of(messages: Sequence[Message], n_tail: int | None, count: Count) -> Parts:
    """The parts of a conversation whose end has at most `n_tail` tokens, but its last group.

    n_tail: None: all is old. The last message of the user always stays as well.
    count: the tokens of the prompt of such messages.
    """
    n_head = next((i for i, one in enumerate(messages) if one["role"] != "system"), len(messages))
    groups = _groups(messages[n_head:])
    asked = [one for one in messages if one["role"] == "user"][-1:]

    def kept(begin: int) -> list[Message]:
        tail = _flat(groups[begin:])
        return tail if _has(tail, *asked) else [*asked, *tail]

    begin = len(groups)
    if n_tail is not None:
        low = 0
        begin = max(len(groups) - 1, 0)
        while low < begin:  # the prompt shrinks with each group that is left out
            middle = (low + begin) // 2
            if count([*messages[:n_head], *kept(middle)]) <= n_tail:
                begin = middle
            else:
                low = middle + 1
    old = _flat(groups[:begin])
    system = [one for one in old if one["role"] == "system"]
    rest = [group for group in groups[:begin] if group[0]["role"] != "system"]
    return Parts([*messages[:n_head], *system], rest, kept(begin))


def _groups(messages: Sequence[Message]) -> list[Group]:
    """Messages that stay together: each alone, but calls with their results."""
    groups: list[Group] = []
    for message in messages:
        if message["role"] == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups


def _flat(groups: Sequence[Group]) -> list[Message]:
    return [message for group in groups for message in group]


def _has(messages: Sequence[Message], *wanted: Message) -> bool:
    """Whether all of `wanted` themselves are among the messages."""
    return all(any(one is each for each in messages) for one in wanted)


def _is_new(parts: Parts) -> bool:
    """Whether a summary would hold more than an older one, and than what stays anyway."""
    return any(
        not str(one["content"]).startswith(SUMMARY_HEAD) and not _has(parts.kept, one)
        for one in _flat(parts.old)
    )


class Summarizer:
    """Makes requests for summaries, and reads them. fields: how they are scheduled."""

    def __init__(
        self,
        engine: Engine,
        fields: SchedulingFields,
        n_summary: int,
        profile: ModelProfile = PLAIN,
    ) -> None:
        self._engine = engine
        self._fields = fields
        self._n_summary = n_summary
        self._profile = profile

    def n_prompt(self, messages: list[Message]) -> int:
        """The tokens of the prompt for the summary of `messages`."""
        made = self._made(messages)
        return len(self._engine.tokenize_chat(made.messages, made.options))

    def request(self, messages: list[Message]) -> GenerateRequest:
        """The request for the likeliest summary of `messages`."""
        made = self._made(messages)
        return GenerateRequest(
            **scheduling(self._fields),
            sampling=SamplingParams(temperature=0),
            messages=made.messages,
            template=made.options,
            thinking=made.thinking_limit,
            stop=list(made.stops),
            max_tokens=self._n_summary,
        )

    def text(self, output: Output) -> str:
        """The summary, without thoughts."""
        return ReadChoice(self._made([]).style).push_all(output.deltas).text.strip()

    def _made(self, messages: list[Message]) -> Conversation:
        asked = [*messages, {"role": "user", "content": TASK}]
        return conversation(self._engine, asked, Offer(), SILENT, self._profile)


def compacted(
    messages: list[Message], sizes: Limits, count: Count, summarizer: Summarizer, *, is_all: bool
) -> Generator[GenerateRequest, Output, Compacted | None]:
    """Summarize what is old; yields requests, and wants their outputs.

    count: the tokens of the prompt of such messages. is_all: whatever their number, and nothing
    but the user's last message stays. None: the conversation is short enough, or as short as it
    can be.
    """
    if not is_all and count(messages) <= sizes.n_prompt:
        return None
    parts = parts_of(messages, None if is_all else sizes.n_tail, count)
    if not is_all and not _is_new(parts):
        return None
    summary: list[Message] = []
    finishes: list[Finish] = []
    n_dropped = 0
    rest = parts.old
    while rest:
        before = [*parts.head, *summary]
        n = _n_read(before, rest, sizes.n_read, summarizer)
        if n == 0:
            n_dropped += len(rest[0])
            rest = rest[1:]
            continue
        output = yield summarizer.request([*before, *_flat(rest[:n])])
        finishes.append(output.finish)
        summary = [summary_turn(summarizer.text(output))]
        rest = rest[n:]
    n_kept = sum(_has(parts.kept, one) for one in _flat(parts.old))
    return Compacted(
        [*parts.head, *summary, *parts.kept],
        len(_flat(parts.old)) - n_kept,
        n_dropped,
        tuple(finishes),
    )


def _n_read(
    before: list[Message], groups: Sequence[Group], n_room: int, summarizer: Summarizer
) -> int:
    """How many groups fit into the prompt of a summary."""
    low, high = 0, len(groups)
    while low < high:
        middle = (low + high + 1) // 2
        if summarizer.n_prompt([*before, *_flat(groups[:middle])]) <= n_room:
            low = middle
        else:
            high = middle - 1
    return low
