"""A minute of mixed traffic in which a node dies and is replaced."""

from __future__ import annotations

import pytest

from bench.cluster import mixed
from tests.cluster.test_faults import wait_both


@pytest.mark.timeout(600)
def test_mixed_traffic_loses_nothing_while_a_node_dies_and_is_replaced(nodes, front):
    nodes.deploy("m", "--replicas", "2", "--per-node", "1", "--parallel", "16")
    front.wait_healthy()
    wait_both(front, nodes)
    found = mixed.run(nodes, front.url, mixed.FakeMix(1), seconds=60.0, n_cpus=2)
    assert found["lost"] == []
    assert found["revived"] > 0
    kinds = {"chat", "completion", "deadline", "embeddings", "schema", "stream", "tools"}
    assert kinds <= found["answered"].keys()
    assert found["left"] > 0
    nodes.clear()
