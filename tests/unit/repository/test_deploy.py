"""The files in `deploy/`: what their own programs say of them, and the names that they use."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.scripts import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
METRIC = re.compile(r"pyserve_[a-z_]+")
SUFFIX = re.compile(r"_(bucket|count|sum|total)$")


def known_metrics() -> set[str]:
    """The names that the server's code gives to metrics."""
    sources = (
        "api/metrics.py",
        "openai/server/metrics.py",
        "openai/server/balancers.py",
        "web/request/measures.py",
    )
    text = "\n".join((REPOSITORY / "pyserve" / name).read_text() for name in sources)
    found = set(METRIC.findall(text))
    found |= {f"pyserve_{name}" for name in re.findall(r'\(\s*"([a-z_]+)",\s*"(?:gauge|cou)', text)}
    found |= {f"pyserve_{name}" for name in re.findall(r'_(?:counter|histogram)\(\s*"(\w+)"', text)}
    return {SUFFIX.sub("", name) for name in found}


def used_metrics(text: str) -> set[str]:
    return {SUFFIX.sub("", name) for name in METRIC.findall(text)}


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    alerts = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    board = json.loads((DEPLOY / "grafana/pyserve.json").read_text())
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [each["query"] for each in board["templating"]["list"]]
    used = used_metrics("\n".join(asked))
    assert len(used) > 10
    assert used <= known_metrics()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")
def test_prometheus_takes_the_alerts() -> None:
    subprocess.run(["promtool", "check", "rules", DEPLOY / "prometheus/alerts.yml"], check=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("pyserve.service", "pyserve.socket"):
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/pyserve/bin/pyserve", sys.executable))
    units = [str(tmp_path / name) for name in ("pyserve.service", "pyserve.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not [line for line in done.stderr.splitlines() if "pyserve." in line]


def test_the_container_file_copies_what_it_made() -> None:
    text = (DEPLOY / "container/Containerfile").read_text()
    assert text.count("\nFROM ") + text.startswith("FROM ") == 2
    assert "USER 10001" in text.rpartition("\nFROM ")[2]
    assert "make wheel" in text
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert {".venv*", "build", "dist", "vendor/llama.cpp", "**/*.so"} <= set(ignored)
    made_of = {"pyserve", "native", "cmake", "tools", "vendor", "Makefile", "pyproject.toml"}
    assert not made_of & set(ignored)
