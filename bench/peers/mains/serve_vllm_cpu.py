"""Serves weights that vLLM makes up, of the geometry of a GGUF file; becomes vLLM's own server."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.gguf_head import Head, read_head
from bench.peers.hf_folder import write_folder

FOLDERS = Path("build/bench/hf")
BF16_BYTES = 2
BLOCK_TOKENS = 128  # of its KV cache; a request begins one
ENVIRON = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


def kv_bytes(head: Head, n_tokens: int) -> int:
    """What the KV cache of as many tokens takes, with keys and values in BF16."""
    of: Mapping[str, Any] = head.metadata
    name = of["general.architecture"]
    n_head = of[f"{name}.attention.head_count"]
    dims = of.get(f"{name}.attention.key_length", of[f"{name}.embedding_length"] // n_head)
    n_values = of[f"{name}.block_count"] * of[f"{name}.attention.head_count_kv"] * dims
    return int(2 * n_values * BF16_BYTES * n_tokens)


def server_argv(args: argparse.Namespace, folder: Path, n_kv_bytes: int) -> list[str]:
    """The command of the server."""
    argv = [args.python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    argv += ["--served-model-name", "any", "--host", "127.0.0.1", "--port", str(args.port)]
    argv += ["--load-format", "dummy", "--dtype", "bfloat16", "--max-model-len", str(args.ctx)]
    argv += ["--max-num-seqs", str(args.parallel), "--kv-cache-memory-bytes", str(n_kv_bytes)]
    return [*argv, "--enforce-eager"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--python", required=True, help="of the environment with vLLM")
    for name in ("--port", "--threads", "--parallel", "--ctx", "--kv"):
        parser.add_argument(name, type=int, required=True)
    args = parser.parse_args()
    folder = FOLDERS / args.model.stem
    write_folder(args.model, folder)
    n_kv = args.kv + args.parallel * BLOCK_TOKENS
    cores = sorted(os.sched_getaffinity(0))[: args.threads]
    binding = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))}
    argv = server_argv(args, folder, kv_bytes(read_head(args.model), n_kv))
    os.execve(argv[0], argv, os.environ | ENVIRON | binding)


if __name__ == "__main__":
    main()
