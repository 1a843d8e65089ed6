"""What we use of gunicorn beside its documentation: an upgrade that changes it fails here.

Used by `web/connection/worker.py`, `master.py` and `heartbeat.py`, `web/request/refusal.py` and
`disconnect.py`, `gunicorn_conf.py` and `supervisor/front_main.py`.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
from types import CodeType

import pytest
from gunicorn import arbiter, util
from gunicorn.app.wsgiapp import run
from gunicorn.config import Config
from gunicorn.http import errors, get_parser, parser
from gunicorn.http.wsgi import default_environ
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import TConn, ThreadWorker
from gunicorn.workers.workertmp import WorkerTmp

from pyserve.web.connection.expect import MAX_SKIPPED_BYTES
from pyserve.web.connection.heartbeat import Heartbeat
from pyserve.web.connection.master import Master
from pyserve.web.connection.worker import Worker
from pyserve.web.request.disconnect import SOCKET_KEY

# Each method that we override, with its parameters.
OVERRIDDEN = {
    "__init__": ["age", "ppid", "sockets", "app", "timeout", "cfg", "log"],
    "accept": ["listener"],
    "enqueue_req": ["conn"],
    "finish_request": ["conn", "fs"],
    "handle": ["conn"],
    "handle_error": ["req", "client", "addr", "exc"],
    "handle_exit": ["sig", "frame"],
    "handle_request": ["req", "conn"],
    "init_process": [],
    "load_wsgi": [],
    "murder_pending": [],
    "run": [],
    "set_accept_enabled": ["enabled"],
    "wait_for_and_dispatch_events": ["timeout"],
}
# Attributes of a worker that we read; `nr_conns` and `tmp` are also written.
READ = {"alive", "cfg", "log", "nr_conns", "poller", "ppid", "sockets", "tmp"}
# Set by gunicorn_conf.py; gunicorn ignores names that it does not know.
SETTINGS = {
    *("backlog", "bind", "certfile", "control_socket_disable", "errorlog", "forwarded_allow_ips"),
    *("forwarder_headers", "keyfile", "secure_scheme_headers", "ssl_context", "umask"),
    *("graceful_timeout", "keepalive", "limit_request_fields", "logconfig_dict", "loglevel"),
    *(
        "on_starting",
        "post_fork",
        "when_ready",
        "preload_app",
        "proc_name",
        "reuse_port",
        "threads",
        "timeout",
    ),
    *("worker_class", "worker_connections", "worker_tmp_dir", "workers"),
}
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


def parameters_of(method) -> list[str]:
    return [name for name in inspect.signature(method).parameters if name != "self"]


def names_used_by(*classes: type) -> set[str]:
    """The attributes and methods that the code of these classes mentions."""
    codes = [each.__code__ for cls in classes for each in vars(cls).values() if callable(each)]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return names


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def request_of_a_client(pair):
    """A parsed request, and the parser that has read it."""
    ours, theirs = pair
    theirs.sendall(REQUEST)
    parser = get_parser(Config(), ours, ("127.0.0.1", 1))
    return next(parser), parser


def test_each_method_that_we_override_is_named_here():
    assert {name for name in vars(Worker) if hasattr(ThreadWorker, name)} - {
        *("__annotations__", "__doc__", "__module__"),
    } == OVERRIDDEN.keys()


@pytest.mark.parametrize(("name", "parameters"), OVERRIDDEN.items())
def test_the_methods_that_we_override_take_the_same(name, parameters):
    method = BaseWorker.__init__ if name == "__init__" else getattr(ThreadWorker, name)
    assert parameters_of(method) == parameters


def test_the_methods_that_we_override_are_still_called():
    called = names_used_by(ThreadWorker, BaseWorker, arbiter.Arbiter)
    assert OVERRIDDEN.keys() - called == set()


def test_a_worker_has_the_attributes_that_we_read():
    worker = ThreadWorker(1, os.getpid(), [], None, 30, Config(), logging.getLogger())
    worker.tmp.close()
    assert {name for name in READ if not hasattr(worker, name)} == set()
    assert worker.nr_conns == 0


def test_a_connection_has_its_socket_and_no_parser_at_first(pair):
    connection = TConn(Config(), pair[0], ("127.0.0.1", 1), ("127.0.0.1", 2))
    assert connection.sock is pair[0]
    assert connection.parser is None
    assert connection.sock.getblocking() is False
    assert inspect.signature(connection.close).parameters["graceful"].default is False


def test_what_a_parser_has_read_ahead_can_be_seen(request_of_a_client):
    request, parser = request_of_a_client
    assert parser.unreader.buf.getvalue() == b""
    assert request._expected_100_continue is True


def test_bodies_say_whether_reading_them_failed(pair):
    pair[1].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    body = next(get_parser(Config(), pair[0], ("127.0.0.1", 1))).body
    assert body.failed is False
    with pytest.raises(errors.InvalidChunkSize):
        body.read()
    assert body.failed is True


def test_bodies_know_what_is_unread_of_them_and_little_of_it_is_skipped(request_of_a_client):
    request, _ = request_of_a_client
    assert request.body.reader.length == len("12345")
    assert request.should_close() is False
    assert parser._DRAIN_MAX_BYTES == MAX_SKIPPED_BYTES


def test_the_application_is_given_the_socket(pair, request_of_a_client):
    environ = default_environ(request_of_a_client[0], pair[0], Config())
    assert environ[SOCKET_KEY] is pair[0]


def test_the_master_asks_our_heartbeat():
    assert {name for name in vars(Heartbeat) if hasattr(WorkerTmp, name)} - {
        *("__doc__", "__module__"),
    } == {"__init__", "last_update"}
    assert parameters_of(WorkerTmp) == ["cfg"]
    assert {"tmp", "last_update"} <= names_used_by(arbiter.Arbiter)


def test_a_master_does_what_ours_counts_on():
    assert {name for name in vars(Master) if hasattr(arbiter.Arbiter, name)} - {
        *("__doc__", "__module__"),
    } == {"manage_workers", "reload", "setup", "stop"}
    methods = {name: getattr(arbiter.Arbiter, name) for name in ("reload", "setup", "stop")}
    assert [parameters_of(each) for each in methods.values()] == [[], ["app"], ["graceful"]]
    called = set(methods["reload"].__code__.co_names)
    assert {"setup", "spawn_worker", "manage_workers", "graceful_timeout", "worker_age"} <= called
    master = arbiter.Arbiter.__new__(Master)
    assert {"num_workers", "WORKERS", "kill_worker", "spawn_worker"} <= {
        *dir(master),
        *arbiter.Arbiter.__init__.__code__.co_names,
    }


def test_each_setting_is_known():
    assert SETTINGS - Config().settings.keys() == set()


def test_a_master_can_be_told_to_leave_a_socket_file():
    assert "systemd" in names_used_by(arbiter.Arbiter)
    assert "systemd" in arbiter.Arbiter.stop.__code__.co_names


def test_a_connection_is_wrapped_before_its_handshake(pair):
    assert Config().do_handshake_on_connect is False
    assert Config().is_ssl is None
    assert TConn(Config(), pair[0], "", "").initialized is False


def test_an_inherited_listener_is_a_descriptor():
    assert util.parse_address("fd://5") == 5


def test_the_parsers_errors_are_told_from_those_of_the_application():
    clients = (
        *(errors.ExpectationFailed, errors.InvalidHTTPVersion, errors.LimitRequestHeaders),
        *(errors.LimitRequestLine, errors.UnsupportedTransferCoding),
    )
    ours = (
        *(errors.ConfigurationProblem, errors.InvalidResponseHeader),
        errors.InvalidResponseHeaderName,
    )
    assert all(issubclass(each, errors.ParseException) for each in clients + ours)
    assert issubclass(errors.NoMoreData, OSError)


def test_the_front_is_started_without_arguments():
    parameters = inspect.signature(run).parameters.values()
    assert all(each.default is not each.empty for each in parameters)
