"""Results on disk: one JSON object a line, only ever appended to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.peers import proc

Row = dict[str, Any]
RESULTS = Path("bench/results")


def results_file(model: Path) -> Path:
    """Where the results of a model go."""
    return RESULTS / f"{model.stem}.jsonl"


def append(path: Path, row: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def read(paths: Iterable[Path]) -> list[Row]:
    """All rows. Raises ValueError naming the file and line of one that is not JSON."""
    rows = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from error
    return rows


def latest_run(rows: Iterable[Row]) -> list[Row]:
    """The rows of the run that was written last."""
    rows = list(rows)
    return [row for row in rows if row["run"] == rows[-1]["run"]] if rows else []


def machine_facts() -> Row:
    """What the figures depend on besides the servers."""
    cpu = {"cpu": proc.cpu_model(), "cpu_features": proc.cpu_features()}
    return {**cpu, "cores": len(os.sched_getaffinity(0)), "commit": commit()}


def commit() -> str:
    """The commit of this tree, with "+" when files differ from it; "" outside a repository."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + ("+" if head and _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*args: str) -> str:
    result = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
