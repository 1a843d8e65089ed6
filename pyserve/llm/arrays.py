"""Logits as NumPy arrays, where NumPy is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyserve.engine.protocol import Engine, GenerateRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES = 16 << 20  # of logits that an engine tells at once
MAX_ROWS = 64


def load_numpy() -> Any:
    """The module. Raises ImportError that says how to get it."""
    try:
        import numpy  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ImportError("this needs NumPy: pip install 'pyserve[numpy]'") from error
    return numpy


def rows_of(data: bytes, n_vocab: int) -> NDArray[np.float32]:
    """Logits as rows [n, n_vocab], which may be changed."""
    module = load_numpy()
    rows: NDArray[np.float32] = module.frombuffer(data, dtype="<f4").reshape(-1, n_vocab).copy()
    return rows


def logits(engine: Engine, tokens: list[int], last: int | None) -> NDArray[np.float32]:
    """The logits after each of the `last` of `tokens`, None: of all: [n, n_vocab].

    They come in slices, each of which goes on with the cells of the one before.
    """
    module = load_numpy()
    n_vocab = engine.info().n_vocab
    n_most = max(1, min(MAX_ROWS, MAX_BYTES // (4 * n_vocab)))
    begin = 0 if last is None else max(0, len(tokens) - last)
    slices = []
    while begin < len(tokens):
        end = min(begin + n_most, len(tokens))
        request = GenerateRequest(
            tokens=tokens[:end], n_logit_rows=end - begin, max_tokens=0, n_draft_max=0
        )
        data = b"".join(delta.logits or b"" for delta in engine.submit(request))
        slices.append(rows_of(data, n_vocab))
        begin = end
    if not slices:
        return rows_of(b"", n_vocab)
    rows: NDArray[np.float32] = module.concatenate(slices)
    return rows
