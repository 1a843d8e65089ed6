"""GET /slots: how many requests a model runs, as llama-server tells it."""

from __future__ import annotations

import msgspec

from pyserve.engine.protocol import EngineStats, ModelInfo

NO_TASK = -1
NOT_TOLD = -1


class NextToken(msgspec.Struct, frozen=True, kw_only=True):
    """Whether another token is computed. n_remain: -1, it is not told."""

    has_next_token: bool
    n_remain: int = NOT_TOLD


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A place for one running request. What the request is stays its client's: id_task is -1.

    n_ctx: most tokens of one request.
    """

    id: int
    id_task: int = NO_TASK
    n_ctx: int
    speculative: bool = False
    is_processing: bool
    next_token: list[NextToken]


def slots_of(info: ModelInfo, stats: EngineStats) -> list[Slot]:
    """As many as the model runs requests at once; the first ones are taken."""
    taken = [index < stats.n_running for index in range(info.n_seq_max)]
    return [
        Slot(
            id=index,
            n_ctx=info.n_ctx,
            is_processing=is_taken,
            next_token=[NextToken(has_next_token=is_taken)],
        )
        for index, is_taken in enumerate(taken)
    ]
