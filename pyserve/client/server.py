"""One server over HTTP: requests, streams of chunks, and its errors as exceptions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from pyserve.errors import (
    ErrorInfo,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PyserveError,
    RateLimitError,
    UnauthorizedError,
    UnavailableError,
    from_info,
    is_known,
)

UNIX_PREFIX = "unix:"
JSON = {"Content-Type": "application/json"}
CONNECT_S = 5.0
IGNORED_FIELDS = "X-Ignored-Fields"
_DATA = "data: "
_DONE = "[DONE]"
# What errors are whose code is none of ours.
BY_STATUS: Mapping[int, type[PyserveError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
    500: InternalError,
    501: NotSupportedError,
    503: UnavailableError,
}


class NoServerError(PyserveError):
    """Nobody listens there."""

    code = "no_server"


class ServerAnswerError(PyserveError):
    """The server refused the request, or broke off. status: HTTP status, 0 within a stream.

    info: the error as the server tells it, if it does.
    """

    code = "server_answer"

    def __init__(self, message: str, status: int, info: ErrorInfo | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.info = info

    @staticmethod
    @contextlib.contextmanager
    def told() -> Iterator[None]:
        """Raises in its place the error that the server tells, by its code or its status."""
        try:
            yield
        except ServerAnswerError as error:
            if error.info is not None and is_known(error.info.code):
                raise from_info(error.info) from None
            kind = BY_STATUS.get(error.status)
            if kind is None:
                raise
            info = error.info or ErrorInfo(code="", message=error.message)
            raise kind(info.message, param=info.param, **info.details) from None


class Server:
    """A server at an `http:` or `https:` URL, or at `unix:/path` of its socket.

    key: the API key, "" if none. Answers may take as long as they do; connecting has 5 seconds.
    Raises NoServerError and ServerAnswerError from all methods. Thread: any.
    transport: in place of the network.
    """

    def __init__(
        self, url: str, key: str = "", *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.removesuffix("/").removesuffix("/v1")
        is_unix = url.startswith(UNIX_PREFIX)
        path = Path(url.removeprefix(UNIX_PREFIX)) if is_unix else None
        with self._explained():
            if path is not None:
                transport = httpx.HTTPTransport(uds=str(path))
            self._client = httpx.Client(
                base_url="http://localhost" if is_unix else self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(None, connect=CONNECT_S),
                transport=transport,
                trust_env=transport is None,
            )

    def close(self) -> None:
        self._client.close()

    @property
    def _open(self) -> httpx.Client:
        """Raises NoServerError when it was closed."""
        return opened(self._client)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def get(self, path: str, *, accepts: tuple[int, ...] = ()) -> Any:
        """The JSON at `path`. accepts: statuses beside 200 whose body is an answer as well."""
        with self._explained():
            return json_of(self._client.get(path), accepts)

    def post(
        self, path: str, body: Mapping[str, Any], extensions: dict[str, Any] | None = None
    ) -> Any:
        """The JSON that answers `body`. extensions: for the transport."""
        with self._explained():
            answer = self._open.post(
                path, content=encoded(body), headers=JSON, extensions=extensions
            )
            return json_of(answer)

    def ask(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of what is said to `body`, which is JSON; whatever it is."""
        sent = {**JSON, **headers}
        with self._explained():
            response = self._client.post(path, content=body, headers=sent)
            return response.status_code, response.headers, response.content

    def stream(
        self, path: str, body: Mapping[str, Any], extensions: dict[str, Any] | None = None
    ) -> Iterator[Any]:
        """The chunks that answer `body`, as they come; closing the iterator cancels the request.

        First a dictionary `{"ignored": [names]}` of the fields that had no effect.
        """
        with (
            self._explained(),
            self._open.stream(
                "POST", path, content=encoded(body), headers=JSON, extensions=extensions
            ) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                json_of(response)
            named = response.headers.get(IGNORED_FIELDS, "")
            yield {"ignored": [name.strip() for name in named.split(",") if name.strip()]}
            for line in response.iter_lines():
                chunk = chunk_of(line)
                if chunk is not None:
                    yield chunk

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self.url)


Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


def opened(client: Client) -> Client:
    """The client. Raises NoServerError when it was closed."""
    if client.is_closed:
        raise NoServerError("it was closed")
    return client


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body as JSON. Raises InvalidRequestError for what is none."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start]
        message = f"a text has {bad!r}, which is half of a character, or was no UTF-8"
        raise InvalidRequestError(message) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from error


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Raises what goes wrong with the server at `url` as errors of ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NoServerError(f"no server answers at {url}: {error}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NoServerError(f"{url!r} is no URL: {error}") from error
    except httpx.HTTPError as error:
        raise ServerAnswerError(f"{url} broke off: {error}", 0) from error


def chunk_of(line: str) -> Any:
    """The chunk in a line of a stream; None: there is none. Raises ServerAnswerError."""
    data = line.removeprefix(_DATA)
    if data in (line, _DONE):
        return None
    chunk = msgspec.json.decode(data)
    if error := chunk.get("error"):
        raise ServerAnswerError(str(error.get("message", error)), 0, _info(error))
    return chunk


def json_of(response: httpx.Response, accepts: tuple[int, ...] = ()) -> Any:
    """The body of an answer that was read. Raises ServerAnswerError."""
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
    info = _info(error, response.headers.get("Retry-After"))
    raise ServerAnswerError(str(text), response.status_code, info)


def _info(error: Any, retry_after: str | None = None) -> ErrorInfo | None:
    """The error as data; None: it is not told as OpenAI's API does."""
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return None
    known = ("message", "type", "param", "code")
    details = {name: value for name, value in error.items() if name not in known}
    if retry_after is not None and retry_after.isdecimal():
        details.setdefault("retry_after_s", int(retry_after))
    param = error.get("param")
    return ErrorInfo(
        code=error["code"],
        message=str(error.get("message", "")),
        param=param if isinstance(param, str) else None,
        details=details,
    )
