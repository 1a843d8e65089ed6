from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.backend.client import SupervisorBackend
from pyserve.backend.messages import (
    Acquire,
    FrontMessage,
    Models,
    Release,
    Reply,
    Unload,
    front_decoder,
)
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.protocol import GenerateRequest
from pyserve.engine.remote.frame_server import FrameServer, Front
from pyserve.engine.remote.server import EngineServer
from pyserve.errors import (
    ErrorInfo,
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    UnavailableError,
)
from pyserve.process.sockets import connect, listen
from tests.support.limits import SOON_S
from tests.support.scripted_core import MODEL, ScriptedCore, finished
from tests.support.server import wait_until


class Control:
    """A control socket in a thread, which publishes what the test says, and answers by that."""

    def __init__(self, path: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self.path = path
        self.server = FrameServer(listen(path), self._selector, self, front_decoder)
        self._models: dict[str, ModelStatus] = {}
        self._waiting: list[tuple[Front, Acquire]] = []
        self.requests: list[FrontMessage] = []
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        self._news: list[list[ModelStatus] | None] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def publish(self, *models: ModelStatus) -> None:
        self._tell(list(models))

    def stop(self) -> None:
        self._tell(None)
        self._thread.join(SOON_S)
        self._wake_sender.close()
        self._wake_receiver.close()

    def on_front(self, front: Front) -> None:
        front.send(Models(models=list(self._models.values())))

    def on_message(self, front: Front, request: FrontMessage) -> None:
        self.requests.append(request)
        if isinstance(request, Acquire):
            self._waiting.append((front, request))
            self._answer()
        elif isinstance(request, Unload) and request.is_forced:
            front.send(Reply(call_id=request.call_id))

    def on_gone(self, front: Front) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting[0] is not front]

    def _answer(self) -> None:
        for front, request in list(self._waiting):
            status = self._models[request.model_id]
            if status.state in ("ready", "failed"):
                self._waiting.remove((front, request))
                reply = Reply(
                    call_id=request.call_id, error=status.error, socket_path=status.socket_path
                )
                front.send(reply)

    def _tell(self, news: list[ModelStatus] | None) -> None:
        self._news.append(news)
        self._wake_sender.send(b"\0")

    def _run(self) -> None:
        while True:
            for key, mask in self._selector.select():
                if key.data is not None:
                    key.data(mask)
                    continue
                self._wake_receiver.recv(1)
                news = self._news.pop(0)
                if news is None:
                    self.server.close()
                    self._selector.close()
                    return
                self._models = {status.id: status for status in news}
                for front in self.server.fronts:
                    front.send(Models(models=news))
                self._answer()
                self.server.tend()


