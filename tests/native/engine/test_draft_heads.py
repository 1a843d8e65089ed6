"""Heads that read the model's states guess how answers go on: fewer steps, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import ModelLoadError, PyserveError
from tests.native.helpers import Answer, ask, assert_same_up_to_ties, read, submit
from tests.support.tiny import heads

PROMPT = "the cat sat on the mat and the dog"
KINDS = ("mtp", "eagle3")
StartWith = Callable[..., LocalEngine]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each kind: the model, and heads that know, listen or do neither."""
    folder = tmp_path_factory.mktemp("heads")
    return {
        "mtp-knows": heads.write_tiny_mtp(folder / "mtp-knows.gguf"),
        "mtp-random": heads.write_tiny_mtp(folder / "mtp-random.gguf", knows=False),
        "mtp-listens": heads.write_tiny_mtp(folder / "mtp-listens.gguf", listens=True),
        "target": heads.write_tiny_target(folder / "target.gguf"),
        "eagle3-knows": heads.write_tiny_eagle(folder / "eagle-knows.gguf"),
        "eagle3-listens": heads.write_tiny_eagle(folder / "eagle-listens.gguf", listens=True),
        "eagle3-random": heads.write_tiny_eagle(folder / "eagle-random.gguf", knows=False),
    }


@pytest.fixture
def start_with(files: dict[str, Path]) -> Iterator[StartWith]:
    """Starts a model with a head of this name, which guesses always."""
    engines: list[LocalEngine] = []

    def start_one(name: str, **fields: object) -> LocalEngine:
        settings = {"n_kv": 4096, "n_batch": 64, "drafts_always": True} | fields
        if name.startswith("mtp"):
            path = files[name]
            settings.setdefault("spec_type", "draft-mtp")
        else:
            path = files["target"]
            settings = {"spec_type": "draft-eagle3"} | settings
            if settings["spec_type"] != "none":
                settings.setdefault("draft_model_path", str(files[name]))
        engines.append(LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), **settings)))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()


def plain(start_with: StartWith, name: str, **fields: object) -> LocalEngine:
    return start_with(name, spec_type="none", **fields)


