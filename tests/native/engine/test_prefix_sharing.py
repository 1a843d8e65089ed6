"""Prefixes that requests share: computed once, never mixed up, and the answers stay the same."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Iterator

import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import EngineStats, TokenStream
from pyserve.errors import CancelledError
from tests.native.conftest import N_SEQ, Start
from tests.native.helpers import Answer, ask, assert_same_up_to_ties, read, submit
from tests.support.endless import ENDLESS, occupy, submit_endless
from tests.support.tiny import memories

KINDS = ["llama", *memories.KINDS]
SYSTEM = [65 + i * 7 % 26 for i in range(300)]
TENANTS = itertools.count()


def tail(number: int, n_tokens: int = 12) -> list[int]:
    """Tokens that differ from those of any other number in the first one."""
    return [128 + number, *(32 + (number * 5 + i * 3) % 26 for i in range(n_tokens - 1))]


def wait_until(engine: LocalEngine, is_true: Callable[[EngineStats], bool]) -> EngineStats:
    """The timeout of the test is the limit."""
    pause = threading.Event()
    while not is_true(stats := engine.stats()):
        pause.wait(0.002)
    return stats


def start_roomy(start: Start, kind: str, **fields: int) -> LocalEngine:
    """An engine whose requests end by nothing but their cancel."""
    return start(kind, n_ctx=ENDLESS, n_kv=ENDLESS, **fields)


@contextlib.contextmanager
def all_busy(engine: LocalEngine, n_prompts: int) -> Iterator[None]:
    """What is submitted meanwhile, so many prompts, waits before the first of it starts."""
    blockers = [occupy(engine, tail(90 + i)) for i in range(N_SEQ)]
    yield
    wait_until(engine, lambda stats: stats.n_waiting == n_prompts)
    for blocker in blockers:
        blocker.cancel()


def at_once(engine: LocalEngine, prompts: list[list[int]]) -> list[TokenStream]:
    """Submits prompts that all wait before the first one starts."""
    with all_busy(engine, len(prompts)):
        return [submit(engine, prompt, n_logprobs=2) for prompt in prompts]


def cold(engine: LocalEngine, prompts: list[list[int]]) -> list[Answer]:
    """The answers without anything that was computed before."""
    return [ask(engine, prompt, n_logprobs=2, tenant=str(next(TENANTS))) for prompt in prompts]


def check_same(engine: LocalEngine, prompts: list[list[int]], answers: list[Answer]) -> None:
    for expected, answer in zip(cold(engine, prompts), answers, strict=True):
        assert expected.finish.usage.n_cached_tokens == 0
        assert_same_up_to_ties(expected, answer)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_at_once_compute_their_system_prompt_once(start: Start, kind: str) -> None:
    engine = start_roomy(start, kind)
    prompts = [SYSTEM + tail(i) for i in range(N_SEQ)]
    answers = [read(stream) for stream in at_once(engine, prompts)]
    cached = sorted(answer.finish.usage.n_cached_tokens for answer in answers)
    assert cached == [0] + [len(SYSTEM)] * (N_SEQ - 1)
    n_blockers = sum(len(tail(0)) for _ in range(N_SEQ))
    n_tails = sum(len(tail(i)) for i in range(N_SEQ))
    assert engine.stats().n_prompt_tokens == n_blockers + len(SYSTEM) + n_tails
    assert engine.stats().n_prefix_hits == N_SEQ - 1
    check_same(engine, prompts, answers)


@pytest.mark.parametrize("kind", KINDS)
def test_choices_of_one_prompt_share_its_computation(start: Start, kind: str) -> None:
    engine = start_roomy(start, kind)
    prompt = SYSTEM + tail(1)
    answers = [read(stream) for stream in at_once(engine, [prompt] * 5)]
    cached = sorted(answer.finish.usage.n_cached_tokens for answer in answers)
    assert cached == [0] + [len(prompt) - 1] * 4
    check_same(engine, [prompt] * 5, answers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_pays_for_its_new_turn_only(start: Start, kind: str) -> None:
    engine = start(kind)
    prompt = SYSTEM + tail(1)
    for turn in range(3):
        answer = ask(engine, prompt, n_logprobs=2)
        check_same(start(kind), [prompt], [answer])
        # The last token of an answer is known but was never computed.
        n_known = len(prompt) + answer.finish.usage.n_completion_tokens - 1
        prompt = prompt + [item.token for item in answer.logprobs] + tail(10 + turn)
        assert ask(engine, prompt).finish.usage.n_cached_tokens == n_known


@pytest.mark.parametrize("kind", KINDS)
def test_chats_with_one_system_prompt_keep_their_tails(start: Start, kind: str) -> None:
    engine = start(kind)
    chats = [SYSTEM + tail(i, 80) for i in range(3)]
    for chat in chats:
        ask(engine, chat, max_tokens=1)
    for i, chat in enumerate(chats):
        prompt = chat + tail(20 + i)
        answer = ask(engine, prompt, n_logprobs=2)
        assert answer.finish.usage.n_cached_tokens == len(chat)
        check_same(engine, [prompt], [answer])


@pytest.mark.parametrize("kind", KINDS)
def test_the_third_that_shares_a_system_prompt_finds_it(start: Start, kind: str) -> None:
    # Where memory cannot be cut the second one learns where the prefix ends.
    engine = start(kind)
    cached = [ask(engine, SYSTEM + tail(i, 80)).finish.usage.n_cached_tokens for i in range(3)]
    assert cached == [0, len(SYSTEM) if kind in ("llama", "qwen3") else 0, len(SYSTEM)]


def test_windows_that_are_as_large_as_the_cache_can_be_cut(start: Start) -> None:
    engine = start("gemma3", n_kv=512, n_ctx=512, n_batch=512)
    prompts = [SYSTEM + tail(i, 80) for i in range(2)]
    ask(engine, prompts[0])
    answer = ask(engine, prompts[1], n_logprobs=2)
    assert answer.finish.usage.n_cached_tokens == len(SYSTEM)
    check_same(engine, prompts[1:], [answer])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cleared_is_computed_again(start: Start, kind: str) -> None:
    # The second one makes the first a copy in memory: that is cleared as well.
    engine = start(kind, n_kv=512, n_ctx=512, n_seq_max=1)
    prompts = [SYSTEM + tail(i, 80) for i in range(2)]
    first = ask(engine, prompts[0], n_logprobs=2)
    ask(engine, list(reversed(prompts[1])))
    engine.clear_prefixes()
    again = ask(engine, prompts[0], n_logprobs=2)
    assert again.finish.usage.n_cached_tokens == 0
    assert_same_up_to_ties(first, again)
    assert ask(engine, prompts[0]).finish.usage.n_cached_tokens > 0


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_tenants_and_salts_do_not_share(start: Start, kind: str) -> None:
    engine = start(kind)

    def n_cached(**fields: str) -> int:
        return ask(engine, SYSTEM, max_tokens=2, **fields).finish.usage.n_cached_tokens

    assert n_cached(tenant="alice") == 0
    assert n_cached(tenant="bob") == 0
    assert n_cached(tenant="alice", cache_salt="x") == 0
    assert n_cached(tenant="alicex") == 0
    assert n_cached(tenant="alice", cache_salt="x") == len(SYSTEM) - 1
    assert n_cached(tenant="alice") == len(SYSTEM) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_others_go_on_when_the_one_they_wait_for_is_cancelled(start: Start, kind: str) -> None:
    engine = start_roomy(start, kind, n_batch=8)
    with all_busy(engine, 3):
        first = submit_endless(engine, SYSTEM + tail(0))
        others = [submit(engine, SYSTEM + tail(i)) for i in (1, 2)]
    wait_until(engine, lambda stats: stats.n_cancelled == N_SEQ)
    first.cancel()
    with pytest.raises(CancelledError):
        read(first)
    answers = [read(stream) for stream in others]
    # What the first had computed is not lost, and the other two compute the rest once.
    n_cached = max(answer.finish.usage.n_cached_tokens for answer in answers)
    assert len(SYSTEM) - 32 < n_cached <= len(SYSTEM)
    assert engine.stats().n_finished == 2


@pytest.mark.parametrize("kind", ["llama", "gemma3", "jamba"])
def test_a_full_cache_with_shared_prefixes_loses_nothing(start: Start, kind: str) -> None:
    engine = start(kind, n_kv=1024, n_ctx=1024, n_seq_max=6)
    prompts = [SYSTEM + tail(i) for i in range(6)]
    streams = [submit(engine, prompt, n_logprobs=2, max_tokens=180) for prompt in prompts]
    answers = [read(stream) for stream in streams]
    stats = engine.stats()
    assert stats.n_preempted > 0
    assert stats.n_finished == 6
    assert stats.n_kv_used <= 1024
    roomy = start(kind)
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = ask(roomy, prompt, n_logprobs=2, max_tokens=180)
        assert_same_up_to_ties(expected, answer)


@pytest.mark.parametrize("kind", ["llama", "gemma3", "jamba"])
def test_an_evicted_prefix_is_read_back(start: Start, kind: str) -> None:
    engine = start(kind, n_kv=512, n_ctx=512, n_seq_max=2)
    prompt = SYSTEM + tail(1)
    first = ask(engine, prompt, n_logprobs=2)
    ask(engine, [90 - i % 20 for i in range(480)], max_tokens=1)
    assert engine.stats().prefix_copy_bytes > 0
    again = prompt + [item.token for item in first.logprobs] + tail(2)
    answer = ask(engine, again, n_logprobs=2)
    n_known = len(prompt) + first.finish.usage.n_completion_tokens - 1
    # Where memory cannot be cut a short answer is no copy of its own.
    n_copied = n_known if kind == "llama" else len(prompt) - 1
    assert answer.finish.usage.n_cached_tokens == n_copied
    assert engine.stats().n_prefix_restored == 1
    check_same(start(kind), [again], [answer])


@pytest.mark.parametrize("kind", ["mamba", "rwkv7"])
def test_states_that_had_to_go_are_read_back(start: Start, kind: str) -> None:
    engine = start(kind, n_seq_max=1)  # few pins
    chats = [SYSTEM + tail(i, 80) for i in range(12)]
    for chat in chats:
        ask(engine, chat, max_tokens=1)
    answer = ask(engine, chats[0] + tail(30), n_logprobs=2)
    assert answer.finish.usage.n_cached_tokens == len(chats[0])
    assert engine.stats().n_prefix_restored > 0
    check_same(start(kind), [chats[0] + tail(30)], [answer])


def test_copies_can_be_switched_off(start: Start) -> None:
    engine = start("llama", n_kv=512, n_ctx=512, prefix_cache_mib=0)
    ask(engine, SYSTEM)
    ask(engine, [90 - i % 20 for i in range(480)], max_tokens=1)
    assert ask(engine, SYSTEM).finish.usage.n_cached_tokens == 0
    assert engine.stats().prefix_copy_bytes == 0


@pytest.mark.parametrize("kind", KINDS)
def test_many_threads_over_few_prefixes_answer_as_alone(start: Start, kind: str) -> None:
    engine = start(kind, n_kv=1536, n_ctx=768, n_seq_max=4, n_batch=64)
    prompts = [SYSTEM[: 100 * (1 + i % 3)] + tail(i % 6, 10 + i % 7) for i in range(12)]
    failures: list[BaseException] = []

    def client(number: int) -> None:
        try:
            for i in range(6):
                prompt = prompts[(number * 5 + i) % len(prompts)]
                stream = submit(engine, prompt, n_logprobs=2, max_tokens=16)
                if (number + i) % 4 == 0:
                    stream.cancel()
                    continue
                assert_same_up_to_ties(expected[tuple(prompt)], read(stream))
        except BaseException as error:
            failures.append(error)

    alone = start(kind, prefix_cache_mib=0)
    expected = {
        tuple(prompt): ask(alone, prompt, n_logprobs=2, max_tokens=16, tenant=str(i))
        for i, prompt in enumerate(prompts)
    }
    threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert engine.stats().n_failed == 0


def test_copies_of_many_tenants_stay_within_their_memory(start: Start) -> None:
    engine, seed = start("llama", n_kv=512, prefix_cache_mib=1), random.Random(1)
    streams = []
    for number in range(300):
        prompt = [65 + seed.randrange(26) for _ in range(150)]
        streams.append(submit(engine, prompt, max_tokens=1, tenant=f"t{number % 50}"))
        if len(streams) == 10:
            for stream in streams:
                read(stream)
                assert engine.stats().prefix_copy_bytes <= 1 << 20
            streams.clear()
    assert engine.stats().prefix_copy_bytes > 1 << 19
