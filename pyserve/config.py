"""Server settings: command line over environment (`PYSERVE_*`) over defaults.

Every process of one server reads the same settings: the command line sets the environment of the
processes it starts (`ServeConfig.to_environ`), so gunicorn on its own works with the same names.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pyserve.errors import InvalidRequestError

ENV_PREFIX = "PYSERVE_"

PositiveInt = Annotated[int, Field(ge=1)]
Timeout = Annotated[float, Field(gt=0, le=1e6)]
MAX_CTX = 2**24
NTokens = Annotated[int, Field(ge=1, le=MAX_CTX)]


ENDPOINTS = ("chat", "completion", "edit", "embeddings")

FLASH_ATTN_WORDS = {
    "on": "on", "enabled": "on", "true": "on", "1": "on",
    "off": "off", "disabled": "off", "false": "off", "0": "off",
    "auto": "auto", "-1": "auto",
}  # fmt: skip


def _flash_attn(value: object) -> object:
    """llama.cpp's words for it; YAML makes True of on."""
    return FLASH_ATTN_WORDS.get(str(value).strip().lower(), value)


FlashAttn = Annotated[Literal["on", "off", "auto"], BeforeValidator(_flash_attn)]
Numa = Literal["distribute", "isolate", "numactl"]
Kernels = Literal["auto", "amx", "avx512vnni", "avx512bw", "avx2", "stock"]
CacheType = Literal["f16", "q8_0", "q4_0", "f32", "bf16", "q4_1", "q5_0", "q5_1", "iq4_nl"]


