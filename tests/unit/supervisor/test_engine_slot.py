from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyserve.config import ServeConfig
from pyserve.engine.config import Adapter, EngineConfig
from pyserve.engine.kernels import KernelFall
from pyserve.engine.protocol import GenerateRequest
from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.remote.wire import Heartbeat, encode, report_decoder
from pyserve.errors import EngineRestartedError
from pyserve.supervisor.engine_slot import FILE_CHECK_S, HEARTBEAT_TIMEOUT_S, UNLOAD_S, EngineSlot
from pyserve.supervisor.processes import describe_exit, engine_environ
from tests.support.limits import SOON_S


@pytest.fixture
def model(tmp_path) -> Path:
    tmp_path.chmod(0o700)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x")
    return path


@pytest.fixture
def make_slot(clock, model) -> Iterator[Callable[..., EngineSlot]]:
    slots: list[EngineSlot] = []

    def make(engine: str, **settings: Any) -> EngineSlot:
        config = EngineConfig(model_id="m", model_path=str(model), **settings)
        slot = EngineSlot(ServeConfig(engine=engine), config, model.parent / "e", clock)
        slots.append(slot)
        slot.start()
        return slot

    yield make
    for slot in slots:
        slot.kill()
        run_until(slot, slot.reap, check=False)


def run_until(slot: EngineSlot, is_true: Callable[[], bool], *, check: bool = True) -> None:
    """Do what the supervisor's loop does until `is_true`."""
    deadline = time.monotonic() + SOON_S
    while not is_true():
        assert time.monotonic() < deadline, slot.status
        if slot.report is not None:
            slot.on_report()
        if check:
            slot.check()
        time.sleep(0.005)


def run_until_state(slot: EngineSlot, state: str) -> None:
    run_until(slot, lambda: slot.status.state == state)


def test_loading_then_ready_with_a_socket(make_slot, model):
    slot = make_slot("fake")
    assert slot.status.state == "loading"
    assert slot.status.created == int(model.stat().st_mtime)
    run_until_state(slot, "ready")
    assert slot.status.info is not None
    engine = RemoteEngine(slot.status.socket_path)
    assert engine.info() == slot.status.info
    engine.close()


def test_a_killed_engine_is_started_again_under_a_new_path(make_slot):
    slot = make_slot("fake")
    run_until_state(slot, "ready")
    before = slot.status
    engine = RemoteEngine(before.socket_path)
    stream = engine.submit(GenerateRequest(prompt="#hold=0 x"))
    slot.kill()
    with pytest.raises(EngineRestartedError):
        list(stream)
    engine.close()
    run_until_state(slot, "loading")
    assert slot.status.socket_path is None
    run_until_state(slot, "ready")
    assert slot.status.n_restarts == 1
    assert slot.status.socket_path != before.socket_path


def crash(slot: EngineSlot, command: str) -> set[str]:
    """Have the ready engine end as a command of the fake engine says, and wait for the next one.

    The states of the model meanwhile.
    """
    states = set()

    def note() -> str:
        states.add(slot.status.state)
        return slot.status.state

    engine = RemoteEngine(slot.status.socket_path)
    with pytest.raises(EngineRestartedError):
        list(engine.submit(GenerateRequest(prompt=f"{command}=0 x")))
    engine.close()
    run_until(slot, lambda: note() != "ready")
    run_until(slot, lambda: note() == "ready")
    return states


def test_an_engine_that_ends_as_bad_kernels_do_is_started_again_with_lower_ones(make_slot, caplog):
    slot = make_slot("fake", kernels="auto")
    run_until_state(slot, "ready")
    assert slot.status.info.kernels == "avx512bw"
    crash(slot, "#bus")
    assert slot.status.info.kernels == "avx2"
    crash(slot, "#ill")
    assert slot.status.info.kernels == "stock"
    falls = (KernelFall("avx512bw", "SIGBUS"), KernelFall("avx2", "SIGILL"))
    assert slot.status.kernel_falls == falls
    assert [r.message.count("instead of") for r in caplog.records if "SIG" in r.message] == [1, 1]
    crash(slot, "#bus")
    assert slot.status.info.kernels == "stock"
    assert slot.status.kernel_falls == falls
    assert slot.status.n_restarts == 3


def test_only_the_end_of_the_ladder_counts_as_crashing_again_and_again(make_slot):
    slot = make_slot("fake", kernels="auto")
    run_until_state(slot, "ready")
    for n in range(7):  # two down the ladder, and four that are borne with
        states = crash(slot, "#bus")
        assert ("failed" in states) == (n == 6)


def test_other_ends_and_changed_files_leave_the_kernels_as_they_are(make_slot, model):
    slot = make_slot("fake", kernels="auto")
    run_until_state(slot, "ready")
    crash(slot, "#die")
    assert slot.status.info.kernels == "avx512bw"
    model.write_bytes(b"cut off")
    crash(slot, "#bus")
    assert slot.status.info.kernels == "avx512bw"
    assert slot.status.kernel_falls == ()


def test_a_model_that_was_unloaded_keeps_its_kernels(make_slot):
    slot = make_slot("fake", kernels="auto")
    run_until_state(slot, "ready")
    crash(slot, "#ill")
    slot.unload()
    run_until_state(slot, "unloaded")
    slot.start()
    run_until_state(slot, "ready")
    assert slot.status.info.kernels == "avx2"


