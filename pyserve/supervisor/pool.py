"""The configured models of one server, and the engine slot of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pyserve.config import ServeConfig
from pyserve.supervisor.backend import ModelStatus
from pyserve.supervisor.slot import EngineSlot
from pyserve.supervisor.spec import ModelSpec


class ModelPool:
    """Owns the engine slots. Thread: the supervisor's loop only. Nothing blocks.

    sockets_dir: private directory for the engines' sockets.
    """

    def __init__(self, config: ServeConfig, sockets_dir: Path, clock: Callable[[], float]) -> None:
        self._config = config
        self._sockets_dir = sockets_dir
        self._clock = clock
        self._n_slots = 0
        self._models: dict[str, tuple[ModelSpec, EngineSlot]] = {}
        self._leaving: list[EngineSlot] = []

    @property
    def slots(self) -> list[EngineSlot]:
        """Those of the configured models, in their order."""
        return [slot for _spec, slot in self._models.values()]

    @property
    def all_slots(self) -> list[EngineSlot]:
        """With those whose model is no longer configured and whose process still ends."""
        return [*self.slots, *self._leaving]

    def configure(self, specs: Sequence[ModelSpec]) -> None:
        """Serve exactly these from now on: a model whose spec is unchanged goes on undisturbed.

        REQUIRES: the ids differ.
        """
        before, self._models = self._models, {}
        for spec in specs:
            old_spec, old_slot = before.pop(spec.id, (None, None))
            if old_spec is not None and old_slot is not None and old_spec.is_same_engine(spec):
                self._models[spec.id] = (spec, old_slot)
                continue
            if old_slot is not None:
                self._end(old_slot)
            slot = self._new_slot(spec)
            self._models[spec.id] = (spec, slot)
            slot.start()
        for _spec, slot in before.values():
            self._end(slot)

    def check(self) -> None:
        """Do what is due; call it whenever something may have changed."""
        for slot in self.slots:
            slot.check()
        self._leaving = [slot for slot in self._leaving if not slot.reap()]

    def next_check_at(self) -> float | None:
        """When `check` has something to do even if nothing happens."""
        times = (slot.next_check_at() for slot in self.slots)
        return min((at for at in times if at is not None), default=None)

    def statuses(self) -> list[ModelStatus]:
        return [
            msgspec.structs.replace(slot.status, profile=spec.profile)
            for spec, slot in self._models.values()
        ]

    def _new_slot(self, spec: ModelSpec) -> EngineSlot:
        stem = self._sockets_dir / f"engine{self._n_slots}"
        self._n_slots += 1
        return EngineSlot(self._config, spec.engine, stem, self._clock)

    def _end(self, slot: EngineSlot) -> None:
        slot.stop()
        self._leaving.append(slot)
