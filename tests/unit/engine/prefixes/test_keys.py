"""Chains of hashes: equal beginnings, and nothing else, are equal."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.engine.prefixes.keys import (
    BLOCK_BYTES,
    MAX_BLOCKS,
    PrefixKeys,
    prefix_keys,
)
from pyserve.engine.request import GenerateRequest, Segment, TemplateOptions

MESSAGES = [
    {"role": "system", "content": "You answer in one sentence. " * 40},
    {"role": "user", "content": "Which rivers flow into the Black Sea? " * 20},
]
prose = st.text(max_size=3 * BLOCK_BYTES)


def chat(messages: list[dict[str, Any]], **fields: Any) -> GenerateRequest:
    return GenerateRequest(messages=messages, **fields)


def n_common(first: PrefixKeys, other: PrefixKeys) -> int:
    pairs = list(zip(first.chain, other.chain, strict=False))
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))


@given(st.lists(prose, min_size=1, max_size=4), st.lists(prose, min_size=1, max_size=3))
def test_the_next_turns_extend_the_chain_and_keep_the_anchor(
    turns: list[str], more: list[str]
) -> None:
    messages = [{"role": "user", "content": text} for text in turns]
    longer = [*messages, *({"role": "tool", "content": text} for text in more)]
    keys, later = prefix_keys(chat(messages)), prefix_keys(chat(longer))
    assert later.chain[: len(keys.chain)] == keys.chain
    assert len(keys.chain) == keys.n_bytes // BLOCK_BYTES
    assert later.anchor == keys.anchor


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_one_changed_byte_changes_its_block_and_all_after_it(
    body: bytes, data: st.DataObject
) -> None:
    text = body.decode("latin-1").encode("ascii", "replace").decode()
    place = data.draw(st.integers(0, len(text) - 1))
    other = text[:place] + ("a" if text[place] != "a" else "b") + text[place + 1 :]
    keys, changed = (prefix_keys(GenerateRequest(prompt=each)) for each in (text, other))
    n_same = place // BLOCK_BYTES
    assert keys.chain[:n_same] == changed.chain[:n_same]
    assert not set(keys.chain[n_same:]) & set(changed.chain[n_same:])


@given(st.lists(st.tuples(prose, st.booleans()), max_size=5), st.data())
def test_cuts_between_segments_of_one_kind_do_not_count(
    parts: list[tuple[str, bool]], data: st.DataObject
) -> None:
    whole = [Segment(text, is_input) for text, is_input in parts]
    cut = []
    for segment in whole:
        place = data.draw(st.integers(0, len(segment.text)))
        cut += [
            Segment(segment.text[:place], segment.is_input),
            Segment(segment.text[place:], segment.is_input),
        ]
    first, other = (prefix_keys(GenerateRequest(segments=each)) for each in (whole, cut))
    assert first == other


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant": "a"},
        {"cache_salt": "a"},
        {"adapters": {"a": 1.0}},
        {"adapters": {}},
        {"template": TemplateOptions(tools=[{"name": "a"}])},
        {"template": TemplateOptions(variables={"enable_thinking": False})},
        {"template": TemplateOptions(documents=[{"text": "a"}])},
    ],
)
def test_what_prefixes_depend_on_beside_the_text_changes_all_keys(fields: dict[str, Any]) -> None:
    keys, other = prefix_keys(chat(MESSAGES)), prefix_keys(chat(MESSAGES, **fields))
    assert not set(keys.chain) & set(other.chain)
    assert keys.anchor != other.anchor


def test_kinds_of_prompts_and_names_are_told_apart() -> None:
    text = "a" * 4 * BLOCK_BYTES
    tokens = [0x61616161] * BLOCK_BYTES
    kinds = [
        {"prompt": text},
        {"prompt": text, "parse_special": True},
        {"segments": [Segment(text, is_input=True)]},
        {"segments": [Segment(text, is_input=False)]},
        {"messages": [{"role": "user", "content": text}]},
        {"prompt": text, "tenant": "ab"},
        {"prompt": text, "tenant": "a", "cache_salt": "b"},
    ]
    chains = [prefix_keys(GenerateRequest(**kind)).chain for kind in kinds]
    assert len({block for chain in chains for block in chain}) == sum(map(len, chains))
    assert len(prefix_keys(GenerateRequest(tokens=tokens)).chain) == 4


def test_what_changes_no_prefix_changes_no_key() -> None:
    plain = prefix_keys(chat(MESSAGES))
    reordered = [dict(reversed(message.items())) for message in MESSAGES]
    same: list[GenerateRequest] = [
        chat(reordered),
        chat(MESSAGES, max_tokens=5, priority=3, said=[1, 2], stop=["a"], trace_id="x"),
        chat(MESSAGES, template=TemplateOptions()),
    ]
    assert {prefix_keys(request) for request in same} == {plain}
    off = prefix_keys(chat(MESSAGES, adapters={"a": 0.0}))
    assert off == prefix_keys(chat(MESSAGES, adapters={}))


def test_chats_that_share_their_system_prompt_have_anchors_of_their_own() -> None:
    other = [MESSAGES[0], {"role": "user", "content": "Another question"}]
    keys, others = prefix_keys(chat(MESSAGES)), prefix_keys(chat(other))
    assert keys.anchor != others.anchor
    assert n_common(keys, others) >= 4


def test_requests_of_a_session_have_its_anchor_and_the_chains_of_their_texts() -> None:
    other = [MESSAGES[0], {"role": "user", "content": "Another question"}]
    keys = prefix_keys(chat(MESSAGES, session="a"))
    assert prefix_keys(chat(other, session="a")).anchor == keys.anchor
    assert prefix_keys(chat(MESSAGES, session="b")).anchor != keys.anchor
    assert prefix_keys(chat(MESSAGES, session="a", tenant="t")).anchor != keys.anchor
    assert keys.chain == prefix_keys(chat(MESSAGES)).chain


def test_a_request_that_reuses_no_prefix_has_no_chain() -> None:
    keys = prefix_keys(chat(MESSAGES, n_prompt_logprobs=0))
    assert (keys.chain, keys.anchor) == ((), prefix_keys(chat(MESSAGES)).anchor)
    assert keys.n_blocks > 0


def test_hostile_texts_have_keys() -> None:
    for text in ("", "\0" * 1000, "\ud800" * 300, "\n" * 5000, "😀" * 400):
        assert prefix_keys(GenerateRequest(prompt=text)) is not None
    assert prefix_keys(chat([])).chain == ()
    assert prefix_keys(GenerateRequest(tokens=[1, 2**31] * 200)).chain == ()
    long = prefix_keys(GenerateRequest(prompt="x" * (BLOCK_BYTES * MAX_BLOCKS + 999)))
    assert len(long.chain) == MAX_BLOCKS
    assert long.n_blocks == MAX_BLOCKS + 4


def test_keys_are_equal_in_another_process() -> None:
    """Fronts and replicas compare them: Python's own hashes would differ."""
    program = (
        "import msgspec, sys; from pyserve.engine.prefixes.keys import prefix_keys;"
        "from pyserve.engine.request import GenerateRequest;"
        "request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=GenerateRequest);"
        "print(list(prefix_keys(request)))"
    )
    request = chat(MESSAGES, tenant="a", adapters={"b": 0.5, "a": 1.0})
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=msgspec.msgpack.encode(request),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == str(list(prefix_keys(request)))
