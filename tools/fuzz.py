#!/usr/bin/env python3
"""Runs the fuzz targets in C++ and Python one after another, for a while each: `make fuzz`.

C++ with libFuzzer and sanitizers where clang is installed, else with mutations of the corpus;
Python as tests/fuzz/run.py says. What is found, and the log, is in build/fuzz/findings; an input
that found something belongs into the corpus, with the repair. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "fuzz"
CORPORA = {"C++": ROOT / "native" / "fuzz" / "corpus", "Python": ROOT / "tests" / "fuzz" / "corpus"}
LANGUAGES = {path.name: kind for kind, folder in CORPORA.items() for path in folder.iterdir()}
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]


def main() -> int:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--llama", type=Path, default=ROOT / "vendor" / "llama.cpp")
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    args = parser.parse_args()
    targets = args.targets or sorted(LANGUAGES)
    if unknown := {*targets} - {*LANGUAGES}:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if native := [target for target in targets if LANGUAGES[target] == "C++"]:
        build(args.build.resolve(), args.llama.resolve(), native)
    failed = [target for target in targets if not fuzz(target, args.seconds)]
    print(f"{len(targets)} targets, found something: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def build(release: Path, llama: Path, targets: list[str]) -> None:
    """Compiles the C++ targets, with clang where there is one."""
    compilers = ("clang++", *(f"clang++-{version}" for version in range(21, 13, -1)))
    clang = next(filter(None, map(shutil.which, compilers)), None)
    configure = ["cmake", "-S", "native/fuzz", "-B", str(BUILD), "-G", "Ninja"]
    configure += [f"-DPYSERVE_BUILD_DIR={release}", f"-DLLAMA_CPP_DIR={llama}"]
    configure += [f"-DCMAKE_CXX_COMPILER={clang}"] if clang else []
    subprocess.run(configure, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    names = [f"fuzz_{target}" for target in targets]
    subprocess.run(["cmake", "--build", str(BUILD), "--target", *names], cwd=ROOT, check=True)


def fuzz(target: str, seconds: int) -> bool:
    """Runs one target; False: it found something."""
    findings, inputs = BUILD / "findings" / target, BUILD / "inputs" / target
    for folder in (findings, inputs):
        folder.mkdir(parents=True, exist_ok=True)
    program = BUILD / f"fuzz_{target}"
    if LANGUAGES[target] == "Python":
        command = [sys.executable, "-m", "tests.fuzz.run", target, str(seconds), str(inputs)]
    elif b"libFuzzer" in program.read_bytes():
        command = [str(program), *LIMITS, f"-max_total_time={seconds}", str(inputs)]
        command += [str(CORPORA["C++"] / target)]
    else:
        command = [str(program), str(seconds), str(CORPORA["C++"] / target)]
    log = findings / "log.txt"
    with log.open("w") as stream:
        done = subprocess.run(
            command,
            check=False,
            cwd=findings,
            stdout=stream,
            stderr=stream,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    said = "nothing found" if done.returncode == 0 else f"FOUND something, see {log}"
    print(f"{target}: {said}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
