"""Which models a machine runs well."""

from __future__ import annotations

import pytest

from pyserve.models.fitting import (
    GIB,
    OVERHEAD_BYTES,
    Machine,
    advised,
    fits,
    memory_bytes,
    runs_well,
    suitable,
    tokens_per_s,
)
from pyserve.models.gallery import Gallery, GalleryEntry, HubSource, load_gallery


def entry(name: str, gb: float, **fields: object) -> GalleryEntry:
    given = {
        "name": name, "description": name, "file": f"{name}.gguf", "size_bytes": int(gb * 1e9),
        "license": "MIT", "quantization": "Q4_K_M", "sources": (HubSource(kind="hub", repo="o/n"),),
    }  # fmt: skip
    return GalleryEntry.model_validate(given | fields)


def test_memory_grows_with_the_context_up_to_the_trained_one() -> None:
    model = entry("m", 1.0, cell_bytes=1000, state_bytes=5, context=4096)
    assert memory_bytes(model, 1024) == 1_000_000_000 + 5 + 1_024_000 + OVERHEAD_BYTES
    assert memory_bytes(model, 8192) == memory_bytes(model, 4096)


def test_a_mixture_of_experts_reads_its_active_weights_alone() -> None:
    machine = Machine(32 * GIB, 4)
    dense, sparse = entry("d", 12), entry("s", 12, params=30, active_params=3)
    assert tokens_per_s(dense, machine) == pytest.approx(2.0)
    assert tokens_per_s(sparse, machine) == pytest.approx(20.0)
    assert fits(dense, machine)
    assert [runs_well(model, machine) for model in (dense, sparse)] == [False, True]


def test_the_system_keeps_a_part() -> None:
    model = entry("m", 3.0)
    assert not fits(model, Machine(4_000_000_000, 4))
    assert fits(model, Machine(5_000_000_000, 4))


def test_nothing_is_advised_for_a_machine_that_nothing_is_known_of() -> None:
    assert advised(load_gallery(), Machine(0, 4)) is None


def test_the_best_chat_model_is_advised() -> None:
    models = (entry("small", 0.1, rank=5), entry("good", 2, rank=50), entry("big", 9, rank=90),
              entry("coder", 1, rank=99, task="code"))  # fmt: skip
    gallery = Gallery(default="small", models=models)
    machine = Machine(8 * GIB, 8)
    assert [model.name for model in suitable(gallery, machine)] == ["coder", "good", "small"]
    best = advised(gallery, machine)
    assert best is not None
    assert best.name == "good"
    assert advised(gallery, Machine(GIB, 1)) is None


@pytest.mark.parametrize("gib", [4, 8, 16, 32, 64])
def test_the_gallery_has_something_for_every_machine(gib: int) -> None:
    gallery, cores = load_gallery(), {4: 2, 8: 4}.get(gib, 8)
    machine = Machine(gib * GIB, cores)
    found = [model for model in suitable(gallery, machine) if model.task == "chat"]
    assert len(found) >= 2
    best = advised(gallery, machine)
    assert best is not None
    assert memory_bytes(best) > gib * GIB / 8  # it makes use of the machine
