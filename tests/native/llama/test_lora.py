"""LoRA adapters: the numbers are those of merged weights, and sets of adapters do not mix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import Adapter, EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import InvalidRequestError, ModelLoadError
from tests.native.helpers import Answer, ask, assert_same_up_to_ties, read, submit
from tests.support.endless import ENDLESS, occupy, submit_endless
from tests.support.limits import SOON_S
from tests.support.server import wait_until
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.lora import TinyLora, make_lora, write_lora, write_merged
from tests.support.tiny.memories import write_tiny

PROMPT = "this is a test of the cat that jumped out of the window a long time ago " * 2
SETS: list[dict[str, float]] = [{}, {"one": 1.0}, {"two": -0.5}, {"one": 0.5, "two": 0.5}]

Start = Callable[..., LocalEngine]


@pytest.fixture(scope="module")
def loras(tiny_model: Path) -> dict[str, TinyLora]:
    return {
        "one": make_lora(tiny_model, seed=1),
        "two": make_lora(tiny_model, seed=2, rank=2, targets=["blk.0.attn_k.weight"]),
    }


@pytest.fixture(scope="module")
def adapters(
    loras: dict[str, TinyLora], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Adapter, ...]:
    folder = tmp_path_factory.mktemp("loras")
    return tuple(
        Adapter(name, str(write_lora(folder / f"{name}.gguf", lora)), scale=0.0)
        for name, lora in loras.items()
    )


@pytest.fixture
def start_model() -> Iterator[Start]:
    """Starts engines of model files, and ends them."""
    engines: list[LocalEngine] = []

    def start_one(path: Path, **fields: object) -> LocalEngine:
        settings = {"n_ctx": 256, "n_kv": 2048} | fields
        config = EngineConfig(model_id="tiny", model_path=str(path), **settings)  # type: ignore[arg-type]
        engines.append(LocalEngine(config))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()


@pytest.fixture
def adapted(start_model: Start, tiny_model: Path, adapters: tuple[Adapter, ...]) -> LocalEngine:
    return start_model(tiny_model, adapters=adapters)


def test_adapters_of_running_and_queued_requests_are_counted(
    start_model: Start, tiny_model: Path, adapters: tuple[Adapter, ...]
) -> None:
    engine = start_model(
        tiny_model, adapters=adapters, n_seq_max=1, n_ctx=ENDLESS, n_kv=ENDLESS + 64
    )
    streams = [occupy(engine, adapters={"one": 1.0})]
    streams += [submit_endless(engine, "b", adapters=used) for used in SETS]
    wait_until(lambda: engine.stats().n_waiting == len(SETS), SOON_S, "they are queued")
    stats = engine.stats()
    assert (stats.running_adapters, stats.waiting_adapters) == (("one",), ("one", "two"))
    for stream in streams:
        stream.cancel()
    wait_until(lambda: engine.stats().running_adapters == (), SOON_S, "nothing runs")


def bits(answer: Answer) -> list[tuple[int, float]]:
    return [(item.token, item.logprob) for item in answer.logprobs]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("scale", [1.0, -0.7])
def test_an_adapter_equals_the_weights_it_is_merged_into(
    start_model: Start,
    adapted: LocalEngine,
    tiny_model: Path,
    loras: dict[str, TinyLora],
    tmp_path: Path,
    scale: float,
    deterministic: bool,
) -> None:
    merged = start_model(write_merged(tmp_path / "m.gguf", tiny_model, loras["one"], scale))
    fields = {"n_logprobs": 2, "deterministic": deterministic, "max_tokens": 40}
    expected = ask(merged, PROMPT, **fields)
    answer = ask(adapted, PROMPT, adapters={"one": scale}, **fields)
    assert_same_up_to_ties(expected, answer)
    first, merged_first = answer.logprobs[0].top, expected.logprobs[0].top
    assert [item.token for item in first] == [item.token for item in merged_first]
    for ours, theirs in zip(first, merged_first, strict=True):
        assert ours.logprob == pytest.approx(theirs.logprob, abs=2e-3)
    assert ask(adapted, PROMPT, **fields).text != answer.text


def test_two_adapters_add_up(
    start_model: Start,
    adapted: LocalEngine,
    tiny_model: Path,
    loras: dict[str, TinyLora],
    tmp_path: Path,
) -> None:
    half = write_merged(tmp_path / "half.gguf", tiny_model, loras["one"], 0.5)
    both = write_merged(tmp_path / "both.gguf", half, loras["two"], 2.0)
    expected = ask(start_model(both), PROMPT, n_logprobs=2)
    answer = ask(adapted, PROMPT, n_logprobs=2, adapters={"two": 2.0, "one": 0.5})
    assert_same_up_to_ties(expected, answer)


def test_adapters_of_embeddings_of_a_model_with_an_output_of_its_own(
    start_model: Start, tiny_model: Path, tmp_path: Path
) -> None:
    name = "token_embd.weight"
    lora = make_lora(tiny_model, targets=[name])
    merged = start_model(write_merged(tmp_path / "m.gguf", tiny_model, lora))
    a, b = lora.pairs[name]
    # Its rows are looked up, so converters write the factors of the transposed matrix.
    lora.pairs[name] = (b, a.T.copy())
    path = write_lora(tmp_path / "embedding.gguf", lora)
    adapted = start_model(tiny_model, adapters=(Adapter("e", str(path)),))
    expected = ask(merged, PROMPT, n_logprobs=2)
    assert_same_up_to_ties(expected, ask(adapted, PROMPT, n_logprobs=2))


def test_sets_that_run_together_answer_as_each_does_alone(adapted: LocalEngine) -> None:
    fields = {"n_logprobs": 2, "max_tokens": 32}
    alone = [ask(adapted, PROMPT, adapters=chosen, **fields) for chosen in SETS]
    assert len({answer.text for answer in alone}) == len(SETS)
    streams = [submit(adapted, PROMPT, adapters=chosen, **fields) for chosen in SETS * 3]
    for stream, expected in zip(streams, alone * 3, strict=True):
        assert_same_up_to_ties(expected, read(stream))


def test_deterministic_requests_with_adapters_are_the_same_bits(adapted: LocalEngine) -> None:
    sampling = SamplingParams(temperature=1.3, seed=11, ignore_eos=True)
    fields = {"sampling": sampling, "n_logprobs": 1, "deterministic": True}
    alone = [ask(adapted, PROMPT, adapters=chosen, **fields) for chosen in SETS]
    others = [submit(adapted, PROMPT, adapters=chosen, max_tokens=64) for chosen in SETS]
    again = [submit(adapted, PROMPT, adapters=chosen, **fields) for chosen in SETS]
    for stream, expected in zip(again, alone, strict=True):
        assert bits(read(stream)) == bits(expected)
    for stream in others:
        assert read(stream).finish.reason == "length"


def test_prefixes_are_shared_within_a_set_only(adapted: LocalEngine) -> None:
    def n_cached(chosen: dict[str, float] | None) -> int:
        return ask(adapted, PROMPT, adapters=chosen, max_tokens=4).finish.usage.n_cached_tokens

    assert n_cached({"one": 1.0}) == 0
    assert n_cached({"one": 1.0}) > 0
    for other in ({}, {"one": 0.5}, {"two": 1.0}, {"one": 1.0, "two": 1.0}):
        assert n_cached(other) == 0
    # Off is off, and the order says nothing.
    assert n_cached({"one": 0.0, "two": 0.0}) > 0
    assert n_cached({"two": 1.0, "one": 1.0}) > 0


def test_a_salt_cannot_imitate_adapters(adapted: LocalEngine) -> None:
    ask(adapted, PROMPT, adapters={"one": 1.0}, max_tokens=4)
    one = "0*1065353216,"
    for tenant, salt in ((one, ""), ("", one), (f"{one}0:", "")):
        answer = ask(adapted, PROMPT, tenant=tenant, cache_salt=salt, max_tokens=4)
        assert answer.finish.usage.n_cached_tokens == 0


def test_32_requests_over_three_sets_and_few_cells_all_finish(
    start_model: Start, tiny_model: Path, adapters: tuple[Adapter, ...]
) -> None:
    engine = start_model(tiny_model, adapters=adapters, n_kv=384, n_seq_max=8)
    streams = [
        submit(engine, PROMPT[i:], adapters=SETS[i % 3], max_tokens=24, n_logprobs=2)
        for i in range(32)
    ]
    answers = [read(stream) for stream in streams]
    assert {answer.finish.reason for answer in answers} == {"length"}
    for i in (0, 1, 2, 31):
        alone = ask(engine, PROMPT[i:], adapters=SETS[i % 3], max_tokens=24, n_logprobs=2)
        assert_same_up_to_ties(alone, answers[i])


def test_a_draft_of_another_set_changes_no_answer(adapted: LocalEngine) -> None:
    plain = ask(adapted, PROMPT, max_tokens=32, n_logprobs=2)
    fields = {"adapters": {"one": 1.0}, "max_tokens": 32, "n_logprobs": 2}
    expected = ask(adapted, PROMPT, **fields)
    for draft in (plain.text, expected.text):
        assert_same_up_to_ties(expected, ask(adapted, PROMPT, draft=draft, **fields))


def test_embeddings_of_several_sets_at_once(adapted: LocalEngine) -> None:
    def vectors(together: bool) -> list[bytes]:
        found = []
        streams = []
        for chosen in SETS * 2:
            stream = submit(adapted, PROMPT, adapters=chosen, wants_embedding=True)
            streams.append(stream)
            if not together:
                found.append(read(stream).deltas[-1].embedding or b"")
        return (
            [read(stream).deltas[-1].embedding or b"" for stream in streams] if together else found
        )

    alone = vectors(together=False)
    assert len(set(alone)) == len(SETS)
    crowd = vectors(together=True)
    assert len(crowd) == len(alone)
    for ours, theirs in zip(crowd, alone, strict=True):
        ours_numbers, theirs_numbers = memoryview(ours).cast("f"), memoryview(theirs).cast("f")
        assert list(ours_numbers) == pytest.approx(list(theirs_numbers), abs=1e-4)


def test_the_default_scales_are_those_of_requests_that_name_none(adapted: LocalEngine) -> None:
    assert adapted.info().adapters == ("one", "two")
    plain = ask(adapted, PROMPT, adapters={}).text
    assert ask(adapted, PROMPT).text == plain
    assert adapted.adapter_scales({"one": 1.0}) == {"one": 1.0, "two": 0.0}
    assert ask(adapted, PROMPT).text == ask(adapted, PROMPT, adapters={"one": 1.0}).text != plain
    assert ask(adapted, PROMPT, adapters={}).text == plain
    with pytest.raises(InvalidRequestError, match="no adapter 'three'; its adapters are one, two"):
        ask(adapted, PROMPT, adapters={"three": 1.0})
    with pytest.raises(InvalidRequestError, match="no adapter 'three'"):
        adapted.adapter_scales({"three": 1.0})
    with pytest.raises(InvalidRequestError, match="adapter 0 with the scale inf"):
        ask(adapted, PROMPT, adapters={"one": 1e300})


@pytest.mark.parametrize("kind", ["gemma3", "qwen3", "mamba", "rwkv7", "jamba"])
def test_other_architectures(start_model: Start, tmp_path: Path, kind: str) -> None:
    base = write_tiny(tmp_path / "base.gguf", kind)
    target = {
        "gemma3": "blk.0.attn_q.weight",
        "qwen3": "blk.1.ffn_up.weight",
        "mamba": "blk.0.ssm_in.weight",
        "rwkv7": "blk.0.channel_mix_key.weight",
        "jamba": "blk.0.ffn_down.weight",
    }[kind]
    lora = make_lora(base, targets=[target])
    path = write_lora(tmp_path / "lora.gguf", lora, architecture=kind)
    adapted = start_model(base, adapters=(Adapter("a", str(path), scale=0.0),))
    merged = start_model(write_merged(tmp_path / "m.gguf", base, lora))
    expected = ask(merged, PROMPT, n_logprobs=2)
    streams = [submit(adapted, PROMPT, n_logprobs=2, adapters={"a": s}) for s in (1.0, 0.0, 1.0)]
    answers = [read(stream) for stream in streams]
    assert_same_up_to_ties(expected, answers[0])
    assert_same_up_to_ties(expected, answers[2])
    assert_same_up_to_ties(ask(start_model(base), PROMPT, n_logprobs=2), answers[1])


class TestBadFiles:
    """Each is a ModelLoadError that names the file, and never an abort."""

    @pytest.fixture
    def lora(self, tiny_model: Path) -> TinyLora:
        return make_lora(tiny_model)

    def refusal(self, start_model: Start, tiny_model: Path, path: Path) -> str:
        with pytest.raises(ModelLoadError, match=path.name) as raised:
            start_model(tiny_model, adapters=(Adapter("bad", str(path)),))
        return raised.value.message

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"architecture": "qwen2"}, "general.architecture is 'qwen2', not llama"),
            ({"general_type": "model"}, "general.type is 'model', not adapter"),
            ({"adapter_type": "ia3"}, "adapter.type is 'ia3', not lora"),
            ({"invocation": [1, 2]}, "invocation tokens"),
        ],
    )
    def test_heads(
        self,
        start_model: Start,
        tiny_model: Path,
        tmp_path: Path,
        lora: TinyLora,
        fields: dict[str, object],
        reason: str,
    ) -> None:
        path = write_lora(tmp_path / "bad.gguf", lora, **fields)  # type: ignore[arg-type]
        assert reason in self.refusal(start_model, tiny_model, path)

    def test_numbers(
        self, start_model: Start, tiny_model: Path, tmp_path: Path, lora: TinyLora
    ) -> None:
        lora.alpha = float("nan")
        path = write_lora(tmp_path / "bad.gguf", lora)
        assert "alpha is not finite" in self.refusal(start_model, tiny_model, path)

    def test_shapes(
        self, start_model: Start, tiny_model: Path, tmp_path: Path, lora: TinyLora
    ) -> None:
        name = "blk.0.attn_q.weight"
        a, b = lora.pairs[name]
        for pair, shape in [
            ((a[:, :32], b), "A is 32 x 4 and B 4 x 64"),
            ((a, b[:32]), "A is 64 x 4 and B 4 x 32"),
            ((a[:2], b), "A is 64 x 2 and B 4 x 64"),
        ]:
            lora.pairs[name] = (pair[0].copy(), pair[1].copy())
            path = write_lora(tmp_path / "bad.gguf", lora)
            problem = self.refusal(start_model, tiny_model, path)
            assert f"{shape} for {name}, which is 64 x 64" in problem

    def test_tensors(
        self, start_model: Start, tiny_model: Path, tmp_path: Path, lora: TinyLora
    ) -> None:
        pair = lora.pairs.pop("blk.0.attn_q.weight")
        lora.pairs["blk.7.attn_q.weight"] = pair
        path = write_lora(tmp_path / "bad.gguf", lora)
        assert "blk.7.attn_q.weight" in self.refusal(start_model, tiny_model, path)
        lora.pairs["blk.0.attn_q.weight.lora_a"] = lora.pairs.pop("blk.7.attn_q.weight")
        path = write_lora(tmp_path / "bad.gguf", lora)
        assert "lora_a.lora_a is not the name" in self.refusal(start_model, tiny_model, path)
        del lora.pairs["blk.0.attn_q.weight.lora_a"]
        lora.pairs["blk.0.attn_q.weight"] = (pair[0].astype("float64"), pair[1])  # type: ignore[assignment]
        path = write_lora(tmp_path / "bad.gguf", lora)
        assert "has the type f64" in self.refusal(start_model, tiny_model, path)

    def test_embeddings_that_are_the_output_too(self, start_model: Start, tmp_path: Path) -> None:
        base = write_tiny_llama(tmp_path / "tied.gguf", tied=True)
        lora = make_lora(base, targets=["token_embd.weight"])
        a, b = lora.pairs["token_embd.weight"]
        lora.pairs["token_embd.weight"] = (b, a.T.copy())
        path = write_lora(tmp_path / "bad.gguf", lora)
        assert "uses as its output, too" in self.refusal(start_model, base, path)

    def test_files(
        self, start_model: Start, tiny_model: Path, tmp_path: Path, lora: TinyLora
    ) -> None:
        whole = write_lora(tmp_path / "whole.gguf", lora).read_bytes()
        path = tmp_path / "bad.gguf"
        for n_bytes in (0, 10, 100, 500, len(whole) - 64):
            path.write_bytes(whole[:n_bytes])
            self.refusal(start_model, tiny_model, path)
        self.refusal(start_model, tiny_model, tmp_path / "missing.gguf")
        self.refusal(start_model, tiny_model, write_tiny_llama(path))
