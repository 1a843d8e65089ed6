"""Which of a wheel's native modules a machine gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pyserve.engine.levels import choose_level

V2 = ("sse4.2", "popcnt")
V3 = (*V2, "avx2", "fma")
V4 = (*V3, "avx512f")
LEVELS = [
    ("v2", V2),
    ("v3", V3),
    ("v3-vnni", (*V3, "avxvnni")),
    ("v4", V4),
    ("v4-bf16", (*V4, "avx512vnni", "avx512bf16")),
]


def without(*granted: str) -> Callable[[Sequence[str]], str]:
    return lambda required: ", ".join(name for name in required if name not in granted)


@pytest.mark.parametrize(
    ("granted", "level"),
    [
        (V2, "v2"),
        (V3, "v3"),
        ((*V3, "avxvnni"), "v3-vnni"),
        (V4, "v4"),
        ((*V4, "avxvnni"), "v4"),
        ((*V4, "avx512vnni"), "v4"),
        ((*V4, "avx512bf16", "avx512vnni", "avxvnni"), "v4-bf16"),
        # A system that does not keep the registers of AVX-512, and a hypervisor that hides FMA.
        ((*V3, "avx512vnni", "avx512bf16"), "v3"),
        ((*V2, "avx2", "avx512f"), "v2"),
    ],
)
def test_the_highest_level_that_has_all_its_features_is_chosen(
    granted: Sequence[str], level: str
) -> None:
    assert choose_level(LEVELS, without(*granted)) == level


def test_a_lower_level_can_be_asked_for() -> None:
    assert choose_level(LEVELS, without(*V4), "v3") == "v3"


def test_a_level_that_does_not_fit_is_refused_with_what_is_missing() -> None:
    with pytest.raises(ImportError, match=r"for v4-bf16 needs .*: avx512vnni, avx512bf16$"):
        choose_level(LEVELS, without(*V4), "v4-bf16")


def test_a_machine_below_the_lowest_level_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(ImportError, match=r"for v2 needs .*: popcnt$"):
        choose_level(LEVELS, without("sse4.2"))


def test_an_unknown_level_is_refused_by_the_variable() -> None:
    with pytest.raises(ImportError, match=r"PYSERVE_CPU_LEVEL is 'v9', this package has v2, v3,"):
        choose_level(LEVELS, without(*V4), "v9")
