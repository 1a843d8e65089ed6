"""Which models of the gallery a machine can run well: by their memory, and by about how fast.

Pure, but for `this_machine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyserve.models.gallery import Gallery, GalleryEntry
from pyserve.process.memory import total_bytes
from pyserve.process.threads import usable_threads

GIB = 2**30
N_CTX = 8192  # what a model gets at least by default, if it was trained for as much
# Buffers of a step, copies of computed prefixes, the server itself.
OVERHEAD_BYTES = GIB * 3 // 4
# What the system and other programs keep: an eighth, at least this.
MIN_RESERVE_BYTES = GIB // 2
# Weights that a core reads per second, and that all of them do: what desktops of the last years
# reach with these models. Fast memory reaches several times as much.
CORE_BYTES_PER_S = 6e9
MOST_BYTES_PER_S = 40e9
MIN_TOKENS_PER_S = 4.0  # about as fast as people read


@dataclass(frozen=True)
class Machine:
    """n_bytes: memory, 0 = not known. n_cores: that may compute."""

    n_bytes: int
    n_cores: int

    @property
    def room(self) -> int:
        """Bytes that a model may take."""
        return self.n_bytes - max(self.n_bytes // 8, MIN_RESERVE_BYTES)


def this_machine(limit_mib: int = 0) -> Machine:
    """The machine, within its cgroups and `--memory-limit-mib`."""
    sizes = [size for size in (total_bytes(), limit_mib * 2**20) if size]
    return Machine(min(sizes, default=0), usable_threads())


def memory_bytes(entry: GalleryEntry, n_ctx: int = N_CTX) -> int:
    """About the memory of a model with a context of `n_ctx` tokens for all requests together."""
    n_cells = min(n_ctx, entry.context) if entry.context else n_ctx
    return entry.size_bytes + entry.state_bytes + entry.cell_bytes * n_cells + OVERHEAD_BYTES


def tokens_per_s(entry: GalleryEntry, machine: Machine) -> float:
    """About how many tokens one stream gets per second: decoding reads the active weights once."""
    rate = min(machine.n_cores * CORE_BYTES_PER_S, MOST_BYTES_PER_S)
    share = entry.active_params / entry.params if entry.active_params and entry.params else 1.0
    return rate / (entry.size_bytes * share)


def fits(entry: GalleryEntry, machine: Machine) -> bool:
    return memory_bytes(entry) <= machine.room


def runs_well(entry: GalleryEntry, machine: Machine) -> bool:
    """Whether it fits, and answers about as fast as people read."""
    is_fast = entry.task == "embeddings" or tokens_per_s(entry, machine) >= MIN_TOKENS_PER_S
    return is_fast and fits(entry, machine)


def suitable(gallery: Gallery, machine: Machine) -> Iterator[GalleryEntry]:
    """The models that the machine runs well, best first."""
    ranked = sorted(gallery.models, key=lambda entry: (-entry.rank, entry.size_bytes))
    return (entry for entry in ranked if runs_well(entry, machine))


def advised(gallery: Gallery, machine: Machine) -> GalleryEntry | None:
    """The best chat model for the machine; None if the default is, or nothing is known of it."""
    best = next((entry for entry in suitable(gallery, machine) if entry.task == "chat"), None)
    is_better = best is not None and best.rank > gallery.default_entry().rank
    return best if is_better else None
