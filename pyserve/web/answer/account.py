"""What one request may use by the limits of its API key, and what it has used in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from pyserve.engine.protocol import Delta, Engine, GenerateRequest, TokenStream
from pyserve.engine.streams.merge import as_request_stream
from pyserve.errors import PermissionDeniedError
from pyserve.openai.context_limit import count_prompts, have_own_prompts
from pyserve.process.once import once
from pyserve.web.keys.buckets import token_buckets
from pyserve.web.keys.keys import ApiKey
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.usage import Counts
from pyserve.web.request.caller import Caller
from pyserve.web.request.services import Services
from pyserve.web.request.work import Part, Tally


class Account:
    """The tokens of one request: reserved by `open`, settled and told by `close`, once."""

    def __init__(self, parts: Services, caller: Caller) -> None:
        self._parts = parts
        self._caller = caller
        self._tally = Tally()
        self._requests: Sequence[GenerateRequest] = ()
        self._settles: list[Callable[[int], None]] = []
        self._streams: Sequence[TokenStream] = ()
        self._close = once(self._settle_all)

    def open(self, engine: Engine, requests: Sequence[GenerateRequest]) -> list[GenerateRequest]:
        """The requests as the key may make them, with its tokens reserved for them.

        May come again, for requests that follow those.
        Raises RateLimitError, PermissionDeniedError.
        """
        key = self._caller.key
        allowed = bounded_priority(key, requests)
        self._settles.append(reserve_tokens(self._parts.key_limits, key, engine, allowed))
        self._requests = [*self._requests, *allowed]
        return allowed

    def see(self, index: int, delta: Delta) -> None:
        """A delta of the request `index` has come."""
        self._tally.see(index, delta)

    def fail(self, error: BaseException) -> None:
        """The request ends with this error."""
        self._tally.fail(error)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have an error inside of it be the end of the request."""
        try:
            yield
        except BaseException as error:
            self._tally.fail(error)
            raise

    def close(self, streams: Sequence[TokenStream]) -> None:
        """Settle, count and note what was used. streams: those that were submitted. Any thread."""
        self._streams = streams
        self._close()

    def _settle_all(self) -> None:
        own = have_own_prompts(self._requests)
        parts = [
            Part(is_own, stream.n_prompt_tokens or 0, len(as_request_stream(stream).said))
            for is_own, stream in zip(own, self._streams, strict=False)
        ]
        priority = max((request.priority for request in self._requests), default=0)
        asked = parameters(self._requests[-1]) if self._requests else {}
        work = self._tally.work(parts, tenant=self._caller.tenant, priority=priority, asked=asked)
        for i, settle in enumerate(self._settles):
            settle(work.n_tokens if i == 0 else 0)
        if parts:
            key = self._caller.key
            used = Counts(1, work.n_prompt_tokens, work.n_cached_tokens, work.n_completion_tokens)
            model = self._caller.noted.model_id or ""
            self._parts.usage.add("" if key is None else key.name, model, used)
        self._caller.noted.work = work


def parameters(request: GenerateRequest) -> dict[str, float]:
    """The parameters of a request that traces tell."""
    if request.is_pooled:
        return {}
    sampling = request.sampling
    found = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    if request.max_tokens is not None:
        found["max_tokens"] = request.max_tokens
    return found


def bounded_priority(
    key: ApiKey | None, requests: Sequence[GenerateRequest]
) -> list[GenerateRequest]:
    """The requests with at most the key's priority; the default one is lowered to it.

    Raises PermissionDeniedError for one that asks for more.
    """
    if key is None or key.max_priority is None:
        return list(requests)
    asked = max((request.priority for request in requests), default=0)
    if asked > max(key.max_priority, 0):
        message = f"priority is {asked}, this API key may ask for {key.max_priority} at most"
        raise PermissionDeniedError(message, param="priority")
    return [
        msgspec.structs.replace(request, priority=min(request.priority, key.max_priority))
        for request in requests
    ]


def reserve_tokens(
    limits: KeyLimits, key: ApiKey | None, engine: Engine, requests: Sequence[GenerateRequest]
) -> Callable[[int], None]:
    """Take the tokens that the requests may use from the key's; returns what settles that.

    Raises RateLimitError.
    """
    if key is None or not token_buckets(key):
        return lambda _n_used: None
    n_ctx = engine.info().n_ctx
    n_prompt = n_answer = 0
    counts, own = count_prompts(engine, requests), have_own_prompts(requests)
    for request, n, is_own in zip(requests, counts, own, strict=True):
        n_room = max(n_ctx - n, 0)
        n_prompt += n * is_own
        if not request.is_pooled:
            n_answer += n_room if request.max_tokens is None else min(request.max_tokens, n_room)
    return limits.reserve(key, n_prompt, n_answer)