def test_a_load_failure_stays_until_the_file_changes(make_slot, clock, model):
    slot = make_slot("no-such-engine")
    run_until_state(slot, "failed")
    assert slot.status.error.code == "model_load_failed"
    clock.ahead_s += FILE_CHECK_S + 1
    slot.check()
    assert slot.status.state == "failed"
    model.write_bytes(b"repaired")
    clock.ahead_s += FILE_CHECK_S + 1
    slot.check()
    assert slot.status.state == "unloaded"
    assert slot.status.error is None
    assert not slot.has_been_ready


def test_failed_loads_cool_down_longer_and_longer(make_slot, clock):
    slot = make_slot("no-such-engine")
    for cool_down_s in (1, 2, 4):
        run_until_state(slot, "failed")
        assert 0 < slot.cool_down_s <= cool_down_s
        clock.ahead_s += cool_down_s
        assert slot.cool_down_s == 0
        slot.start()


def test_an_unloaded_model_ends_its_process_and_can_be_started_again(make_slot):
    slot = make_slot("fake")
    run_until_state(slot, "ready")
    assert slot.is_resident
    slot.unload()
    assert slot.status.state == "unloading"
    run_until_state(slot, "unloaded")
    assert not slot.is_resident
    slot.check()
    assert not slot.is_running
    slot.start()
    run_until_state(slot, "ready")
    assert slot.status.n_restarts == 0, "nothing has crashed"


def test_an_engine_that_does_not_end_when_unloaded_is_killed(make_slot, clock):
    slot = make_slot("fake")
    run_until_state(slot, "ready")
    os.kill(slot.pid, signal.SIGSTOP)
    slot.unload()
    clock.ahead_s += UNLOAD_S + 1
    run_until_state(slot, "unloaded")


def report(slot: EngineSlot, message: Heartbeat) -> None:
    """Have the slot read `message` instead of what its engine says."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(encode(message))
        from_engine, slot.report = slot.report, ours
        slot.on_report()
        slot.report = from_engine


def test_an_engine_that_has_work_and_does_not_get_on_with_it_is_replaced(make_slot):
    slot = make_slot("fake")
    run_until(slot, lambda: slot.status.state == "ready")
    first = slot.pid
    limit_ms = 1000 * HEARTBEAT_TIMEOUT_S
    for stalled_ms in (limit_ms, limit_ms + 1, 5, limit_ms + 1):
        report(slot, Heartbeat(stalled_ms=stalled_ms))
        assert not slot.reap()
    report(slot, Heartbeat(stalled_ms=limit_ms + 1000))
    run_until(slot, lambda: slot.status.state == "ready" and slot.pid != first)
    assert slot.status.n_restarts == 1


def test_the_next_engine_has_the_scales_of_adapters_that_were_set(make_slot):
    slot = make_slot("fake", adapters=(Adapter("one", "1.gguf"), Adapter("two", "2.gguf")))
    run_until_state(slot, "ready")
    report(slot, Heartbeat(adapter_scales={"one": 0.25, "two": 1.0}))
    slot.unload()
    run_until_state(slot, "unloaded")
    slot.start()
    run_until_state(slot, "ready")
    engine = RemoteEngine(slot.status.socket_path)
    assert engine.adapter_scales({}) == {"one": 0.25, "two": 1.0}
    engine.close()


def test_an_engine_says_which_scales_of_adapters_were_set(make_slot):
    slot = make_slot("fake", adapters=(Adapter("one", "1.gguf"),))
    run_until_state(slot, "ready")
    engine = RemoteEngine(slot.status.socket_path)
    engine.adapter_scales({"one": 0.5})
    decoder, scales = report_decoder(), {}
    while scales != {"one": 0.5}:
        assert slot.report is not None
        select.select([slot.report], [], [], SOON_S)
        for message in decoder.feed(slot.report.recv(4096)):
            scales = message.adapter_scales
    engine.close()


def test_an_engine_without_heartbeat_is_replaced(make_slot, clock):
    slot = make_slot("fake")
    run_until_state(slot, "ready")
    clock.ahead_s += HEARTBEAT_TIMEOUT_S + 1
    slot.check()
    run_until_state(slot, "loading")
    run_until_state(slot, "ready")
    assert slot.status.n_restarts == 1


def test_a_load_that_takes_too_long_is_a_load_failure(make_slot, clock):
    slot = make_slot("fake")
    clock.ahead_s += 1000
    slot.check()
    run_until_state(slot, "failed")
    assert "more than 120 s" in slot.status.error.message


def test_crashes_before_the_first_load_are_given_up_soon(make_slot):
    slot = make_slot("fake")
    slot.kill()
    run_until(slot, lambda: slot.status.n_restarts == 1 and slot.is_running)
    slot.kill()
    run_until_state(slot, "failed")
    assert "SIGKILL" in slot.status.error.message
    assert "--ctx-size" in slot.status.error.message


def test_stop_ends_the_process_and_starts_no_other(make_slot):
    slot = make_slot("fake")
    run_until_state(slot, "ready")
    slot.stop()
    run_until(slot, slot.reap, check=False)
    slot.check()
    assert not slot.is_running


@pytest.mark.parametrize(
    ("returncode", "text"),
    [(3, "exit code 3"), (-signal.SIGSEGV, "SIGSEGV"), (-99, "signal 99")],
)
def test_how_a_process_ended(returncode, text):
    assert describe_exit(returncode) == text


def test_secrets_do_not_reach_an_engine():
    environ = {"PATH": "/bin", "PYSERVE_API_KEYS": "x", "hf_token": "x", "DB_PASSWORD": "x"}
    assert engine_environ(environ).keys() == {"PATH", "GLIBC_TUNABLES"}
