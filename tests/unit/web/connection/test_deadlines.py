from __future__ import annotations

import io
import threading
import time

import pytest

from pyserve.web.connection.deadlines import Deadlines, TimedApp

NEVER_S = 1e9


class Connection:
    def __init__(self) -> None:
        self.n_shut_down = 0
        self.was_sending: bool | None = None

    def shut_down(self, is_sending: bool) -> None:
        self.n_shut_down += 1
        self.was_sending = is_sending


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines()


@pytest.fixture
def connection(deadlines) -> Connection:
    connection = Connection()
    deadlines.begin(connection.shut_down)
    return connection


def is_limited(deadlines: Deadlines, connection: Connection, seconds: float) -> bool:
    """Whether the connection is shut down after `seconds` and a little, and not before."""
    now = time.monotonic()
    deadlines.enforce(now + seconds - 1)
    too_early = connection.n_shut_down
    deadlines.enforce(now + seconds + 1)
    return too_early == 0 and connection.n_shut_down == 1


def test_headers_have_a_limit(deadlines, connection):
    assert is_limited(deadlines, connection, deadlines.timeouts.header_s)
    assert connection.was_sending is True


def test_a_connection_is_shut_down_once(deadlines, connection):
    assert is_limited(deadlines, connection, deadlines.timeouts.header_s)
    deadlines.enforce(time.monotonic() + NEVER_S)
    assert connection.n_shut_down == 1


def test_nothing_is_limited_after_the_end(deadlines, connection):
    deadlines.end()
    deadlines.limit(0, is_sending=True)
    deadlines.enforce(time.monotonic() + NEVER_S)
    assert connection.n_shut_down == 0


def test_each_thread_has_its_own_limit(deadlines, connection):
    other = Connection()

    def wait_long() -> None:
        deadlines.begin(other.shut_down)
        deadlines.limit(NEVER_S, is_sending=True)

    thread = threading.Thread(target=wait_long)
    thread.start()
    thread.join()
    assert is_limited(deadlines, connection, deadlines.timeouts.header_s)
    assert other.n_shut_down == 0


def test_the_application_itself_may_take_its_time(deadlines, connection):
    def app(environ, start_response):
        deadlines.enforce(time.monotonic() + NEVER_S)
        return [b"x"]

    assert list(TimedApp(app, deadlines)({"wsgi.input": io.BytesIO()}, None)) == [b"x"]
    assert connection.n_shut_down == 0


class CheckedInput(io.BytesIO):
    """Runs a check within every read, as if the client were slow."""

    def __init__(self, data, check) -> None:
        super().__init__(data)
        self.check = check

    def read(self, *args):
        self.check()
        return super().read(*args)


def test_reading_the_body_is_limited_as_a_whole(deadlines, connection):
    limited: list[bool] = []

    def app(environ, start_response):
        body = environ["wsgi.input"].read(2) + environ["wsgi.input"].read()
        deadlines.enforce(time.monotonic() + NEVER_S)
        return [body]

    body = CheckedInput(b"hello", lambda: limited.append(bool(deadlines._limits)))
    assert list(TimedApp(app, deadlines)({"wsgi.input": body}, None)) == [b"hello"]
    assert limited == [True, True]
    assert connection.n_shut_down == 0


def test_a_body_that_does_not_come_is_given_up(deadlines, connection):
    seen: list[bool] = []

    def app(environ, start_response):
        return [environ["wsgi.input"].read()]

    body = CheckedInput(
        b"", lambda: seen.append(is_limited(deadlines, connection, deadlines.timeouts.body_s))
    )
    list(TimedApp(app, deadlines)({"wsgi.input": body}, None))
    assert seen == [True]
    assert connection.was_sending is True


def test_each_write_is_limited_and_the_pause_between_is_not(deadlines, connection):
    def parts():
        yield b"a"
        deadlines.enforce(time.monotonic() + NEVER_S)
        yield b"b"

    body = iter(TimedApp(lambda *_: parts(), deadlines)({"wsgi.input": io.BytesIO()}, None))
    assert next(body) == b"a"
    assert next(body) == b"b"
    assert connection.n_shut_down == 0
    assert is_limited(deadlines, connection, deadlines.timeouts.write_s)
    assert connection.was_sending is False


def test_the_end_of_a_response_is_limited_too(deadlines, connection):
    list(TimedApp(lambda *_: [], deadlines)({"wsgi.input": io.BytesIO()}, None))
    assert is_limited(deadlines, connection, deadlines.timeouts.write_s)


def test_close_reaches_the_response():
    class Body:
        is_closed = False

        def __iter__(self):
            return iter([b"x"])

        def close(self):
            self.is_closed = True

    body = Body()
    timed = TimedApp(lambda *_: body, Deadlines())({"wsgi.input": io.BytesIO()}, None)
    assert list(timed) == [b"x"]
    timed.close()
    assert body.is_closed


def test_input_can_be_read_in_all_the_ways_of_wsgi():
    def read(how):
        app = TimedApp(lambda environ, _: how(environ["wsgi.input"]), Deadlines())
        return list(app({"wsgi.input": io.BytesIO(b"a\nb\n")}, None))

    assert read(list) == read(lambda stream: stream.readlines()) == [b"a\n", b"b\n"]
    assert read(lambda stream: [stream.readline(), stream.read(1)]) == [b"a\n", b"b"]
