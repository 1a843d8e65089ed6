"""`Server` for programs with an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from pyserve.client.server import (
    CONNECT_S,
    JSON,
    UNIX_PREFIX,
    chunk_of,
    encoded,
    explained,
    json_of,
    opened,
)


class AsyncServer:
    """One server, as `Server` is; raises the same. Thread: the event loop's.

    transport: in place of the network.
    """

    def __init__(
        self, url: str, key: str = "", *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.removesuffix("/").removesuffix("/v1")
        is_unix = url.startswith(UNIX_PREFIX)
        with explained(self.url):
            if is_unix:
                transport = httpx.AsyncHTTPTransport(uds=url.removeprefix(UNIX_PREFIX))
            self._client = httpx.AsyncClient(
                base_url="http://localhost" if is_unix else self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(None, connect=CONNECT_S),
                transport=transport,
                trust_env=transport is None,
            )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> Any:
        """The JSON at `path`."""
        with explained(self.url):
            return json_of(await self._client.get(path))

    async def post(
        self, path: str, body: Mapping[str, Any], extensions: dict[str, Any] | None = None
    ) -> Any:
        """The JSON that answers `body`. extensions: for the transport."""
        with explained(self.url):
            client, content = opened(self._client), encoded(body)
            sent = client.post(path, content=content, headers=JSON, extensions=extensions)
            return json_of(await sent)

    async def stream(
        self, path: str, body: Mapping[str, Any], extensions: dict[str, Any] | None = None
    ) -> AsyncIterator[Any]:
        """The chunks that answer `body`, as they come; closing the iterator cancels the request."""
        with explained(self.url):
            client, content = opened(self._client), encoded(body)
            answer = client.stream(
                "POST", path, content=content, headers=JSON, extensions=extensions
            )
            async with answer as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    json_of(response)
                async for line in response.aiter_lines():
                    chunk = chunk_of(line)
                    if chunk is not None:
                        yield chunk