class EngineThread:
    """An engine socket over a ScriptedCore."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.core = ScriptedCore()
        self._server = EngineServer(self.core, listen(path))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(SOON_S)

    def status(self) -> ModelStatus:
        return ModelStatus(id="m", created=1, state="ready", info=MODEL, socket_path=str(self.path))


LOADING = ModelStatus(id="m", created=1, state="loading")


@pytest.fixture
def private_dir(tmp_path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def control(private_dir) -> Iterator[Control]:
    control = Control(private_dir / "s.sock")
    yield control
    control.stop()


@pytest.fixture
def engine(private_dir) -> Iterator[EngineThread]:
    engine = EngineThread(private_dir / "e.sock")
    yield engine
    engine.stop()


@pytest.fixture
def backend(control) -> Iterator[SupervisorBackend]:
    control.publish(LOADING)
    backend = SupervisorBackend(control.path)
    wait_for(backend, LOADING)
    yield backend
    backend.close()


def wait_for(backend: SupervisorBackend, *models: ModelStatus) -> None:
    """Until the backend knows exactly these."""
    deadline = threading.Event()
    for _ in range(1000):
        if backend.wait_known(SOON_S) and backend.models() == list(models):
            return
        deadline.wait(0.01)
    raise AssertionError(f"{backend.models()} instead of {models}")


def test_a_loading_model_is_told(backend):
    with pytest.raises(ModelLoadingError) as caught:
        backend.lease("m")
    assert caught.value.details["retry_after_s"] >= 1


def test_unknown_ids_are_told(backend):
    with pytest.raises(ModelNotFoundError):
        backend.lease("other", wait_s=SOON_S)


def test_engine_waits_while_the_model_is_loading(control, backend, engine):
    publisher = threading.Timer(0.05, control.publish, [engine.status()])
    publisher.start()
    assert backend.lease("m", wait_s=SOON_S).engine.info() == MODEL
    publisher.join()


def test_one_connection_per_engine_process(control, backend, engine):
    control.publish(engine.status())
    first = backend.lease("m", wait_s=SOON_S).engine
    assert backend.lease("m").engine is first


def test_a_failed_model_raises_its_own_error_even_while_waited_for(control, backend):
    error = ErrorInfo(code="model_load_failed", message="no magic")
    failed = ModelStatus(id="m", created=1, state="failed", error=error)
    publisher = threading.Timer(0.05, control.publish, [failed])
    publisher.start()
    with pytest.raises(ModelLoadError, match="no magic"):
        backend.lease("m", wait_s=SOON_S)
    publisher.join()


def test_a_dead_engine_counts_as_loading_until_there_is_news(control, backend, engine, private_dir):
    control.publish(engine.status())
    connected = backend.lease("m", wait_s=SOON_S).engine
    engine.stop()
    wait_until(lambda: not connected.is_alive, SOON_S, "the connection is seen to be closed")
    with pytest.raises(ModelLoadingError):
        backend.lease("m")
    restarted = EngineThread(private_dir / "e2.sock")
    control.publish(restarted.status())
    assert backend.lease("m", wait_s=SOON_S).engine.info() == MODEL
    restarted.stop()


def test_an_engine_restarted_under_the_same_path_is_reached(control, backend, engine, private_dir):
    control.publish(engine.status())
    connected = backend.lease("m", wait_s=SOON_S).engine
    engine.stop()
    wait_until(lambda: not connected.is_alive, SOON_S, "the connection is seen to be closed")
    restarted = EngineThread(engine.path)
    assert backend.lease("m", wait_s=SOON_S).engine.info() == MODEL
    restarted.stop()


def test_without_a_supervisor_models_are_stopped_and_come_back(private_dir):
    path = private_dir / "s.sock"
    control = Control(path)
    control.publish(LOADING)
    backend = SupervisorBackend(path)
    wait_for(backend, LOADING)
    control.stop()
    wait_for(backend, ModelStatus(id="m", created=1, state="stopped"))
    with pytest.raises(UnavailableError, match="supervisor"):
        backend.lease("m", wait_s=SOON_S)
    again = Control(path)
    again.publish(LOADING)
    wait_for(backend, LOADING)
    backend.close()
    again.stop()


def test_before_the_first_word_of_the_supervisor_everything_is_unavailable(private_dir):
    attempts = threading.Event()
    backend = SupervisorBackend(private_dir / "none.sock", before_connect=attempts.set)
    assert attempts.wait(SOON_S)
    assert not backend.wait_known(0)
    with pytest.raises(UnavailableError):
        backend.models()
    with pytest.raises(UnavailableError):
        backend.lease("m")
    backend.close()


def test_abort_ends_running_streams_with_its_error(control, backend, engine):
    control.publish(engine.status())
    stream = backend.lease("m", wait_s=SOON_S).engine.submit(GenerateRequest(prompt="x"))
    backend.abort(UnavailableError("shutting down"))
    with pytest.raises(UnavailableError, match="shutting down"):
        stream.get(SOON_S)


def test_after_abort_a_new_request_still_works(control, backend, engine):
    control.publish(engine.status())
    backend.lease("m", wait_s=SOON_S)
    backend.abort(UnavailableError("shutting down"))
    stream = backend.lease("m").engine.submit(GenerateRequest(prompt="x"))
    engine.core.push(*(finished(request_id, "ok") for request_id in engine.core.requests))
    assert stream.get(SOON_S).text == "ok"


def test_garbage_on_the_control_socket_only_ends_that_connection(control, backend):
    with connect(control.path) as peer:
        peer.settimeout(SOON_S)
        peer.sendall(b"\xff" * 64)
        while peer.recv(4096):
            pass
    control.publish()
    wait_for(backend)


def test_a_release_reaches_the_supervisor_once(control, backend, engine):
    control.publish(engine.status())
    lease = backend.lease("m", wait_s=SOON_S, keep_alive_s=7.0)
    lease.release()
    lease.release()
    wait_until(lambda: len(control.requests) == 2, SOON_S, "the release arrives")
    acquire, release = control.requests
    assert acquire == Acquire(call_id=acquire.call_id, model_id="m", keep_alive_s=7.0)
    assert release == Release(call_id=acquire.call_id)


def test_a_wait_that_is_given_up_is_told_to_the_supervisor(control, backend):
    class Gone(Exception):
        pass

    def go() -> None:
        raise Gone

    with pytest.raises(Gone):
        backend.lease("m", wait_s=SOON_S, on_wait=go)
    with pytest.raises(ModelLoadingError):
        backend.lease("m", wait_s=0.01)
    wait_until(lambda: len(control.requests) == 4, SOON_S, "the releases arrive")
    assert [type(request) for request in control.requests] == [Acquire, Release] * 2


def test_a_model_that_waits_for_room_says_so(control, backend):
    unloaded = ModelStatus(id="m", created=1, state="unloaded")
    control.publish(unloaded)
    wait_for(backend, unloaded)
    with pytest.raises(ModelLoadingError, match="waits for room"):
        backend.lease("m", wait_s=0.01)


def test_unloading_waits_for_the_supervisors_word(control, backend):
    backend.unload("m", wait_s=SOON_S, is_forced=True)
    with pytest.raises(UnavailableError, match="when its running requests have ended"):
        backend.unload("m", wait_s=0.01)
    with pytest.raises(ModelNotFoundError):
        backend.unload("other")


def test_who_waits_when_the_supervisor_goes_is_told(private_dir):
    control = Control(private_dir / "s.sock")
    control.publish(LOADING)
    backend = SupervisorBackend(private_dir / "s.sock")
    wait_for(backend, LOADING)
    stopper = threading.Timer(0.1, control.stop)
    stopper.start()
    with pytest.raises(UnavailableError, match="supervisor"):
        backend.lease("m", wait_s=SOON_S)
    stopper.join()
    backend.close()
