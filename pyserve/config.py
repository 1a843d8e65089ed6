"""Server settings: command line over environment (`PYSERVE_*`) over file over defaults.

Every process of one server reads the same settings: the command line sets the environment of the
processes it starts (`ServeConfig.to_environ`), so gunicorn on its own works with the same names.
"""

from __future__ import annotations

import ipaddress
import os
import types
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypedDict,
    Union,
    cast,
    get_args,
    get_origin,
)

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pyserve.config_file import VARIABLE, ConfigFile, read_config_file
from pyserve.errors import InvalidRequestError
from pyserve.spelling import did_you_mean

ENV_PREFIX = "PYSERVE_"
UNIX_PREFIX = "unix:"
ZMQ_PATTERN = r"^((tcp|ipc)://.+)?$"
CLUSTER_PATTERN = r"^(auto|[A-Za-z0-9.:\[\]_-]+:\d+)?$"
UNIX_PEERS = "unix"  # of trusted_proxy: whoever comes through the Unix socket


class OptionInfo(TypedDict):
    """How an option is shown, beside what pydantic knows of its field.

    flags: in click's form; empty: made of the name. metavar: of its value. default_text: what
    stands for a default that is computed. is_one_text: a list that is given once, with commas.
    engine: the field of `EngineConfig` that it becomes, "" = none.
    """

    flags: tuple[str, ...]
    metavar: str
    default_text: str
    is_one_text: bool
    engine: str


class Option(NamedTuple):
    """One setting. kind: of its value: bool, int, float, list or str. default: None if computed."""

    name: str
    kind: type
    about: str
    default: Any
    info: OptionInfo


def option(
    default: Any,
    about: str,
    *,
    flags: tuple[str, ...] = (),
    metavar: str = "",
    default_text: str = "",
    is_one_text: bool = False,
    engine: str = "",
) -> Any:
    """A field of `ServeConfig`. default: a function makes it anew. about: one or two sentences."""
    shown = OptionInfo(
        flags=flags,
        metavar=metavar,
        default_text=default_text,
        is_one_text=is_one_text,
        engine=engine,
    )
    extra: Any = dict(shown)
    if callable(default):
        return Field(default_factory=default, description=about, json_schema_extra=extra)
    return Field(default, description=about, json_schema_extra=extra)


PositiveInt = Annotated[int, Field(ge=1)]
WholeSeconds = Annotated[int, Field(ge=1, le=10**9)]
Timeout = Annotated[float, Field(gt=0, le=1e6)]
MAX_CTX = 2**24
NTokens = Annotated[int, Field(ge=1, le=MAX_CTX)]


ENDPOINTS = ("chat", "completion", "edit", "embeddings", "rerank", "moderation")

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
# Of ARM, then of x86.
Kernels = Literal[
    "auto",
    "i8mm",
    "dotprod",
    "amx",
    "avx512vnni",
    "avx512bw",
    "avxvnni",
    "avx2",
    "stock",
]
SPEC_TYPES = (
    "draft-simple", "draft-mtp", "draft-eagle3",
    "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache",
)  # fmt: skip
CacheType = Literal["f16", "q8_0", "q4_0", "f32", "bf16", "q4_1", "q5_0", "q5_1", "iq4_nl"]


SocketMode = Annotated[str, Field(pattern=r"^0?[0-7]{3}$")]


def _api_prefix(value: object) -> object:
    """With a slash before it and none behind it; "" if there is none."""
    text = str(value).strip("/")
    return f"/{text}" if text else ""


def spec_type(value: object) -> str:
    """As the engine takes it: `auto`, `none`, or some of `SPEC_TYPES`. Raises ValueError."""
    names = [name.strip() for name in str(value).split(",")]
    if names in (["auto"], ["none"]) or all(name in SPEC_TYPES for name in names):
        return ",".join(names)
    raise ValueError(f"choose auto, none, or of {', '.join(SPEC_TYPES)}, separated by commas")


SpecType = Annotated[str, BeforeValidator(spec_type)]
ApiPrefix = Annotated[
    str, Field(pattern=r"^(?:/[\w.~-]+)*$", max_length=256), BeforeValidator(_api_prefix)
]


def default_models_dir() -> Path:
    """`$XDG_DATA_HOME/pyserve/models`, or `~/.local/share/pyserve/models`; /tmp without a home."""
    data = os.environ.get("XDG_DATA_HOME")
    if data:
        return Path(data) / "pyserve" / "models"
    home = os.environ.get("HOME")
    return Path(home or "/tmp") / ".local" / "share" / "pyserve" / "models"


