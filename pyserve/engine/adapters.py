"""Default scales of LoRA adapters, for requests that name none (POST /lora-adapters)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from pyserve.engine.config import Adapter
from pyserve.errors import InvalidRequestError


class AdapterScales:
    """The default scale of each adapter, by name. Any thread may call any method."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self._lock = threading.Lock()
        self._indices = {adapter.name: index for index, adapter in enumerate(adapters)}
        self._scales = {adapter.name: adapter.scale for adapter in adapters}

    def update(self, scales: Mapping[str, float]) -> dict[str, float]:
        """Set the defaults of those given; returns all of them.

        Raises InvalidRequestError for an unknown name.
        """
        self._check(scales)
        with self._lock:
            self._scales |= scales
            return dict(self._scales)

    def chosen(self, wanted: Mapping[str, float] | None) -> list[tuple[int, float]]:
        """The indices and scales of a request's adapters; None: the defaults. Raises as above."""
        if wanted is None:
            wanted = self.update({})
        self._check(wanted)
        return [(self._indices[name], scale) for name, scale in wanted.items() if scale]

    def _check(self, names: Mapping[str, float]) -> None:
        for name in names:
            if name not in self._indices:
                raise unknown_adapter(name, tuple(self._indices), "lora")


def unknown_adapter(name: str, known: Sequence[str], param: str) -> InvalidRequestError:
    """The error for an adapter that the model does not have."""
    there = f"its adapters are {', '.join(known)}" if known else "it has none"
    return InvalidRequestError(f"{param}: the model has no adapter {name!r}; {there}", param=param)
