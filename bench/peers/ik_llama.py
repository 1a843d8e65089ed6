"""llama-server of ik_llama.cpp, whose kernels of quantized types are its own.

Its Python package's source archive carries the whole tree; the server is built from it for this
machine. It computes from the file's layout, or from weights that it lays out anew while loading
("-rtr"); which is faster depends on type and load, so both are measured and the better one counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.peers.peer import Command, PeerError, Settings

PACKAGE = "ik-llama-cpp-python"
VERSION = "0.1.5"
FOLDER = Path("build/bench/ik-llama")
BINARY = FOLDER / "bin" / "llama-server"
_STAMP = FOLDER / ".installed"
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_BUILD_EXAMPLES=ON",
    "-DLLAMA_CURL=OFF",
    "-DCMAKE_C_FLAGS=-w",
    "-DCMAKE_CXX_FLAGS=-w",
)

# The archive has no script for the text of `--version`, which the build runs.
_NO_VERSION = """\
set(BUILD_NUMBER 0)
set(common ${CMAKE_CURRENT_LIST_DIR}/..)
configure_file(${common}/build-info.cpp.in ${common}/build-info.cpp)
"""


@dataclass(frozen=True)
class IkLlamaServer:
    """is_repacked: weights are laid out anew while loading."""

    name: str = "ik-llama-server"
    is_repacked: bool = False

    def is_available(self) -> bool:
        return os.access(BINARY, os.X_OK) and _STAMP.is_file() and _STAMP.read_text() == VERSION

    def install(self) -> None:
        """Compile it, which takes half an hour of two cores. Raises PeerError."""
        if self.is_available():
            return
        print(f"building {self.name} {VERSION} into {FOLDER}", file=sys.stderr, flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                _build(_source_in(Path(folder)))
        except (subprocess.CalledProcessError, OSError) as error:
            raise PeerError(f"cannot build {PACKAGE}=={VERSION}, see above: {error}") from error
        _STAMP.write_text(VERSION)

    def version(self) -> str:
        return VERSION

    def command(self, settings: Settings) -> Command:
        flags = ["--threads", str(settings.threads), "-np", str(settings.n_parallel)]
        # Its flash attention aborts (iqk_fa_templates.h, S > 0) when a step has several sequences.
        attention = "on" if settings.n_parallel == 1 else "off"
        flags += ["-c", str(settings.kv_tokens), "-fa", attention, "--webui", "none"]
        flags += ["-rtr"] if self.is_repacked else []
        argv = [str(BINARY), "-m", str(settings.model), "--host", "127.0.0.1"]
        return Command([*argv, "--port", str(settings.port), *flags], flags)


def _source_in(folder: Path) -> Path:
    """The source tree, downloaded and unpacked there. Its metadata need scikit-build-core."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    what = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", f"{PACKAGE}=={VERSION}"]
    subprocess.run([*pip, *what, "-d", str(folder)], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    [server] = folder.glob("*/vendor/ik_llama.cpp")
    return server


def _build(source: Path) -> None:
    script = source / "common" / "cmake" / "build-info-gen-cpp.cmake"
    if not script.exists():
        script.parent.mkdir(exist_ok=True)
        script.write_text(_NO_VERSION)
    cmake = [sys.executable, "-m", "cmake"]
    ninja = f"-DCMAKE_MAKE_PROGRAM={Path(sys.executable).with_name('ninja')}"
    options = ["-G", "Ninja", ninja, *_OPTIONS]
    subprocess.run([*cmake, "-S", str(source), "-B", str(FOLDER), *options], check=True)
    subprocess.run([*cmake, "--build", str(FOLDER), "--target", "llama-server"], check=True)
