"""The fake engine's answers: made from a script, the request, and commands in the prompt.

With `FakeScript.commands` a prompt can steer its own answer, which reaches through processes:
  #refuse     fails before it is accepted (code internal_error)
  #fail=3     fails after 3 tokens            #die=3      the process is killed after 3 tokens
  #bus=3      ends with SIGBUS after 3 tokens #ill=3      with SIGILL, unless the kernels are stock
  #hold=3     waits after 3 tokens for cancel or release
  #slow=50    takes 50 ms per token           #words=100  the answer is repeated up to 100 words
  #crash      in a text to be tokenized: the process is killed
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from pyserve.engine.protocol import FinishReason, GenerateRequest
from pyserve.errors import ErrorInfo

WORD = re.compile(r"\s*\S+|\s+\Z")
COMMAND = re.compile(r"#(refuse|fail|die|bus|ill|hold|slow|words)(?:=(\d{1,6}))?")
CRASH = "#crash"
FAILURE = ErrorInfo(code="internal_error", message="the script says so")


class FakeScript(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the fake engine's behaviour.

    texts: the answers, taken in turn by successive requests; empty: the prompt itself is echoed.
    refusal: the error of every request before it is accepted.
    fail_after, hold_after: number of tokens after which a request fails with `failure`, or waits
      for cancel or `FakeCore.release`. token_s: seconds that a token takes.
    """

    texts: tuple[str, ...] = ()
    refusal: ErrorInfo | None = None
    fail_after: int | None = None
    failure: ErrorInfo = FAILURE
    hold_after: int | None = None
    token_s: float = 0.0
    commands: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The scripted course of one request, fixed when it is submitted.

    pieces: one text per token; the last may be cut by a stop string, or be empty.
    turn: what happens after `turn_after` tokens instead of the rest.
    """

    pieces: list[str]
    words: list[str]
    finish_reason: FinishReason
    stop_string: str | None = None
    refusal: ErrorInfo | None = None
    failure: ErrorInfo = FAILURE
    turn: Literal["fail", "hold", "die", "bus", "ill"] | None = None
    turn_after: int = 0
    token_s: float = 0.0


def split_words(text: str) -> list[str]:
    """The fake's tokens: words with the white space before them. Joined, they are `text`."""
    return WORD.findall(text)


def make_plan(
    request: GenerateRequest, said: str, echo: str, script: FakeScript, index: int, n_room: int
) -> Plan:
    """The plan of the `index`-th request.

    said: where the commands are. echo: the answer, unless the script has texts. n_room: tokens left
    in the context.
    """
    commands = dict(COMMAND.findall(said)) if script.commands else {}
    answer = script.texts[index % len(script.texts)] if script.texts else echo
    if "words" in commands:
        answer = repeat_words(answer, int(commands["words"] or 0))
    if request.is_pooled:
        answer = ""
    pieces, stop_string = cut_at_stop(split_words(answer), request.stop)
    limit = n_room if request.max_tokens is None else min(request.max_tokens, n_room)
    is_cut = len(pieces) > limit or request.max_tokens == 0
    plan = Plan(
        pieces=pieces[:limit],
        words=split_words(answer),
        finish_reason="length" if is_cut else "stop",
        stop_string=None if is_cut else stop_string,
        refusal=script.refusal,
        failure=script.failure,
        token_s=script.token_s,
    )
    return apply_turns(plan, script, commands)


def apply_turns(plan: Plan, script: FakeScript, commands: dict[str, str]) -> Plan:
    """Put the scripted failures, pauses and process ends into a plan."""
    changes: dict[str, object] = {}
    scripted = {"fail": script.fail_after, "hold": script.hold_after}
    for turn in ("fail", "hold", "die", "bus", "ill"):
        after = int(commands[turn] or 0) if turn in commands else scripted.get(turn)
        if after is not None:
            changes |= {"turn": turn, "turn_after": after}
    if "refuse" in commands:
        changes["refusal"] = plan.failure
    if "slow" in commands:
        changes["token_s"] = int(commands["slow"] or 0) / 1000
    return msgspec.structs.replace(plan, **changes)


def repeat_words(text: str, n_words: int) -> str:
    """`text` over and over, cut to `n_words` words."""
    words = split_words(text.strip())
    if not words:
        return ""
    loop = [words[0] if i == 0 else f" {words[i % len(words)].strip()}" for i in range(n_words)]
    return "".join(loop)


def cut_at_stop(words: list[str], stops: list[str]) -> tuple[list[str], str | None]:
    """The texts of the tokens up to the first stop string, and that string.

    The token in which a stop string ends is the last; it is counted although its text may be empty.
    """
    text = "".join(words)
    found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return words, None
    begin, stop = min(found, key=lambda hit: hit[0] + len(hit[1]))
    pieces, n_chars = [], 0
    for word in words:
        if n_chars >= begin + len(stop):
            break
        pieces.append(word[: max(begin - n_chars, 0)])
        n_chars += len(word)
    return pieces, stop
