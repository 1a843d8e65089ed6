from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.cluster.backend import ClusterBackend
from pyserve.cluster.views import Directory, ModelView, News, Trouble
from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import (
    EngineRestartedError,
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    NotSupportedError,
    UnavailableError,
)
from pyserve.openai.server.metrics import replica_metrics, text
from tests.support.limits import SOON_S
from tests.support.replicas import MODEL, Replica
from tests.support.server import wait_until


class Teller:
    """A follower that tells what the test says."""

    def __init__(self, _address: str, on_news: Callable[[News], None]) -> None:
        self.on_news = on_news
        self.wanted: list[str] = []
        self.start = self.close = lambda: None

    def want(self, model_id: str) -> None:
        self.wanted.append(model_id)


class Cluster:
    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self._directory = directory
        self._replicas: list[Replica] = []
        self.backend = ClusterBackend("auto", successor_wait_s=0.2, follow=self._follow)

    def _follow(self, address: str, on_news: Callable[[News], None]) -> Teller:
        self.teller = Teller(address, on_news)
        return self.teller

    def add(self) -> Replica:
        name = f"r{len(self._replicas)}"
        self._replicas.append(Replica(self._directory / name, name))
        return self._replicas[-1]

    def tell(self, *replicas: Replica, state: str = "RUNNING", message: str = "") -> None:
        views = [replica.view for replica in replicas]
        model = ModelView(model_id=MODEL, state=state, message=message, replicas=views)
        self.teller.on_news(Directory(models=[model]))

    @property
    def state(self) -> str:
        (status,) = self.backend.models()
        return status.state

    def close(self) -> None:
        self.backend.close()
        for replica in self._replicas:
            replica.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def test_what_is_wrong_is_told_until_the_cluster_is_known(cluster):
    assert not cluster.backend.wait_known(0.0)
    with pytest.raises(UnavailableError, match="not known yet"):
        cluster.backend.models()
    cluster.teller.on_news(Trouble(message="no node runs here"))
    assert cluster.backend.wait_known(0.0)
    with pytest.raises(UnavailableError, match="no node runs here"):
        cluster.backend.models()
    cluster.tell()
    cluster.teller.on_news(Trouble(message="lost again"))
    assert [status.id for status in cluster.backend.models()] == [MODEL]


def test_a_model_has_the_state_of_its_replicas(cluster):
    cluster.tell(state="DEPLOYING")
    assert cluster.state == "loading"
    with pytest.raises(ModelLoadingError):
        cluster.backend.lease(MODEL)
    cluster.tell(state="DEPLOY_FAILED", message="no such file")
    assert cluster.state == "failed"
    with pytest.raises(ModelLoadError, match="no such file"):
        cluster.backend.lease(MODEL)
    cluster.tell(cluster.add(), state="DEPLOYING")
    with pytest.raises(ModelNotFoundError):
        cluster.backend.lease("other")
    engine = cluster.backend.lease(MODEL, wait_s=SOON_S).engine
    (status,) = cluster.backend.models()
    assert (status.state, status.info) == ("ready", engine.info())
    assert status.socket_path is None
    assert list(cluster.backend.engines()) == [MODEL]
    stream = engine.submit(GenerateRequest(prompt="a b"))
    assert "".join(delta.text for delta in stream) == "a b"


def test_replicas_are_told_from_each_other(cluster):
    one, two = cluster.add(), cluster.add()
    cluster.tell(one, two)
    wait_until(
        lambda: all(each.is_ready for each in cluster.backend.replicas()), SOON_S, "connected"
    )
    cluster.backend.lease(MODEL).engine.submit(GenerateRequest(prompt="#hold=1 a b"))
    wait_until(
        lambda: sum(each.stats.n_running for each in cluster.backend.replicas()) == 1,
        SOON_S,
        "it is counted",
    )
    two.crash()
    wait_until(
        lambda: [each.is_ready for each in cluster.backend.replicas()] == [True, False],
        SOON_S,
        "one has gone",
    )
    page = text(metric.family() for metric in replica_metrics(cluster.backend.replicas()))
    names = [
        f'host="127.0.0.1",model="{MODEL}",replica="{each.view.replica_id}"' for each in (one, two)
    ]
    assert f"pyserve_replica_ready{{{names[0]}}} 1.0" in page
    assert f"pyserve_replica_ready{{{names[1]}}} 0.0" in page
    assert page.count("pyserve_replica_requests_running{") == 2
    assert replica_metrics([]) == []


def test_a_model_without_replicas_is_wanted_by_who_waits_for_it(cluster):
    cluster.tell()
    assert cluster.state == "unloaded"
    with pytest.raises(ModelLoadingError):
        cluster.backend.lease(MODEL)
    cluster.backend.load(MODEL)
    assert cluster.teller.wanted == [MODEL, MODEL]


def test_models_are_changed_by_the_commands_of_the_cluster_alone(cluster):
    cluster.tell()
    for change in (cluster.backend.reload, lambda: cluster.backend.unload(MODEL)):
        with pytest.raises(NotSupportedError, match="pyserve cluster"):
            change()
    with pytest.raises(ModelNotFoundError):
        cluster.backend.unload("other")


def test_a_model_that_is_removed_ends_and_one_whose_replicas_die_waits_in_vain(cluster):
    replica = cluster.add()
    cluster.tell(replica)
    engine = cluster.backend.lease(MODEL, wait_s=SOON_S).engine
    stream = engine.submit(GenerateRequest(prompt="#hold=1 b"))
    stream.get(SOON_S)
    replica.crash()
    with pytest.raises(EngineRestartedError):
        stream.get(SOON_S)
    cluster.tell(other := cluster.add())
    engine = cluster.backend.lease(MODEL, wait_s=SOON_S).engine
    stream = engine.submit(GenerateRequest(prompt="#hold=1 b"))
    stream.get(SOON_S)
    cluster.teller.on_news(Directory(models=[]))
    with pytest.raises(UnavailableError, match="not served any more"):
        stream.get(SOON_S)
    assert other.core.wait_cancelled(1, SOON_S)
    wait_until(lambda: other.gate.n_fronts == 0, SOON_S, "the front has left")
    assert cluster.backend.models() == []