def default_models_dir() -> Path:
    """`$XDG_DATA_HOME/pyserve/models`, or `~/.local/share/pyserve/models`; /tmp without a home."""
    data = os.environ.get("XDG_DATA_HOME")
    if data:
        return Path(data) / "pyserve" / "models"
    home = os.environ.get("HOME")
    return Path(home or "/tmp") / ".local" / "share" / "pyserve" / "models"


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ServeConfig(BaseSettings):
    """Settings of `pyserve serve`; field `x_y` is `--x-y` and `PYSERVE_X_Y`.

    models: what to serve, each a gallery name, a name in models_dir, or a path to a GGUF file.
      Empty: every GGUF in models_dir, or the default gallery model when there is none.
    models_config_file: a YAML file of models in LocalAI's format, beside those in models_dir.
    ctx_size: context of one request in tokens; None takes the model's, at most 8192.
    kv_size: KV cells shared by all requests; None takes ctx_size.
    parallel: requests that decode at once; more wait. threads: None counts usable cores.
    threads_batch: for steps with prompts; None takes threads.
    kernels: the best ones to use; lower ones take their place where they cannot be used. auto: the
      best that the CPU has, but not llama.cpp's for AMX.
    max_token_gap_ms: running streams wait at most about this long for a piece of another's prompt.
    deterministic: compute every request alone, so that equal seeds give equal bits; slower.
    cache_type_k, cache_type_v: element types of the KV cache; q8_0 halves it, q4_0 quarters it.
    flash_attn: whether attention is one operation; off needs more memory, and an unquantized cache
      of values; auto is on where the model can.
    numa: how threads and memory are spread over the nodes of the machine; None leaves it to it.
    override_kv: KEY=TYPE:VALUE, what counts instead of the metadata of model files.
    prefix_cache_mib: memory per model for copies of computed prefixes that the KV cache has no room
      for; 0 keeps none.
    draft_max: tokens of an answer that one step checks ahead where a known text says what comes,
      for requests with `speculative.n_max` also their prompt and answer; 0 = none.
    model_draft: a GGUF file of a smaller model with the same vocabulary that guesses these tokens;
      draft_min: shorter guesses are not checked; draft_p_min: it guesses on while a token has at
      least this probability. A model's own file names its own with draft_model.
    model_alias: PATTERN=MODEL, further names of models; * and ? stand for any characters.
    lora: [NAME=]PATH[:SCALE], LoRA adapters of the only model; NAME is that of the model with it.
    default_model: [ENDPOINT=]MODEL, for requests that name none while several are served;
      endpoints are chat, completion, edit and embeddings.
    api_key: keys that clients must send; none: everybody may. api_key_file: one per line, or TOML
      (*.toml) with names, models and limits. insecure: no key is needed on other addresses either.
    cors_origin: origins of web pages that may use the server; * is any. allowed_host: names by
      which it may be called; with none, those of loopback while it listens there, else any.
    preload: models loaded at the start, or "all" or "none". Empty: those that `models` names, or
      the only one; others are loaded when a request asks for them.
    pin: models loaded at the start and never unloaded to make room or for being idle.
    max_loaded_models: loaded at once; 0 = as many as memory has room for.
    model_ttl: seconds after which an idle model is unloaded; 0 = never.
    memory_limit_mib: for all models together; 0 = what the system and its cgroups have.
    resume_streams: answers whose engine died go on where they were when it has been started again.
    header_timeout_s, body_timeout_s, write_timeout_s: how long a client may take to send the
      headers of a request, then its body, and to take each part of a response.
    log_file: where all processes log, instead of stderr; opened again when it was moved.
    graceful_timeout_s: how long requests may go on when the server is told to stop.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    models: Annotated[list[str], NoDecode] = []
    models_dir: Path = Field(default_factory=default_models_dir)
    models_config_file: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    ctx_size: NTokens | None = None
    kv_size: NTokens | None = None
    parallel: Annotated[int, Field(ge=1, le=128)] = 16
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    threads_batch: Annotated[int, Field(ge=1, le=512)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 512
    kernels: Kernels = "auto"
    queue_size: Annotated[int, Field(ge=0, le=2**20)] = 64
    prefix_cache_mib: Annotated[int, Field(ge=0, le=2**20)] = 512
    draft_max: Annotated[int, Field(ge=0, le=2**20)] = 15
    model_draft: Path | None = None
    draft_min: Annotated[int, Field(ge=0, le=2**20)] = 0
    draft_p_min: Annotated[float, Field(ge=0, le=1)] = 0.0
    deterministic: bool = False
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    flash_attn: FlashAttn = "auto"
    numa: Numa | None = None
    override_kv: Annotated[list[str], NoDecode] = []
    max_token_gap_ms: Annotated[float, Field(ge=1, le=600_000)] = 100.0
    api_key: Annotated[list[str], NoDecode] = []
    api_key_file: Path | None = None
    insecure: bool = False
    cors_origin: Annotated[list[str], NoDecode] = []
    allowed_host: Annotated[list[str], NoDecode] = []
    resume_streams: bool = True
    max_streams: PositiveInt = 64
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    load_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    preload: Annotated[list[str], NoDecode] = []
    pin: Annotated[list[str], NoDecode] = []
    max_loaded_models: Annotated[int, Field(ge=0, le=4096)] = 0
    model_ttl: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    memory_limit_mib: Annotated[int, Field(ge=0, le=2**30)] = 0
    graceful_timeout_s: PositiveInt = 25
    header_timeout_s: Timeout = 10.0
    body_timeout_s: Timeout = 30.0
    write_timeout_s: Timeout = 30.0
    max_body_bytes: PositiveInt = 8 * 1024 * 1024
    strict_model_names: bool = False
    model_alias: Annotated[list[str], NoDecode] = []
    default_model: Annotated[list[str], NoDecode] = []
    lora: Annotated[list[str], NoDecode] = []
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    log_file: str | None = None
    engine: str = "native"

    @field_validator(
        "models",
        "model_alias",
        "default_model",
        "lora",
        "preload",
        "pin",
        "api_key",
        "cors_origin",
        "allowed_host",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment, lists are separated by commas."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("override_kv", mode="before")
    @classmethod
    def _split_all(cls, value: object) -> object:
        """As in llama.cpp, each may be several separated by commas."""
        texts = value if isinstance(value, list | tuple) else [value]
        return [part for text in texts for part in str(text).split(",") if part]

    @field_validator("model_alias")
    @classmethod
    def _has_both_names(cls, value: list[str]) -> list[str]:
        for text in value:
            name, _, model = text.partition("=")
            if not name.strip() or not model.strip():
                raise ValueError(f"{text[:80]!r} is not PATTERN=MODEL")
        return value

    @field_validator("default_model")
    @classmethod
    def _names_an_endpoint(cls, value: list[str]) -> list[str]:
        for text in value:
            endpoint, sign, model = text.partition("=")
            if sign and (endpoint.strip() not in ENDPOINTS or not model.strip()):
                raise ValueError(f"{text[:80]!r} is not [{'|'.join(ENDPOINTS)}=]MODEL")
        return value

    def to_environ(self) -> dict[str, str]:
        """The settings as environment variables; `ServeConfig()` under them equals this one."""
        env = {}
        for name, value in self:
            if value is None:
                continue
            text = ",".join(value) if isinstance(value, list) else str(value)
            env[ENV_PREFIX + name.upper()] = text
        return env


def read_config(given: dict[str, Any]) -> ServeConfig:
    """The settings: what the command line gives, over the environment, over the defaults.

    Raises InvalidRequestError naming each bad option, or environment variable.
    """
    try:
        return ServeConfig(**given)
    except ValidationError as error:
        problems = [
            f"{_source(str(problem['loc'][0]), given)}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise InvalidRequestError("; ".join(problems)) from error


def _source(field: str, given: dict[str, Any]) -> str:
    """Where the user set a field: the option, or the variable of the environment."""
    return "--" + field.replace("_", "-") if field in given else ENV_PREFIX + field.upper()
