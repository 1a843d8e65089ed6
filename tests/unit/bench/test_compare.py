"""Which cells are measured in which order, and how peers are started."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.compare import cells_of, compare, describe, main, parse
from bench.measure import Subject
from bench.models import Model
from bench.peers import proc
from bench.peers.llama_server import LlamaServer
from bench.peers.peer import Command, PeerError, Settings
from bench.peers.pyserve import Pyserve, parse_variant
from bench.peers.registry import choose, install, known_peers
from bench.peers.server import free_port, running
from bench.plan import make_cell, make_cells, rounds, seed_of

SETTINGS = Settings(Path("/models/a.gguf"), 9000, 2, 4, 512, 2048)

FAKE_SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        for _ in range(body["max_tokens"]):
            self.wfile.write(b'data: {"choices": [{"delta": {"content": "word "}}]}\\n\\n')
        usage = {"prompt_tokens": len(str(body).split()), "completion_tokens": body["max_tokens"]}
        self.wfile.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class FakePeer:
    name: str
    program: str = FAKE_SERVER
    is_here: bool = True

    def is_available(self) -> bool:
        return self.is_here

    def install(self) -> None:
        raise PeerError("no such package")

    def version(self) -> str:
        return "1"

    def command(self, settings: Settings) -> Command:
        flags = ["--threads", str(settings.threads)]
        return Command([sys.executable, "-c", self.program, str(settings.port), *flags], flags)


def test_a_cell_has_room_for_its_requests() -> None:
    cell = make_cell("distinct", 8, 16, is_quick=False)
    assert (cell.n_parallel, cell.n_requests) == (8, 32)
    assert cell.ctx_tokens == 512
    assert cell.kv_tokens == 8 * 512


def test_slots_bound_what_runs_at_once() -> None:
    assert make_cell("distinct", 32, 16, is_quick=False).n_parallel == 16
    assert make_cell("open", 40, 16, is_quick=False).n_parallel == 16
    assert make_cell("arrival", 4, 16, is_quick=False).n_parallel == 5


def test_named_workloads_are_measured_at_their_loads_or_the_given_ones() -> None:
    cells = make_cells(["shared", "long1k"], [], 16, is_quick=False)
    assert [(cell.workload, cell.load) for cell in cells] == [
        ("shared", 4),
        ("shared", 16),
        ("long1k", 1),
        ("long1k", 4),
    ]
    assert [cell.load for cell in make_cells(["shared"], [3, 5], 16, is_quick=False)] == [3, 5]


def test_quick_leaves_workloads_out_unless_they_are_named() -> None:
    quick = {cell.workload for cell in make_cells([], [], 16, is_quick=True)}
    assert "long4k" not in quick
    assert {"decode", "distinct", "shared", "chat", "arrival"} <= quick
    assert [cell.load for cell in make_cells(["long4k"], [], 16, is_quick=True)] == [1]


def test_the_order_of_peers_alternates_over_cells_and_rounds() -> None:
    cells = make_cells(["distinct"], [1, 2], 16, is_quick=True)
    orders = [("".join(order), number) for number, _, order in rounds(cells, ["a", "b"], 2)]
    assert orders == [("ab", 0), ("ba", 0), ("ba", 1), ("ab", 1)]


def test_seeds_differ_between_rounds_and_loads() -> None:
    cells = make_cells(["distinct"], [1, 32], 16, is_quick=True)
    assert len({seed_of(number, cell) for number in range(3) for cell in cells}) == 6


def test_all_peers_get_the_same_threads_slots_and_context() -> None:
    ours = Pyserve().command(SETTINGS).flags
    assert ours == ["--threads", "2", "--parallel", "4", "--ctx-size", "512", "--kv-size", "2048"]
    theirs = LlamaServer("x", is_unified=True).command(SETTINGS).flags
    assert theirs == ["--threads", "2", "-np", "4", "-c", "2048", "-fa", "on", "--no-webui", "-kvu"]
    assert "-no-kvu" in LlamaServer().command(SETTINGS).flags


@pytest.mark.parametrize("peer", known_peers().values(), ids=known_peers())
def test_flags_hold_no_paths_and_end_the_command(peer: Pyserve) -> None:
    command = peer.command(SETTINGS)
    assert command.argv[-len(command.flags) :] == command.flags
    assert not any("/" in flag for flag in command.flags)
    assert "/models/a.gguf" in command.argv
    assert "9000" in command.argv


def test_a_variant_has_environment_and_flags() -> None:
    variant = parse_variant("stock=PYSERVE_KERNELS=stock --parallel 8")
    assert variant.name == "pyserve-stock"
    assert variant.environ == {"PYSERVE_KERNELS": "stock"}
    assert variant.command(SETTINGS).flags[-2:] == ["--parallel", "8"]
    assert parse_variant("wide=--batch-size 1024").environ == {}


def test_a_variant_needs_a_name() -> None:
    with pytest.raises(PeerError, match="a variant is NAME"):
        parse_variant("--parallel 8")


def test_peers_are_chosen_by_name() -> None:
    chosen = choose(["pyserve"], ["a=--parallel 2", "b="])
    assert [peer.name for peer in chosen] == ["pyserve", "pyserve-a", "pyserve-b"]
    with pytest.raises(PeerError, match="unknown peers: vllm"):
        choose(["vllm"], [])
    with pytest.raises(PeerError, match="twice"):
        choose(["pyserve", "pyserve"], [])


def test_a_peer_that_cannot_be_installed_is_left_out() -> None:
    here, missing = install([FakePeer("a"), FakePeer("b", is_here=False)])
    assert [peer.name for peer in here] == ["a"]
    assert missing == ["b is left out: no such package"]


def test_random_models_are_measured_with_one_and_many_clients() -> None:
    args = parse(["--model", "random"])
    cells = cells_of(Model(Path("a.gguf"), is_random=True), args)
    assert [(cell.workload, cell.load, cell.n_requests) for cell in cells] == [
        ("distinct", 1, 2),
        ("distinct", 8, 8),
        ("distinct", 16, 16),
    ]
    args = parse(["--model", "random", "--workloads", "decode", "--loads", "4"])
    [cell] = cells_of(Model(Path("a.gguf"), is_random=True), args)
    assert (cell.workload, cell.load) == ("decode", 4)


def test_a_model_that_does_not_exist_ends_the_comparison(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--model", "llama9:Q4_0", "--peers", "pyserve"]) == 1
    assert "no geometry 'llama9'" in capsys.readouterr().err


def test_a_server_is_gone_after_its_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(Path("a.gguf"), free_port(), 1, 1, 1, 1)
    before = set(proc.tree(os.getpid()))
    with running(FakePeer("fake"), settings) as server:
        assert server.peak_rss_mib() > 1
        assert server.cpu_s() > 0
        assert len(set(proc.tree(os.getpid())) - before) == 1
    assert set(proc.tree(os.getpid())) == before


def test_a_server_that_ends_at_once_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    peer = FakePeer("broken", "raise SystemExit('no such model')")
    with (
        pytest.raises(PeerError, match=r"(?s)code 1.*no such model"),
        running(peer, Settings(Path("a.gguf"), free_port(), 1, 1, 1, 1)),
    ):
        pytest.fail("it has no server")


def test_a_failing_peer_makes_a_row_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    peers = [FakePeer("broken", "raise SystemExit(1)"), FakePeer("good")]
    cells = make_cells(["distinct"], [2], 16, is_quick=True)
    broken, good = compare(peers, cells, Subject(Path("/x/a.gguf"), 2), 1, float("inf"))
    assert (broken["peer"], good["peer"]) == ("broken", "good")
    assert "code 1" in broken["failed"]
    assert "FAILED" in describe(broken)
    assert (good["n"], good["n_errors"], good["output_tokens"]) == (2, 0, 128)
    assert (good["model"], good["threads"], good["flags"]) == ("a.gguf", 2, ["--threads", "2"])
    assert {"cpu", "cpu_features", "commit", "server_cpu_s", "other_cores"} <= good.keys()
    assert good["peak_rss_mib"] > 0
    assert "tok/s" in describe(good)


def test_no_cell_begins_after_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    cells = make_cells(["distinct"], [1], 16, is_quick=True)
    peers = [FakePeer("never")]
    assert list(compare(peers, cells, Subject(Path("a.gguf"), 1), 1, -1.0)) == []
    assert "out of time" in capsys.readouterr().err


def test_quick_and_full_differ_in_rounds_not_in_peers() -> None:
    full, quick = parse(["--model", "a"]), parse(["--model", "a", "--quick"])
    assert full.peers == quick.peers == ["pyserve", "llama-server", "llama-server-kvu"]
    assert (full.quick, quick.quick) == (False, True)
