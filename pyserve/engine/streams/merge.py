"""Several streams read as one, by one thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue

from pyserve.engine.protocol import Delta, TokenStream
from pyserve.engine.streams.stream import RequestStream


def merge(
    streams: Sequence[TokenStream],
    timeout_s: float,
    more: Callable[[], Sequence[TokenStream]] = tuple,
) -> Iterator[tuple[int, Delta] | None]:
    """The deltas of several streams as they come, each with the index of its stream.

    Fair: one delta of each stream in turn. Yields None whenever `timeout_s` passes without any.
    more: asked for further streams after each end of one and each None; they get the next indexes.
    Ends when all streams are finished. Raises the first error; the other streams are then still
    running and the caller's to cancel. No stream may be read by anyone else meanwhile.
    """
    sources: list[RequestStream] = []
    ready: SimpleQueue[int] = SimpleQueue()  # the index of a stream for each thing to take from it

    def add(some: Sequence[TokenStream]) -> int:
        for stream in some:
            source = as_request_stream(stream)
            sources.append(source)
            source.listen(partial(ready.put, len(sources) - 1))
        return len(some)

    try:
        n_open = add(streams)
        while n_open:
            try:
                first = ready.get(timeout=timeout_s)
            except Empty:
                yield None
                n_open += add(more())
                continue
            for index in in_turns([first, *(ready.get() for _ in range(ready.qsize()))]):
                delta = sources[index].take()
                if delta is None:
                    continue
                yield index, delta
                if delta.finish is not None:
                    n_open += add(more()) - 1
    finally:
        for source in sources:
            source.listen(None)


def in_turns(indexes: list[int]) -> list[int]:
    """The same indexes, each once before any comes a second time."""
    if len(indexes) == 1:
        return indexes
    n_seen: Counter[int] = Counter()
    turns = []
    for index in indexes:
        turns.append((n_seen[index], index))
        n_seen[index] += 1
    return [index for _, index in sorted(turns)]


def as_request_stream(stream: TokenStream) -> RequestStream:
    if not isinstance(stream, RequestStream):
        raise TypeError(f"merge needs streams of a StreamHub, not {type(stream).__name__}")
    return stream
