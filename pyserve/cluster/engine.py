"""`ClusterEngine`: the replicas of one model as one `Engine`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

from pyserve.backend.protocol import ReplicaStatus
from pyserve.cluster.member import Member
from pyserve.cluster.router import Router
from pyserve.cluster.totals import total
from pyserve.cluster.views import ReplicaView
from pyserve.engine.calls import Askable, Call, ClearPrefixes, ScaleAdapters
from pyserve.engine.model_info import EngineStats, ModelInfo
from pyserve.engine.prefixes.keys import PrefixKeys, prefix_keys
from pyserve.engine.protocol import GenerateRequest, TokenStream
from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.streams.revival import Blocklist, Reviver, refused
from pyserve.engine.streams.stream import RequestStream
from pyserve.errors import (
    EngineRestartedError,
    ModelLoadingError,
    PyserveError,
    QueueFullError,
    UnavailableError,
)

T = TypeVar("T")

DRAIN_S = 15.0  # requests of a replica that is to end may finish for so long
MAX_LOST = 2  # replicas that end, or stand still, under one call
NOTICE_S = 0.1  # engines that ended together with another one are known by then
SAME_BITS_S = 10.0  # a deterministic answer waits so long for a replica that computes as its first

TO_ALL = (ScaleAdapters, ClearPrefixes)

log = logging.getLogger(__name__)


class ClusterEngine(Askable):
    """Implements `Engine` over replicas that come and go. Any thread may call any method.

    successor_wait_s: for so long requests whose replica died wait for another one.
    drain_s, same_bits_s: may be changed.
    """

    def __init__(
        self, model_id: str, blocklist: Blocklist, *, successor_wait_s: float, goes_on: bool
    ) -> None:
        self.model_id = model_id
        self.drain_s = DRAIN_S
        self.same_bits_s = SAME_BITS_S
        self._successor_wait_s = successor_wait_s
        self._changed = threading.Condition()
        self._members: dict[str, Member] = {}
        self._fingerprints: WeakKeyDictionary[RequestStream, str] = WeakKeyDictionary()
        self._info: ModelInfo | None = None
        self._reviver = Reviver(self._find, blocklist, goes_on=goes_on)
        self._closed_with: PyserveError | None = None
        self._router = Router()
        self._n_turns = 0

    @property
    def n_revived(self) -> int:
        """The number of requests that were resumed in another engine."""
        return self._reviver.n_revived

    @property
    def members(self) -> list[Member]:
        with self._changed:
            return list(self._members.values())

    @property
    def is_ready(self) -> bool:
        return any(member.is_ready for member in self.members)

    def follow(self, views: Iterable[ReplicaView]) -> None:
        """These are the replicas that Ray has. One that it has no more is left in the end.

        Thread: one, about once a second.
        """
        now = time.monotonic()
        listed = {view.replica_id: view for view in views}
        with self._changed:
            for replica_id, view in listed.items():
                if replica_id not in self._members and self._closed_with is None:
                    self._members[replica_id] = Member(
                        view, self._reviver, on_change=self._notify, before_use=self._prepare
                    )
                self._list(replica_id, view)
            for member in self._members.values():
                if member.is_listed and member.replica_id not in listed:
                    member.is_listed, member.unlisted_at = False, now
        self._part(now)

    @property
    def is_alive(self) -> bool:
        return self.is_ready

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until a replica is connected."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(member.is_ready for member in self._members.values()), timeout_s
            )

    def submit(self, request: GenerateRequest) -> TokenStream:
        self._reviver.check(request)
        keys = prefix_keys(request)

        def submit(member: Member) -> TokenStream:
            stream = member.engine.submit(request)
            self._note(member, stream, keys)
            return stream

        return self._first(self._ranked(keys), submit)

    def adopt(self, stream: RequestStream) -> bool:
        """As in `Successor`: the best replica for a request whose engine died gets it."""
        keys = prefix_keys(stream.request)
        members = self._ranked(keys)
        wanted = self._fingerprints.get(stream)
        if stream.request.deterministic and stream.has_started and wanted:
            members = self._alike(wanted)

        def take(member: Member) -> bool:
            is_taken = member.engine.adopt(stream)
            self._note(member, stream, keys)
            return is_taken

        return self._first(members, take)

    def ask(self, call: Call[T]) -> T:
        def of_one(member: Member) -> T:
            return member.engine.ask_once(call)

        ranked = self._ranked(None)
        if not isinstance(call, TO_ALL):
            return self._first(ranked, of_one)
        if not ranked:
            raise self._nobody()
        first, *_ = [self._first([member], of_one) for member in ranked]
        return first

    def ask_once(self, call: Call[T]) -> T:
        return self.ask(call)  # the next replica answers for one that ended

    def info(self) -> ModelInfo:
        for member in self.members:
            if member.info is not None:
                self._info = member.info
                break
        if self._info is None:
            self._info = super().info()
        return self._info

    def stats(self) -> EngineStats:
        return total([member.stats for member in self.members if member.is_ready])

    def replicas(self) -> list[ReplicaStatus]:
        """As in `Backend`."""
        return [
            ReplicaStatus(
                model_id=self.model_id,
                name=member.replica_id,
                host=member.view.host,
                is_ready=member.is_ready,
                stats=member.stats,
            )
            for member in self.members
        ]

    def abort(self, error: PyserveError) -> None:
        """End all requests with `error`, and disconnect. Idempotent."""
        with self._changed:
            self._closed_with = error
            members = list(self._members.values())
            self._members.clear()
            self._changed.notify_all()
        self._reviver.close(error)
        for member in members:
            member.close(error)

    def close(self) -> None:
        self.abort(UnavailableError("the model is not served any more"))

    def _list(self, replica_id: str, view: ReplicaView) -> None:
        member = self._members.get(replica_id)
        if member is not None:
            member.view, member.is_listed = view, True

    def _part(self, now: float) -> None:
        """Leave replicas that are to end: those without requests, the others after DRAIN_S.

        Not the last ones: whoever answers, answers.
        """
        with self._changed:
            others = any(each.is_ready and each.is_listed for each in self._members.values())
            parting = [
                member
                for member in self._members.values()
                if not member.is_listed
                and (member.is_idle or (others and now - member.unlisted_at >= self.drain_s))
            ]
            for member in parting:
                del self._members[member.replica_id]
        for member in parting:
            member.leave()

    def _ranked(self, keys: PrefixKeys | None) -> list[Member]:
        """The replicas that can be asked, the best first. Those that are to end come last.

        keys: of a request; None: a question, which is the same for all.
        """
        ready = [member for member in self.members if member.is_ready]
        listed = [member for member in ready if member.is_listed]
        ending = [member for member in ready if not member.is_listed]
        if keys is not None:
            return self._router.rank(keys, listed) + ending
        self._n_turns += 1
        turn = self._n_turns % max(len(listed), 1)
        return listed[turn:] + listed[:turn] + ending

    def _alike(self, fingerprint: str) -> list[Member]:
        """The replicas with which a deterministic answer goes on as it began; waits for one.

        Raises EngineRestartedError when there is none.
        """

        def alike() -> list[Member]:
            return [
                member
                for member in self._members.values()
                if member.is_ready
                and member.info is not None
                and member.info.fingerprint == fingerprint
            ]

        with self._changed:
            self._changed.wait_for(alike, self.same_bits_s)
            members = alike()
        if not members:
            raise EngineRestartedError(
                "no other replica computes this deterministic answer as its first did",
                retry_after_s=1,
            )
        return members

    def _note(self, member: Member, stream: TokenStream, keys: PrefixKeys) -> None:
        member.note_request()
        if isinstance(stream, RequestStream):
            self._router.sent(stream, keys, member)
            if member.info is not None:
                self._fingerprints[stream] = member.info.fingerprint

    def _first(self, members: list[Member], call: Callable[[Member], T]) -> T:
        """What the first replica answers that can. Raises the last one's error, or that of none.

        No more than MAX_LOST are lost to it: then it is refused, if they ended.
        """
        failure: PyserveError | None = None
        n_lost = 0
        for member in members:
            was_there = member.is_ready and member.is_listed
            try:
                return call(member)
            except QueueFullError as error:
                failure = error
            except UnavailableError as error:
                if type(error) not in (UnavailableError, EngineRestartedError):
                    raise  # the request's own: its deadline
                failure = error
                n_lost += was_there
                if n_lost == MAX_LOST:
                    break
                time.sleep(NOTICE_S)
        if n_lost == MAX_LOST and isinstance(failure, EngineRestartedError):
            log.error("%d engines of %s ended under a call: it is refused", n_lost, self.model_id)
            raise refused()
        raise failure or self._nobody()

    def _nobody(self) -> PyserveError:
        if self._closed_with is not None:
            return self._closed_with
        return ModelLoadingError(
            f"no replica of {self.model_id} can be reached now", retry_after_s=1
        )

    def _find(self) -> ClusterEngine:
        """As of `Reviver`: this, when there is a replica."""
        if not self.wait_ready(self._successor_wait_s) or self._closed_with is not None:
            raise self._closed_with or EngineRestartedError(
                f"no replica of {self.model_id} came within {self._successor_wait_s:g} s",
                retry_after_s=5,
            )
        return self

    def _prepare(self, engine: RemoteEngine) -> None:
        """A new replica gets the scales of adapters that another one has."""
        for member in self.members:
            if member.is_ready and member.info is not None and member.info.adapters:
                engine.adapter_scales(member.engine.adapter_scales({}))
                return

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
