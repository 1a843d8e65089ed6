"""The number of replicas follows the work, from none on."""

from __future__ import annotations

import threading

import pytest

from tests.cluster.test_serving import chat, said
from tests.support.limits import SOON_S
from tests.support.server import wait_until

N_CLIENTS = 8
# Ray hears of work every ten seconds, and wants to hear it for ten.
SCALED_S = 3 * SOON_S
SLOW = "#slow=40 #words=100 a b c"  # some seconds


@pytest.mark.timeout(600)
def test_replicas_come_with_requests_and_go_without(nodes, front):
    few = ("--replicas", "0", "--max-replicas", "2", "--idle-s", "3", "--parallel", "1")
    (row,) = nodes.deploy("m", *few)
    assert row["replicas"] == {}
    front.wait_healthy()
    assert not nodes.engines()
    assert chat(front).status_code == 200
    assert len(nodes.engines()) == 1
    wait_until(lambda: not nodes.engines(), SCALED_S, "the model is unloaded")
    assert said(front, "a b c") == "a b c"

    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            said(front, SLOW)

    clients = [threading.Thread(target=ask) for _ in range(N_CLIENTS)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(nodes.engines()) == 2, SCALED_S, "another replica has come")
    finally:
        enough.set()
        for client in clients:
            client.join()
    with pytest.raises(RuntimeError, match="--max-replicas"):
        nodes.run("scale", "m", "1")
    nodes.clear()