def drafted(engine: LocalEngine) -> tuple[int, int]:
    """Guessed tokens, and those that were right; of the engine's kind alone."""
    [count] = engine.stats().drafts
    assert count.kind == engine.info().guesser
    return count.n_tokens, count.n_accepted


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_knows_takes_few_steps(start_with: StartWith, kind: str) -> None:
    engine = start_with(f"{kind}-knows")
    assert engine.info().guesser == kind
    fields = {"max_tokens": 60, "n_logprobs": 2}
    expected = ask(plain(start_with, f"{kind}-knows"), PROMPT, **fields)
    answer = ask(engine, PROMPT, **fields)
    assert_same_up_to_ties(expected, answer)
    n_tokens, n_accepted = drafted(engine)
    assert len(answer.deltas) + n_accepted == len(expected.deltas) == 60
    stats = engine.stats()
    assert (stats.n_draft_tokens, sum(stats.n_accepted_at)) == (n_tokens, n_accepted)
    assert stats.n_accepted_at == tuple(sorted(stats.n_accepted_at, reverse=True))
    assert stats.n_accepted_at[0] <= stats.n_drafts < stats.n_steps
    assert stats.n_tokens_max == answer.finish.usage.n_prompt_tokens + 60
    assert stats.n_step_requests == stats.n_steps
    assert n_accepted > 30
    assert n_tokens > n_accepted  # not all were right, so that some were taken back
    assert answer.finish.usage.n_draft_accepted == 0  # it is no prediction of the client's


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_knows_nothing_changes_nothing(start_with: StartWith, kind: str) -> None:
    engine, without = start_with(f"{kind}-random"), plain(start_with, f"{kind}-random")
    for sampling in (
        SamplingParams(temperature=0, ignore_eos=True),
        SamplingParams(temperature=1, seed=3, ignore_eos=True),
    ):
        fields = {"max_tokens": 40, "n_logprobs": 2, "sampling": sampling}
        assert_same_up_to_ties(ask(without, PROMPT, **fields), ask(engine, PROMPT, **fields))
    n_tokens, n_accepted = drafted(engine)
    assert n_tokens > 100 > 10 * n_accepted


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_draw_the_same(start_with: StartWith, kind: str) -> None:
    engine, without = start_with(f"{kind}-knows"), plain(start_with, f"{kind}-knows")
    for seed in range(4):
        sampling = SamplingParams(temperature=0.8, seed=seed, repeat_penalty=1.1, ignore_eos=True)
        fields = {"max_tokens": 40, "n_logprobs": 2, "sampling": sampling}
        assert_same_up_to_ties(ask(without, PROMPT, **fields), ask(engine, PROMPT, **fields))
    assert drafted(engine)[1] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_many_requests_are_guessed_for_in_one_batch(start_with: StartWith, kind: str) -> None:
    engine, without = start_with(f"{kind}-knows", n_seq_max=4), plain(start_with, f"{kind}-knows")
    prompts = [f"{i} the dog and the cat {i}" * (1 + i % 3) for i in range(10)]
    fields = {"n_logprobs": 2, "max_tokens": 30}
    expected = [ask(without, prompt, **fields) for prompt in prompts]
    streams = [submit(engine, prompt, **fields) for prompt in prompts]
    for answer, stream in zip(expected, map(read, streams), strict=True):
        assert_same_up_to_ties(answer, stream)
    assert drafted(engine)[1] > 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_has_all_that_there_is_of_prefixes_of_others(
    start_with: StartWith, kind: str
) -> None:
    """Cut in the middle, at their ends, restored from copies: it guesses as after a cold start."""
    name = f"{kind}-listens"
    engine = start_with(name, n_ctx=320, n_kv=320, n_seq_max=2, prefix_cache_mib=64)
    begin, other = "long time ago in a galaxy far away " * 9, "the system says hello " * 20
    prompts = [begin + "the cat", begin + "the dog", begin[:150] + "window" * 12, other]
    fields = {"n_logprobs": 2, "max_tokens": 24}
    n_right = 0
    for prompt in prompts * 2:
        cold = start_with(name, prefix_cache_mib=0)
        expected = ask(cold, prompt, **fields)
        assert_same_up_to_ties(expected, ask(engine, prompt, **fields))
        n_right += drafted(cold)[1]
        assert drafted(engine)[1] == n_right
    assert engine.stats().n_prefix_hits > 4
    assert engine.stats().n_prefix_restored > 0


