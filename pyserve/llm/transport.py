"""httpx over the application in this process, in place of a network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

import httpx
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from pyserve.engine.protocol import Engine
from pyserve.web.request.disconnect import ClientGoneError
from pyserve.web.request.inside import Inside, as_it_is

WITH_ENGINE = "pyserve.with_engine"  # the extension of a request: Inside.with_engine

WithEngine = Callable[[Engine], Engine]


class Reply(NamedTuple):
    """What the application says."""

    parts: Iterable[bytes]
    status: int
    headers: list[tuple[str, str]]


class AppTransport(httpx.BaseTransport):
    """Calls the application in the thread that asks. Thread: any."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = _call(self._app, request, lambda: None)
        stream = _SyncParts(reply.parts)
        return httpx.Response(reply.status, headers=reply.headers, stream=stream)


class AsyncAppTransport(httpx.AsyncBaseTransport):
    """Calls the application in threads of `executor`; a cancelled request ends there soon."""

    def __init__(self, app: Flask, executor: Executor) -> None:
        self._app = app
        self._executor = executor

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        client = _AsyncParts(self._executor)
        await request.aread()
        reply = await client.run(partial(client.take, self._app, request))
        return httpx.Response(reply.status, headers=reply.headers, stream=client)


class _SyncParts(httpx.SyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts

    def close(self) -> None:
        _close(self._parts)


class _AsyncParts(httpx.AsyncByteStream):
    """The parts of one reply, each taken in a thread; also who waits for them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = threading.Lock()
        self._has_gone = threading.Event()
        self._parts: Iterator[bytes] = iter(())
        self._all: Iterable[bytes] = ()

    def take(self, app: Flask, request: httpx.Request) -> Reply:
        with self._turn:
            reply = _call(app, request, self._check)
            self._all, self._parts = reply.parts, iter(reply.parts)
        if self._has_gone.is_set():
            self._end()
        return reply

    async def run(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except asyncio.CancelledError:
            self._has_gone.set()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self.run(self._next)) is not None:
            yield part

    async def aclose(self) -> None:
        self._has_gone.set()
        await asyncio.get_running_loop().run_in_executor(self._executor, self._end)

    def _next(self) -> bytes | None:
        with self._turn:
            return next(self._parts, None)

    def _end(self) -> None:
        with self._turn:
            _close(self._all)

    def _check(self) -> None:
        if self._has_gone.is_set():
            raise ClientGoneError("the caller was cancelled")


def _call(app: Flask, request: httpx.Request, check: Callable[[], None]) -> Reply:
    builder = EnvironBuilder(
        path=request.url.path,
        query_string=request.url.query.decode(),
        base_url=f"{request.url.scheme}://{request.url.netloc.decode()}",
        method=request.method,
        data=request.read(),
        headers=list(request.headers.items()),
    )
    environ = builder.get_environ()
    with_engine: WithEngine = request.extensions.get(WITH_ENGINE, as_it_is)
    Inside(None, check, is_background=False, with_engine=with_engine).mark(environ)
    parts, status, headers = run_wsgi_app(app.wsgi_app, environ)
    return Reply(parts, int(status.split()[0]), headers.to_wsgi_list())


def _close(parts: Iterable[bytes]) -> None:
    close = getattr(parts, "close", None)
    if close is not None:
        close()
