"""What a comparison measures, in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.load.catalog import WORKLOADS

CTX_MARGIN = 1.15  # prompts are random text, so their lengths vary
CTX_TEMPLATE_TOKENS = 96  # what a chat template may add
CTX_STEP = 256
SEED_STEP = 100_000
# Of models of random weights, most of which are so large that a client has one request.
RANDOM_WORKLOAD = "distinct"
RANDOM_LOADS = (1, 8, 16)

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One workload at one load. n_parallel, ctx_tokens, kv_tokens: see `peer.Settings`."""

    workload: str
    load: int
    n_requests: int
    n_parallel: int
    ctx_tokens: int
    kv_tokens: int


def make_cell(workload: str, load: int, n_slots: int, *, is_quick: bool) -> Cell:
    """The cell with the context that its requests need, the same for every peer.

    n_slots: most requests that a server decodes at once; fewer when the load needs fewer.
    """
    what = WORKLOADS[workload]
    n_parallel = min(n_slots, what.n_at_once(load) or n_slots)
    needed = what.request_tokens * CTX_MARGIN + CTX_TEMPLATE_TOKENS
    ctx_tokens = CTX_STEP * -int(-needed // CTX_STEP)
    n_requests = what.n_requests(load, is_quick=is_quick)
    return Cell(workload, load, n_requests, n_parallel, ctx_tokens, n_parallel * ctx_tokens)


def make_cells(
    workloads: Sequence[str], loads: Sequence[int], n_slots: int, *, is_quick: bool
) -> list[Cell]:
    """Cells of the workloads (none given: all) at the loads (none given: each workload's own).

    A quick comparison leaves out the workloads without quick loads unless they are named.
    """
    cells = []
    for name in workloads or WORKLOADS:
        what = WORKLOADS[name]
        quick_loads = what.quick_loads or (what.loads[:1] if workloads else ())
        for load in loads or (quick_loads if is_quick else what.loads):
            cells.append(make_cell(name, load, n_slots, is_quick=is_quick))
    return cells


def random_cells(n_slots: int) -> list[Cell]:
    """What models of random weights are measured by: the same in a quick comparison."""
    return [make_cell(RANDOM_WORKLOAD, load, n_slots, is_quick=True) for load in RANDOM_LOADS]


def rounds(
    cells: Sequence[Cell], peers: Sequence[T], n_rounds: int
) -> Iterator[tuple[int, Cell, list[T]]]:
    """Round, cell, and the peers in the order to measure them.

    The order is turned round every other time, for each cell, so that no peer always runs first.
    """
    for number in range(n_rounds):
        for index, cell in enumerate(cells):
            order = list(peers)
            if (number + index) % 2:
                order.reverse()
            yield number, cell, order


def seed_of(number: int, cell: Cell) -> int:
    """Different for each round and load, the same for every peer."""
    return SEED_STEP * (number + 1) + 1000 * cell.load