@pytest.mark.parametrize("kind", KINDS)
def test_prefixes_on_disk_are_those_of_the_same_head(
    start_with: StartWith, tmp_path: Path, kind: str
) -> None:
    name = f"{kind}-listens"
    disk = {
        "prefix_disk_dir": str(tmp_path),
        "prefix_disk_mib": 64,
        "prefix_disk_min_tokens": 128,
    }
    prompt = "long time ago in a galaxy far away " * 9
    fields = {"n_logprobs": 2, "max_tokens": 24}

    def run(make: Callable[..., LocalEngine]) -> tuple[Answer, int]:
        engine = make(name, **disk)
        answer = ask(engine, prompt, **fields)
        n_right = sum(count.n_accepted for count in engine.stats().drafts)
        engine.close()
        return answer, n_right

    def without(name: str, **settings: object) -> LocalEngine:
        return plain(start_with, name, **settings)

    first, n_right = run(start_with)
    for make, is_cached in ((without, False), (start_with, True), (without, True)):
        answer, n_now = run(make)
        assert_same_up_to_ties(first, answer)
        assert (answer.finish.usage.n_cached_tokens > 128) == is_cached
        assert n_now == (n_right if make is start_with else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_goes_on_after_preemption_and_others_that_were_cancelled(
    start_with: StartWith, kind: str
) -> None:
    without = plain(start_with, f"{kind}-knows")
    engine = start_with(f"{kind}-knows", n_kv=256, n_ctx=256, n_seq_max=4)
    prompts = [f"{i} long time ago" * 3 for i in range(6)]
    fields = {"n_logprobs": 2, "max_tokens": 100}
    expected = [ask(without, prompt, **fields) for prompt in prompts]
    streams = [submit(engine, prompt, **fields) for prompt in prompts]
    for stream in streams[1::2]:
        next(iter(stream))
        stream.cancel()
    for answer, stream in list(zip(expected, streams, strict=True))[::2]:
        assert_same_up_to_ties(answer, read(stream))
    assert engine.stats().n_preempted > 0
    assert drafted(engine)[1] > 0


def test_where_it_does_not_pay_a_head_is_asked_seldom(start_with: StartWith) -> None:
    engine = start_with("mtp-random", drafts_always=False)
    answer = ask(engine, PROMPT, max_tokens=200)
    assert drafted(engine)[0] < 200 == len(answer.deltas)


def test_a_head_in_the_file_is_used_where_it_can_be(start_with: StartWith) -> None:
    assert start_with("mtp-knows", spec_type="auto").info().guesser == "mtp"
    assert start_with("mtp-knows", spec_type="ngram-mod").info().guesser == ""
    assert start_with("eagle3-knows", spec_type="auto").info().guesser == "eagle3"


def test_its_memory_is_counted(start_with: StartWith) -> None:
    with_head, without = start_with("mtp-knows"), plain(start_with, "mtp-knows")
    assert with_head.info().kv_bytes > without.info().kv_bytes * 5 / 4
    needed = with_head.info().size_bytes + with_head.info().kv_bytes
    with pytest.raises(ModelLoadError, match="MiB are available"):
        start_with("mtp-knows", n_bytes_available=needed - 1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"knows": False, "layers": (0, 1, 3)}, "layer 3 of a model with 3 layers"),
        ({"n_target": 32}, "reads states of 32 numbers, the model has 64"),
        ({"table": [1, 2, 320]}, "names some that there are not"),
    ],
)
def test_a_head_of_another_model_is_refused(
    tmp_path: Path, start_with: StartWith, fields: dict[str, object], reason: str
) -> None:
    path = heads.write_tiny_eagle(tmp_path / "other.gguf", **fields)
    with pytest.raises(ModelLoadError, match=reason):
        start_with("eagle3-knows", draft_model_path=str(path))


def test_a_head_that_knows_some_tokens_only(tmp_path: Path, start_with: StartWith) -> None:
    path = heads.write_tiny_eagle(tmp_path / "some.gguf", table=list(range(0, 320, 2)))
    engine = start_with("eagle3-knows", draft_model_path=str(path))
    expected = ask(plain(start_with, "eagle3-knows"), PROMPT, n_logprobs=2)
    assert_same_up_to_ties(expected, ask(engine, PROMPT, n_logprobs=2))
    assert drafted(engine)[0] > 0


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("eagle3-knows", {"spec_type": "draft-mtp"}, "draft-mtp, but a draft model is given"),
        ("eagle3-knows", {"spec_type": "draft-simple"}, "leaves out draft-eagle3"),
        ("mtp-knows", {"spec_type": "draft-eagle3"}, "no draft model is given"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    start_with: StartWith, name: str, fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        start_with(name, **fields)


def test_names_that_there_are_not_are_refused(start_with: StartWith) -> None:
    for name in ("mtp", "", "draft-mtp,", "auto,draft-mtp", "none,ngram-mod"):
        with pytest.raises(PyserveError, match="choose auto, none"):
            start_with("mtp-knows", spec_type=name)


def test_a_head_that_is_not_there_is_refused_by_name(tmp_path: Path, start_with: StartWith) -> None:
    path = heads.write_tiny_mtp(tmp_path / "none.gguf", has_head_tensors=False)
    config = EngineConfig(model_id="tiny", model_path=str(path), n_kv=1024)
    engine = LocalEngine(config)
    assert engine.info().guesser == ""
    engine.close()
    with pytest.raises(ModelLoadError, match="tensors of the MTP head are not in"):
        LocalEngine(EngineConfig(**{"spec_type": "draft-mtp"} | _fields(config)))


def _fields(config: EngineConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in ("model_id", "model_path", "n_kv")}
