"""One server over HTTP: requests, streams of chunks, and its errors as exceptions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from pyserve.errors import PyserveError

UNIX_PREFIX = "unix:"
CONNECT_S = 5.0
IGNORED_FIELDS = "X-Ignored-Fields"
_DATA = "data: "
_DONE = "[DONE]"


class NoServerError(PyserveError):
    """Nobody listens there."""

    code = "no_server"


class ServerAnswerError(PyserveError):
    """The server refused the request, or broke off. status: HTTP status, 0 within a stream."""

    code = "server_answer"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """A server at an `http:` or `https:` URL, or at `unix:/path` of its socket.

    key: the API key, "" if none. Answers may take as long as they do; connecting has 5 seconds.
    Raises NoServerError and ServerAnswerError from all methods. Thread: any, one at a time.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.removesuffix("/").removesuffix("/v1")
        is_unix = url.startswith(UNIX_PREFIX)
        path = Path(url.removeprefix(UNIX_PREFIX)) if is_unix else None
        with self._explained():
            self._client = httpx.Client(
                base_url="http://localhost" if is_unix else self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(None, connect=CONNECT_S),
                transport=httpx.HTTPTransport(uds=str(path)) if path else None,
                trust_env=not is_unix,
            )

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def get(self, path: str, *, accepts: tuple[int, ...] = ()) -> Any:
        """The JSON at `path`. accepts: statuses beside 200 whose body is an answer as well."""
        with self._explained():
            return _body(self._client.get(path), accepts)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that answers `body`."""
        with self._explained():
            return _body(self._client.post(path, json=body))

    def ask(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of what is said to `body`, which is JSON; whatever it is."""
        sent = {"Content-Type": "application/json", **headers}
        with self._explained():
            response = self._client.post(path, content=body, headers=sent)
            return response.status_code, response.headers, response.content

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """The chunks that answer `body`, as they come; closing the iterator cancels the request.

        First a dictionary `{"ignored": [names]}` of the fields that had no effect.
        """
        with self._explained(), self._client.stream("POST", path, json=body) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                _body(response)
            named = response.headers.get(IGNORED_FIELDS, "")
            yield {"ignored": [name.strip() for name in named.split(",") if name.strip()]}
            for line in response.iter_lines():
                data = line.removeprefix(_DATA)
                if data in (line, _DONE):
                    continue
                chunk = msgspec.json.decode(data)
                if error := chunk.get("error"):
                    raise ServerAnswerError(str(error.get("message", error)), 0)
                yield chunk

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoServerError(f"no server answers at {self.url}: {error}") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NoServerError(f"{self.url!r} is no URL: {error}") from error
        except httpx.HTTPError as error:
            raise ServerAnswerError(f"{self.url} broke off: {error}", 0) from error


def _body(response: httpx.Response, accepts: tuple[int, ...] = ()) -> Any:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    if response.is_success or response.status_code in accepts:
        if body is None:
            raise ServerAnswerError(f"{response.url} answers no JSON", response.status_code)
        return body
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = message or f"{response.url}: {response.status_code} {response.reason_phrase}"
    raise ServerAnswerError(str(text), response.status_code)
