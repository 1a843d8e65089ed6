"""What the source distribution holds."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.scripts import REPOSITORY

BUILD = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
SUFFIXES = frozenset(
    (".py", ".toml", ".cc", ".h", ".cmake", ".cpp", ".txt", ".pyx", ".html", ".js", ".css")
)
LEFT_OUT = (
    "tests/",
    "bench/",
    "native/tests/",
    "docs/",
    ".ci/",
    "build/",
    "dist/",
    ".venv/",
    ".git/",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths in it, without the directory that holds them all."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-c", BUILD, str(directory)], cwd=REPOSITORY, check=True, timeout=100
    )
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        return {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}


def files_under(*folders: str) -> set[str]:
    paths = [path for folder in folders for path in (REPOSITORY / folder).rglob("*")]
    return {
        path.relative_to(REPOSITORY).as_posix()
        for path in paths
        if path.is_file() and path.suffix in SUFFIXES
    }


def test_all_that_is_built_and_run_is_in_it(names: set[str]) -> None:
    wanted = files_under(
        "pyserve", "native/src", "native/include", "native/bindings", "native/fast", "cmake"
    )
    assert wanted
    assert wanted - names == set()
    for path in ("CMakeLists.txt", "vendor/fetch.py", "vendor/llama.cpp.toml", "LICENSE"):
        assert path in names


def test_the_vendored_source_is_in_it(names: set[str]) -> None:
    tree = "vendor/llama.cpp"
    if not (REPOSITORY / tree).is_dir():
        pytest.skip("the build used another tree")
    assert files_under(tree) - names == set()
    assert f"{tree}/.pyserve-stamp.json" in names


def test_nothing_else_is(names: set[str]) -> None:
    assert [name for name in names if name.startswith(LEFT_OUT)] == []
    assert [name for name in names if Path(name).suffix in (".gguf", ".so", ".a", ".pyc")] == []
