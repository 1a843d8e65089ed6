"""Lines of a batch in the order in which they are answered, and in that of their file."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from pyserve.batch.lines import Bounds, read_body, read_input
from pyserve.engine.config import EngineConfig
from pyserve.engine.native import NativeCore
from pyserve.engine.protocol import Failed, GenerateRequest, SamplingParams, Step
from tests.support.tiny.llama import write_tiny_llama

N_GROUPS, N_LINES, N_SHARED_CHARS = 12, 12, 1200
N_CTX, N_CELLS, N_AT_ONCE = 2048, 4096, 4
GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)


def prompts_of(rng: random.Random) -> list[str]:
    """Groups with a long beginning each, all mixed up."""

    def words(n_chars: int) -> str:
        return "".join(rng.choice("abcdefgh ") for _ in range(n_chars))

    beginnings = [words(N_SHARED_CHARS) for _ in range(N_GROUPS)]
    prompts = [begin + words(20) for begin in beginnings for _ in range(N_LINES)]
    rng.shuffle(prompts)
    return prompts


def n_computed(path: Path, prompts: Sequence[str]) -> int:
    """Tokens that an engine computes of these, which holds a quarter of the beginnings at most."""
    core = NativeCore(
        EngineConfig(
            model_id="tiny",
            model_path=str(path),
            n_ctx=N_CTX,
            n_kv=N_CELLS,
            n_seq_max=N_AT_ONCE,
            prefix_cache_mib=0,
        )
    )
    left = list(enumerate(prompts))[::-1]
    running: set[int] = set()
    while left or running:
        while left and len(running) < N_AT_ONCE:
            number, prompt = left.pop()
            running.add(number)
            asked = GenerateRequest(prompt=prompt, sampling=GREEDY, max_tokens=2, background=True)
            core.submit(number, asked)
        for event in core.poll(30):
            assert not isinstance(event, Failed), event
            if isinstance(event, Step) and event.delta.finish is not None:
                running.discard(event.request_id)
    n_tokens = core.stats().n_prompt_tokens
    core.close()
    return n_tokens


def test_lines_with_a_common_beginning_compute_it_once(tmp_path: Path) -> None:
    """A fifth of the tokens at most, where the cache is too small for all beginnings."""
    path = write_tiny_llama(tmp_path / "tiny.gguf", n_ctx=N_CTX)
    prompts = prompts_of(random.Random(0))
    file = tmp_path / "in.jsonl"
    lines = (
        {"custom_id": str(i), "method": "POST", "url": "/v1/completions", "body": {"prompt": text}}
        for i, text in enumerate(prompts)
    )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_input(file, Bounds("/v1/completions"))
    with file.open("rb") as data:
        ordered = [json.loads(read_body(data, line))["prompt"] for line in found.lines]
    assert sorted(ordered) == sorted(prompts)
    assert 5 * n_computed(path, ordered) <= n_computed(path, prompts)
