"""The vendored code for AMX: the configuration of tiles that it loads, as the compiler makes it."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.scripts import REPOSITORY

COMPILER = os.environ.get("CXX", "g++")
GGML = REPOSITORY / "vendor/llama.cpp/ggml"
HEADER = REPOSITORY / "cmake/whole_tile_config.h"
# AMX wherever the test runs, and nothing that is executed before the tiles needs AVX-512.
FLAGS = (
    *("-std=c++17", "-O3", "-march=x86-64-v3", "-mavx512f", "-mavx512bw", "-mavx512vl"),
    *("-mavx512dq", "-mavx512vnni", "-mamx-tile", "-mamx-int8", "-mprefer-vector-width=128"),
)

# What sets the tiles up, alone.
MAIN = """
#include "ggml-cpu/amx/mmq.cpp"
#ifndef __AMX_INT8__
#error "This compiler leaves the code out."
#endif
int main() { ggml_tile_config_init(); }
"""
# In place of the instruction that loads a configuration.
SHOW = """
#include <unistd.h>
extern "C" void show_config(const void* config) {
  _exit(write(1, config, 64) == 64 ? 0 : 1);
}
"""

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is of x86-64"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no compiler"),
    pytest.mark.skipif(not GGML.is_dir(), reason="another tree of llama.cpp is in use"),
]


def compiled(directory: Path, *options: str) -> Path:
    """MAIN as a program that writes the configuration instead of loading it."""
    directory.mkdir()
    main, show, assembly = (directory / name for name in ("main.cc", "show.cc", "main.s"))
    main.write_text(MAIN)
    show.write_text(SHOW)
    folders = [f"-I{GGML / part}" for part in ("include", "src", "src/ggml-cpu")]
    run(COMPILER, *FLAGS, *folders, "-w", *options, "-S", main, "-o", assembly)
    lines = assembly.read_text().splitlines()
    loads = [i for i, line in enumerate(lines) if line.strip().startswith("ldtilecfg")]
    assert loads
    for i in loads:
        config = lines[i].split(None, 1)[1]
        lines[i] = (
            f"\tleaq {config}, %rdi\n\tsubq $256, %rsp\n\tandq $-16, %rsp\n\tcall show_config"
        )
    assembly.write_text("\n".join(lines) + "\n")
    program = directory / "main"
    run(COMPILER, assembly, show, "-no-pie", "-Wl,--unresolved-symbols=ignore-all", "-o", program)
    return program


def run(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    if "This compiler leaves the code out." in done.stderr:
        pytest.skip("the compiler leaves the code out")
    assert done.returncode == 0, done.stderr


def loaded_config(program: Path) -> tuple[int, list[int], list[int]]:
    """Palette, bytes of a row and rows of the tiles. Source: Intel, LDTILECFG."""
    config = subprocess.run([str(program)], capture_output=True, timeout=60, check=True).stdout
    palette, *colsb = struct.unpack_from("<B15x16H", config)
    rows = struct.unpack_from("<16B", config, 48)
    return palette, colsb[:8], list(rows[:8])


def test_the_whole_configuration_of_tiles_is_loaded(tmp_path: Path) -> None:
    program = compiled(tmp_path / "whole", "-include", str(HEADER))
    palette, colsb, rows = loaded_config(program)
    assert palette == 1
    assert colsb == [64, 64, 32, 32, 64, 64, 64, 64]
    assert rows == [8, 8, 16, 16, 16, 16, 16, 16]


def test_the_build_forces_the_header_into_it() -> None:
    text = (REPOSITORY / "cmake/llama.cmake").read_text()
    assert "ggml-cpu/amx/mmq.cpp" in text
    assert f"cmake/{HEADER.name}" in text
