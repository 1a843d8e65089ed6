"""The processes behind an `LLM`: a supervisor of its own, and the application over its engines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from pyserve.app import create_app
from pyserve.backend.protocol import Lease
from pyserve.cli.plan import plan_models
from pyserve.config import ServeConfig, read_config
from pyserve.errors import InvalidRequestError
from pyserve.spelling import did_you_mean
from pyserve.supervisor.private import PrivateSupervisor
from pyserve.web.request.services import services_of

# What makes no difference here, or would be another server's.
NO_KEYS: Mapping[str, Any] = {"api_key": [], "api_key_file": None, "otlp_endpoint": None}
# Options as llama-cpp-python and vLLM call them, and those that mean nothing here.
OTHER_NAMES: Mapping[str, str] = {
    "chat_format": "chat_template",
    "kv_cache_dtype": "cache_type_k",
    "lora_path": "lora",
    "max_model_len": "ctx_size",
    "max_num_batched_tokens": "batch_size",
    "max_num_seqs": "parallel",
    "n_batch": "batch_size",
    "n_ctx": "ctx_size",
    "n_threads": "threads",
    "n_threads_batch": "threads_batch",
    "verbose": "log_level",
}
OF_GPUS = {"gpu_memory_utilization", "main_gpu", "n_gpu_layers", "tensor_parallel_size"}
# A keyword that no field has is a mistake in a program.
DEFAULTS: Mapping[str, Any] = {"strict_fields": True}


class Engines:
    """The engine of one model in a process of its own. Any thread may call any method.

    Nothing is left behind: the processes end with `close`, and when this process does, however.
    """

    def __init__(self, config: ServeConfig) -> None:
        """Start them, and wait until the model is loaded; a model that is missing is pulled."""
        (spec,) = plan_models(config)
        self.model_id = spec.id
        with contextlib.ExitStack() as stack:
            supervisor = PrivateSupervisor(config, os.environ | config.to_environ())
            stack.callback(supervisor.close)
            self._backend = supervisor.backend
            self._load_timeout_s = config.load_timeout_s
            self.lease().release()
            self.app: Flask = create_app(config, self._backend)
            stack.callback(services_of(self.app).memory.close)
            self.close: Callable[[], None] = stack.pop_all().close

    def lease(self) -> Lease:
        """The engine, when it is loaded. Raises ModelLoadError and UnavailableError."""
        return self._backend.lease(self.model_id, wait_s=self._load_timeout_s)


def read_settings(
    model: str | Path, config_file: Path | None, given: dict[str, Any]
) -> ServeConfig:
    """The settings of a server of one model. Raises InvalidRequestError."""
    for name in given:
        if name not in ServeConfig.model_fields:
            other = OTHER_NAMES.get(name)
            hint = (
                f"did you mean {other}?" if other else did_you_mean(name, ServeConfig.model_fields)
            )
            hint = "leave it out: models run on the CPU alone" if name in OF_GPUS else hint
            text = f"there is no option {name!r}"
            raise InvalidRequestError(f"{text}; {hint}" if hint else text, param=name)
    return read_config({**DEFAULTS, **given, **NO_KEYS, "models": [str(model)]}, config_file)