def default_store_dir() -> Path:
    """`$XDG_STATE_HOME/pyserve`, or `~/.local/state/pyserve`; /tmp without a home."""
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "pyserve"
    return Path(os.environ.get("HOME") or "/tmp") / ".local" / "state" / "pyserve"


def default_prefix_dir() -> Path:
    """`$XDG_CACHE_HOME/pyserve/prefixes`, or `~/.cache/pyserve/prefixes`; /tmp without a home."""
    cache = os.environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else Path(os.environ.get("HOME") or "/tmp") / ".cache"
    return base / "pyserve" / "prefixes"


def is_local(host: str) -> bool:
    """Whether only programs of this machine reach `host`."""
    if host == "localhost" or host.startswith(UNIX_PREFIX):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ServeConfig(BaseSettings):
    """Settings of `pyserve serve`, each declared here alone.

    Field `x_y` is the option `--x-y` and the variable `PYSERVE_X_Y`; of these declarations are made
    the command line (`cli/options.py`), what engines are started with (`engine_settings`) and
    `docs/options.md`.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    models: Annotated[list[str], NoDecode] = option(
        [],
        "What to serve: gallery names, names in the models directory, or paths of GGUF files.",
        default_text="all local models, or the gallery's default",
    )
    models_dir: Path = option(
        default_models_dir,
        "Directory of the model files.",
        default_text="`$XDG_DATA_HOME/pyserve/models`, or `~/.local/share/pyserve/models`",
    )
    models_config_file: Path | None = option(None, "YAML file of models in LocalAI's format.")
    cluster: Annotated[str, Field(pattern=CLUSTER_PATTERN)] = option(
        "",
        "Serve the models of this Ray cluster, `HOST:PORT` or `auto`, in place of models of this"
        " machine; needs `pip install 'pyserve[cluster]'`, see docs/cluster.md.",
        default_text="none",
        metavar="ADDRESS",
        flags=("--cluster",),
    )
    host: str = option("127.0.0.1", "Address to listen on, or `unix:/path` of a Unix socket.")
    port: Annotated[int, Field(ge=0, le=65535)] = option(8080, "Port; 0 takes a free one.")
    socket_mode: SocketMode = option(
        "600", "Access rights of the Unix socket, in octal; `660` and `666` let others in."
    )
    ssl_cert_file: Path | None = option(
        None, "Certificate, in PEM with those that sign it: the server speaks TLS."
    )
    ssl_key_file: Path | None = option(None, "Its private key, in PEM. `SIGHUP` reads both again.")
    api_prefix: ApiPrefix = option(
        "", "Path before all paths of the API and its pages, such as `/llm`.", default_text="none"
    )
    ctx_size: NTokens | None = option(
        None,
        "Context of one request, in tokens.",
        engine="n_ctx",
        default_text="what the model was trained for, by the memory; see docs/models.md",
    )
    kv_size: NTokens | None = option(
        None,
        "KV cells shared by all requests.",
        engine="n_kv",
        default_text="`--ctx-size`",
    )
    parallel: Annotated[int, Field(ge=1, le=128)] = option(
        16, "Most requests that decode at once.", engine="n_seq_max"
    )
    queue_size: Annotated[int, Field(ge=0, le=2**20)] = option(
        64,
        "Most requests that are queued; more get 503 with `Retry-After`.",
        engine="n_queue_max",
    )
    threads: Annotated[int, Field(ge=1, le=512)] | None = option(
        None,
        "Compute threads; fewer run while other processes take the cores.",
        engine="n_threads",
        default_text="physical cores that may be used, at most the container's quota",
    )
    threads_batch: Annotated[int, Field(ge=1, le=512)] | None = option(
        None,
        "The same for steps with prompts.",
        engine="n_threads_batch",
        default_text="`--threads`",
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] = option(
        512, "Most tokens of one step.", engine="n_batch"
    )
    max_token_gap_ms: Annotated[float, Field(ge=1, le=600_000)] = option(
        50.0,
        "While prompts of others are computed, the tokens of an answer come at most about so far"
        " apart, or twice the time of a step without prompts if that is longer; up to four times"
        " so far, or five times that step, while many wait for a first token. Drafts obey it,"
        " those of a single stream 100 ms, or 1.5 times a step without.",
        engine="max_token_gap_ms",
    )
    kernels: Kernels = option(
        "auto",
        "Best kernels to use: `amx`, `avx512vnni`, `avx512bw`, `avxvnni`, `avx2`, on ARM `i8mm` or"
        " `dotprod`, or `stock` (llama.cpp's). Lower ones take their place where they cannot be"
        " used.",
        engine="kernels",
    )
    prefix_cache_mib: Annotated[int, Field(ge=0, le=2**20)] = option(
        512,
        "Memory per model for computed prefixes that the KV cache has no room for; 0 is none.",
        engine="prefix_cache_mib",
    )
    prefix_cache_dir: Path = option(
        default_prefix_dir,
        "Directory where computed prefixes outlive engines, for all models and servers of this"
        " user; nobody else can read it.",
        default_text="`$XDG_CACHE_HOME/pyserve/prefixes`, or `~/.cache/pyserve/prefixes`",
        engine="prefix_disk_dir",
    )
    prefix_cache_disk_mib: Annotated[int, Field(ge=0, le=2**20)] = option(
        4096,
        "Most of it, for all models together; 0 is none. What was not used for the longest time"
        " goes first.",
        engine="prefix_disk_mib",
    )
    prefix_cache_ttl_s: Annotated[float, Field(gt=0, le=1e9)] = option(
        14 * 86400.0,
        "Prefixes on disk that were not used for so many seconds are deleted.",
        default_text="1209600, 14 days",
        engine="prefix_disk_ttl_s",
    )
    prefix_cache_min_tokens: Annotated[int, Field(ge=64, le=MAX_CTX)] = option(
        512,
        "Shorter prefixes are not written to disk.",
        engine="prefix_disk_min_tokens",
    )
    prefix_cache_read_only: bool = option(
        False,
        "Write nothing to the directory, and delete nothing there.",
        engine="prefix_disk_read_only",
        flags=("--prefix-cache-read-only",),
    )
    kv_events: Annotated[str, Field(pattern=ZMQ_PATTERN)] = option(
        "",
        "ZeroMQ endpoint on which engines publish which prefixes they have computed, as vLLM does,"
        " for gateways that choose servers by that: `tcp://*:5557`; without `*` engines connect to"
        " it. Needs `pip install 'pyserve[events]'`; whoever reads it reads the prompts.",
        default_text="none",
        metavar="ENDPOINT",
        engine="kv_events",
        flags=("--kv-events",),
    )
    kv_events_replay: Annotated[str, Field(pattern=ZMQ_PATTERN)] = option(
        "",
        "ZeroMQ endpoint where subscribers ask for what they missed of it: `tcp://*:5558`.",
        default_text="none",
        metavar="ENDPOINT",
        engine="kv_events_replay",
    )
    kv_events_topic: Annotated[str, Field(max_length=512)] = option(
        "kv@{host}@{model}",
        "Topic of these events, maybe empty; `{host}` and `{model}` are filled in.",
        metavar="TEXT",
        engine="kv_events_topic",
    )
    kv_events_format: Literal["array", "map"] = option(
        "array",
        "`array`, or `map`: how vLLM writes an event before 0.28, and since then.",
        engine="kv_events_format",
    )
    warm: Path | None = option(
        None,
        "File of prompts that are computed when the server is ready, before clients send them:"
        " bodies of requests as JSON, one a line. For each `--api-key`.",
    )
    draft_max: Annotated[int, Field(ge=0, le=2**20)] = option(
        15,
        "Most tokens that one step checks ahead, of a known text (an edit's input, a `prediction`)"
        " or of what prompt and answer have said before, where measured steps say that it pays; 0"
        " is none.",
        engine="n_draft_max",
    )
    spec_type: SpecType = option(
        "auto",
        "Where drafts come from: `none`, some of `ngram-simple` (and llama-server's other names for"
        " it), `draft-simple`, `draft-mtp` and `draft-eagle3`, with commas, or all that there are.",
        engine="spec_type",
        metavar="LIST",
    )
    draft_always: bool = option(
        False,
        "Check drafts also where measured steps say that it does not pay: to compare, or to test.",
        engine="drafts_always",
        flags=("--draft-always",),
    )
    model_draft: Path | None = option(
        None,
        "GGUF file of a smaller model with the same vocabulary, or of an EAGLE3 head, that guesses"
        " tokens where that pays. A model's file may name its own: `draft_model`.",
        engine="draft_model_path",
        flags=("--model-draft", "-md"),
    )
    draft_min: Annotated[int, Field(ge=0, le=2**20)] = option(
        0, "Shorter guesses of the draft model are not checked.", engine="n_draft_min"
    )
    draft_p_min: Annotated[float, Field(ge=0, le=1)] = option(
        0.0, "Guessed tokens that are less probable are not checked.", engine="draft_p_min"
    )
    deterministic: bool = option(
        False,
        "Compute every request alone: equal seeds give equal bits; slower.",
        engine="deterministic",
        flags=("--deterministic/--fast",),
    )
    cache_type_k: CacheType = option(
        "f16",
        "Type of cached keys; `q8_0` halves their memory, `q4_0` quarters it.",
        engine="cache_type_k",
    )
    cache_type_v: CacheType = option(
        "f16", "Type of cached values: the same.", engine="cache_type_v"
    )
    flash_attn: FlashAttn = option(
        "auto",
        "`on`, `off` or `auto`. Off computes attention as several operations, which take more"
        " memory and time.",
        engine="flash_attn",
        flags=("--flash-attn", "-fa"),
    )
    numa: Numa | None = option(
        None,
        "`distribute`, `isolate` or `numactl`, on machines with several memory nodes.",
        engine="numa",
    )
    chat_template: str | None = option(
        None,
        "Jinja template of chats in place of the model files' own; or the name of a variant in the"
        " file (`default`, `tool_use`, ...), or `chatml`.",
        metavar="TEXT|NAME",
    )
    chat_template_file: Annotated[list[str], NoDecode] = option(
        [], "The same from a file, for all models or one.", metavar="FILE[=MODEL]"
    )
    trust_request_chat_template: bool = option(
        False,
        "Take `chat_template` in requests, a Jinja template of the client's. It is run in a process"
        " of its own, with bounds of time and memory.",
        flags=("--trust-request-chat-template",),
    )
    chat_template_kwargs: str | None = option(
        None,
        "Variables of chat templates, a JSON object; those of a model's file and of a request come"
        " before them.",
        metavar="JSON",
    )
    verbosity_hints: bool = option(
        False,
        "Tell a model in the system message how much to say, where a request has `verbosity` and"
        " the chat template does not know it.",
        flags=("--verbosity-hints",),
    )
    override_kv: Annotated[list[str], NoDecode] = option(
        [],
        "Overrides metadata of model files; TYPE is `int`, `float`, `bool` or `str`.",
        metavar="KEY=TYPE:VALUE",
    )
    api_key: Annotated[list[str], NoDecode] = option([], "Key that clients must send.")
    api_key_file: Path | None = option(
        None, "File with keys: one per line, or TOML (`*.toml`) with names, models and limits."
    )
    usage_file: Path | None = option(
        None,
        "SQLite file with the tokens that each key used of each model in each hour.",
        default_text="kept as long as the server runs",
    )
    insecure: bool = option(
        False, "Listen beyond this machine without a key.", flags=("--insecure",)
    )
    strict_fields: bool = option(
        False,
        "Refuse fields of requests that have no effect here, with 400 `unknown_parameter`; else"
        " they are named in `X-Ignored-Fields`.",
        flags=("--strict-fields",),
    )
    parse_special: bool = option(
        True,
        "Read the names of control tokens in prompts of `/v1/completions` as these tokens, where a"
        " request does not say `parse_special`.",
        flags=("--parse-special/--no-parse-special",),
    )
    timings: bool = option(
        False,
        "Tell with every answer of chats, completions and responses what time it took, as"
        " llama-server does;"
        " else a request asks for it.",
        flags=("--timings",),
    )
    llama_native_completions: bool = option(
        False,
        "Answer `/completions` as llama-server does, by its own API of `/completion`;"
        " `/v1/completions` stays OpenAI's.",
        flags=("--llama-native-completions",),
    )
    cors_origin: Annotated[list[str], NoDecode] = option(
        [], "Origin of a web page that may use the server, or `*`."
    )
    allowed_host: Annotated[list[str], NoDecode] = option(
        [],
        "Name by which the server may be called, or `*`.",
        default_text="on loopback: addresses, names without a dot, `*.localhost`; else any",
    )
    trusted_proxy: Annotated[list[str], NoDecode] = option(
        [],
        "Address or network of a proxy whose `Forwarded` and `X-Forwarded-Host`, `-Proto`,"
        " `-Port` and `-Prefix` count, or `unix`: whoever comes through the Unix socket.",
        metavar="ADDRESS",
    )
    resume_streams: bool = option(
        True,
        "Continue interrupted streams after an engine crash; off ends them with an error.",
        flags=("--resume-streams/--no-resume-streams",),
    )
    max_streams: PositiveInt = option(64, "Most requests in work per front worker.")
    workers: Annotated[int, Field(ge=1, le=64)] = option(1, "Front worker processes.")
    preload: Annotated[list[str], NoDecode] = option(
        [],
        "Models loaded at startup, separated by commas, or `all`, or `none`.",
        default_text="those named, or the only one",
        is_one_text=True,
    )
    pin: Annotated[list[str], NoDecode] = option(
        [],
        "Models that are loaded at startup and stay, separated by commas.",
        is_one_text=True,
    )
    max_loaded_models: Annotated[int, Field(ge=0, le=4096)] = option(
        0, "Most models loaded at once; 0 is as many as memory has room for."
    )
    model_ttl: Annotated[float, Field(ge=0, le=1e9)] = option(
        0.0, "Unload a model after so many idle seconds; 0 is never."
    )
    memory_limit_mib: Annotated[int, Field(ge=0, le=2**30)] = option(
        0, "Memory for all models together; 0 is what the system and its cgroups have."
    )
    load_timeout_s: Annotated[float, Field(gt=0)] = option(120.0, "Longest load of a model.")
    graceful_timeout_s: WholeSeconds = option(
        25, "How long running requests may go on when the server is stopped."
    )
    reload_timeout_s: WholeSeconds = option(
        3600, "How long requests may go on that run when `SIGHUP` replaces the front's workers."
    )
    header_timeout_s: Timeout = option(
        10.0, "How long a client may take to send its headers; 408 after it."
    )
    body_timeout_s: Timeout = option(30.0, "How long it may then take to send its body.")
    write_timeout_s: Timeout = option(
        30.0, "How long a client may take for each part of an answer."
    )
    max_body_bytes: PositiveInt = option(8 * 1024 * 1024, "Larger bodies get 413.")
    strict_model_names: bool = option(
        False,
        "Refuse unknown model names even when there is one model.",
        flags=("--strict-model-names/--any-model-name",),
    )
    response_store_mib: Annotated[int, Field(ge=0, le=2**20)] = option(
        256,
        "Most data of stored responses and conversations; 0 stores nothing. What was not used for"
        " the longest time goes first.",
    )
    response_store_dir: Path = option(
        default_store_dir,
        "Directory where they are kept, readable by the server's user alone.",
        default_text="`$XDG_STATE_HOME/pyserve`, or `~/.local/state/pyserve`",
    )
    response_ttl_s: Annotated[float, Field(gt=0, le=1e9)] = option(
        86400.0, "Those that were not used for so many seconds are deleted."
    )
    file_store_mib: Annotated[int, Field(ge=0, le=2**22)] = option(
        2048,
        "Most data of stored files and of the results of batches, in `--response-store-dir`; 0 is"
        " none of both.",
    )
    file_ttl_s: Annotated[float, Field(gt=0, le=1e9)] = option(
        2_592_000.0, "Files are deleted after so many seconds, unless they say `expires_after`."
    )
    max_file_mib: Annotated[int, Field(ge=1, le=2**22)] = option(200, "Largest file that is taken.")
    strict_tools: bool = option(
        False,
        "Refuse responses and messages with tools that cannot be offered, which are left out"
        " otherwise.",
        flags=("--strict-tools",),
    )
    model_alias: Annotated[list[str], NoDecode] = option(
        [],
        "A further name of a model; `*` and `?` match any text and any character.",
        metavar="PATTERN=MODEL",
    )
    default_model: Annotated[list[str], NoDecode] = option(
        [],
        "Answers requests that name no model while several are served; ENDPOINT is `chat`,"
        " `completion`, `edit`, `embeddings`, `rerank` or `moderation`.",
        metavar="[ENDPOINT=]MODEL",
    )
    lora: Annotated[list[str], NoDecode] = option(
        [],
        "LoRA adapter of the only model; NAME is that of the model with it.",
        metavar="[NAME=]PATH[:SCALE]",
        flags=("--lora", "--lora-scaled"),
    )
    pull_allow: Annotated[list[str], NoDecode] = option(
        [],
        "Host that `POST /api/pull` may get URLs from, beside the gallery's and the hub's files.",
    )
    ollama: bool = option(
        False,
        "Answer `GET /` as Ollama does where a client asks for no type; its API is there anyway.",
        flags=("--ollama",),
    )
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "`debug`, `info`, `warning` or `error`."
    )
    log_format: Literal["text", "json"] = option(
        "text",
        "`text`, or `json`: one object per line, with a record of each request (during overload the"
        " number of refusals per second); never prompts.",
    )
    log_file: str | None = option(
        None,
        "Log to this file; opened again when it was moved or removed.",
        default_text="stderr",
    )
    open_metrics: bool = option(
        False,
        "`/metrics` and the list of models need no API key: what scrapes them cannot send one.",
    )
    metrics_names: Literal["llama-server", "vllm"] = option(
        "llama-server",
        "`vllm`: `/metrics` has vLLM's names beside llama-server's and our own.",
    )
    otlp_endpoint: str | None = option(
        None,
        "Collector of OpenTelemetry that gets a span of each generating request by OTLP over HTTP,"
        " such as `http://localhost:4318`; needs `pip install 'pyserve[otel]'`.",
        metavar="URL",
    )
    engine: str = option("native", "`native`, or `fake`: an engine without a model, for tests.")

    @field_validator(
        "models",
        "model_alias",
        "default_model",
        "lora",
        "chat_template_file",
        "preload",
        "pin",
        "api_key",
        "cors_origin",
        "allowed_host",
        "pull_allow",
        "trusted_proxy",
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

    @field_validator("trusted_proxy")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for text in value:
            if text != UNIX_PEERS:
                ipaddress.ip_network(text)
        return value

    @property
    def socket_path(self) -> Path | None:
        """That of the Unix socket to listen on; None: it is an address and a port."""
        path = self.host.removeprefix(UNIX_PREFIX)
        return None if path == self.host else Path(path).expanduser()

    @property
    def is_tls(self) -> bool:
        return self.ssl_cert_file is not None

    def engine_settings(self) -> dict[str, Any]:
        """What is said of engines, by the fields of `EngineConfig`; what is not set is left out."""
        said = {}
        for name in type(self).model_fields:
            field, value = option_info(name)["engine"], getattr(self, name)
            if field and value is not None:
                said[field] = str(value.expanduser()) if isinstance(value, Path) else value
        return said

    def to_environ(self) -> dict[str, str]:
        """The settings as environment variables; `read_config({})` under them equals this one."""
        env = {VARIABLE: ""}  # what its file said is among them
        for name, value in self:
            if value is None:
                continue
            text = ",".join(value) if isinstance(value, list) else str(value)
            env[ENV_PREFIX + name.upper()] = text
        return env


def serve_options() -> list[Option]:
    """The options of `pyserve serve`, in the order of their declaration."""
    return [
        Option(
            name,
            _value_type(field.annotation),
            field.description or "",
            None if field.default_factory else field.default,
            option_info(name),
        )
        for name, field in ServeConfig.model_fields.items()
    ]


def option_info(name: str) -> OptionInfo:
    """How the option of a field is shown."""
    return cast(OptionInfo, ServeConfig.model_fields[name].json_schema_extra)


def _value_type(annotation: Any) -> type:
    """What a value of an annotated field is: bool, int, float, list or str."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _value_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _value_type(next(each for each in get_args(annotation) if each is not type(None)))
    if origin is Literal or annotation is Path:
        return str
    kind: type = origin or annotation
    return kind


