"""The file of models that a cluster is to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.cli.fleet_file import plan_fleet, read_fleet
from pyserve.errors import InvalidRequestError

FLEET = """
engine: fake
threads: 3
models:
- model: one
  replicas: 2
  per_node: 1
- model: two
  threads: 5
  replicas: 0
  max_replicas: 4
  idle_s: 30.5
  surge: false
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.yaml"


def test_models_have_what_the_file_says_of_all_and_of_them(path: Path) -> None:
    path.write_text(FLEET)
    one, two = plan_fleet(path, {}, None)
    assert (one.model_id, one.n_replicas, one.per_node, one.n_cpus) == ("one", 2, 1, 3)
    assert (two.n_replicas, two.n_most, two.idle_s, two.surge) == (0, 4, 30.5, False)
    assert two.n_cpus == 5
    assert two.settings["PYSERVE_THREADS"] == "5"
    (by_option, _) = plan_fleet(path, {"threads": 2}, None)
    assert by_option.n_cpus == 2


def test_replicas_of_the_same_version_are_alike(path: Path) -> None:
    path.write_text(FLEET)
    before = [wish.version for wish in plan_fleet(path, {}, None)]
    assert all(before)
    path.write_text(FLEET.replace("replicas: 2", "replicas: 7"))
    assert [wish.version for wish in plan_fleet(path, {}, None)] == before
    path.write_text(FLEET.replace("threads: 3", "threads: 4"))
    one, two = plan_fleet(path, {}, None)
    assert one.version != before[0]
    assert two.version == before[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"has 0 documents"),
        ("a", r":1: the file has no `models`"),
        ("models: []", r":1: `models` is a list of at least one model"),
        ("models:\n- replicas: 1", r":2: each of the models has a `model`"),
        ("models:\n- model: m\n  replica: 1", r":3: there is no setting 'replica'; did you mean"),
        ("models:\n- model: m\n  replicas: -1", r":3: replicas is a number from 0 to 4096, not -1"),
        ("models:\n- model: m\n  replicas: true", r":3: replicas is a number .*, not True"),
        ("models:\n- model: m\n  surge: 1", r":3: surge is true or false, not 1"),
        ("models:\n- model: m\n  port: 1", r":3: port is a setting of `pyserve serve`, not of its"),
        ("models:\n- model: m\n  model: n", r":3: 'model' is there twice"),
        ("models:\n- {model: m, replicas: 3, max_replicas: 2}", r":2: max_replicas is less than"),
        ("models: [", r":\d: "),
        ("models:\n- model: m\n  engine: fake\n  threads: x", r":2: .*threads: "),
        (
            "engine: fake\nmodels:\n- model: m\n- model: m",
            r":4: m is there twice",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=problem) as raised:
        plan_fleet(path, {}, None)
    assert str(path) in raised.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InvalidRequestError, match="cannot be read"):
            read_fleet(path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_fleet(binary)