def read_config(given: dict[str, Any], file: Path | None = None) -> ServeConfig:
    """The settings: what the command line gives, over the environment, the file, the defaults.

    file: instead of the user's own `pyserve.toml`. Raises InvalidRequestError naming each bad
    option, or variable of the environment, or name in the file.
    """
    found = read_config_file(file)
    for name in found.values:
        if name not in ServeConfig.model_fields:
            hint = did_you_mean(name, ServeConfig.model_fields)
            text = f"{found.path}: there is no setting {name!r}"
            raise InvalidRequestError(f"{text}; {hint}" if hint else text)
    try:
        return ServeConfig(**{**_under_environment(found), **given})
    except ValidationError as error:
        problems = [
            f"{origin(str(problem['loc'][0]), given, found)}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise InvalidRequestError("; ".join(problems)) from error


def origin(field: str, given: dict[str, Any], file: ConfigFile) -> str:
    """Where the user set a field: the option, the variable of the environment, or in the file.

    "default" if nowhere.
    """
    if field in given:
        return "--" + field.replace("_", "-")
    if _variable(field) in os.environ:
        return _variable(field)
    return f"{field} in {file.path}" if field in file.values else "default"


def _under_environment(file: ConfigFile) -> dict[str, Any]:
    return {name: v for name, v in file.values.items() if _variable(name) not in os.environ}


def _variable(field: str) -> str:
    return ENV_PREFIX + field.upper()
