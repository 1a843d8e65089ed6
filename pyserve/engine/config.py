"""Settings that an engine is started with: `EngineConfig`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class RopeConfig(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True
):
    """RoPE scaling. Unset fields are taken from the model file.

    scaling: none, linear, yarn or longrope; "" is not set. freq_base, freq_scale, yarn_orig_ctx:
    0 is not set; below 0 in the others of YaRN.
    """

    scaling: str = ""
    freq_base: float = 0.0
    freq_scale: float = 0.0
    yarn_ext_factor: float = -1.0
    yarn_attn_factor: float = -1.0
    yarn_beta_fast: float = -1.0
    yarn_beta_slow: float = -1.0
    yarn_orig_ctx: int = 0


class Override(msgspec.Struct, frozen=True, array_like=True):
    """Replaces a value of the model file's metadata."""

    key: str
    value: bool | int | float | str


class Adapter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A LoRA adapter of a model.

    scale: how strongly it acts on requests that name no adapters. model_id: the name of the model
    with this adapter alone. aliases: its further names.
    """

    name: str
    path: str
    scale: float = 1.0
    model_id: str = ""
    aliases: tuple[str, ...] = ()


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one engine, native or fake.

    n_ctx: most tokens of one request, 0 = the model's own, at most 8192; a server chooses by the
      memory.
    n_kv: KV cells shared by all requests, 0 = n_ctx. n_seq_max: requests that run at once.
    n_batch: most tokens of one step. n_queue_max: requests that may wait.
    n_threads compute steps that only decode, n_threads_batch steps with prompts.
    use_mlock: keep the weights in memory, as far as the system allows.
    kernels: those to begin with, as the native module names them; "auto" is the best that the CPU
    has, "" what PYSERVE_KERNELS says. The first engine of a process decides.
    deterministic: all requests are deterministic, whatever they ask for.
    cache_type_k, cache_type_v: element types of the KV cache (f16, q8_0, q4_0, ...).
    flash_attn: on, off or auto, which is on where the model can.
    numa: how threads and memory are spread over nodes: distribute, isolate, numactl; "" = not.
    overrides: of the model file's metadata.
    chat_template: Jinja source in place of the model file's templates; "" = the file's.
    n_bytes_available: a model that needs more memory is refused; 0 = not known.
    max_token_gap_ms: the tokens of an answer come at most about so far apart while prompts of
      others are computed.
    n_draft_max: draft tokens that one step checks; 0 = none.
    spec_type: where drafts come from: "auto" all that there are, "none", or a list with commas of
      llama-server's names.
    drafts_always: also where measured steps say that it does not pay.
    draft_model_path: a smaller model with the same vocabulary that guesses drafts where no known
      text has one, or an EAGLE3 head; "" = none. n_draft_min: shorter guesses are not checked.
      draft_p_min: a guess ends before a token of lower probability.
    prefix_cache_mib: memory for copies of prefixes that the KV cache has no room for; 0 = none.
    prefix_disk_dir: directory where computed prefixes outlive engines, shared by all; "" = none.
    prefix_disk_mib: most of it, for all models together; 0 = none. prefix_disk_ttl_s: prefixes
      that were not used for so long are deleted. prefix_disk_min_tokens: of those written there.
      prefix_disk_read_only: nothing is written there or deleted.
    kv_events: ZeroMQ endpoint on which computed prefixes are told, "" = none.
      kv_events_replay: where what was missed is asked for, "" = none. kv_events_topic: with
      `{host}` and `{model}`. kv_events_format: of an event, "array" or "map".
    adapters: loaded with the model; requests choose among them.
    shown_tokens: texts of control tokens that are text in answers, beside the usual tags.
    """

    model_id: str
    model_path: str
    n_ctx: int = 0
    n_kv: int = 0
    n_seq_max: int = 16
    n_batch: int = 512
    kernels: str = ""
    n_threads: int = 1
    n_threads_batch: int = 1
    deterministic: bool = False
    n_queue_max: int = 64
    use_mmap: bool = True
    use_mlock: bool = False
    rope: RopeConfig = RopeConfig()
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attn: str = "auto"
    numa: str = ""
    overrides: tuple[Override, ...] = ()
    chat_template: str = ""
    n_bytes_available: int = 0
    prefix_cache_mib: int = 512
    prefix_disk_dir: str = ""
    prefix_disk_mib: int = 4096
    prefix_disk_ttl_s: float = 14 * 86400.0
    prefix_disk_min_tokens: int = 512
    prefix_disk_read_only: bool = False
    n_draft_max: int = 15
    spec_type: str = "auto"
    drafts_always: bool = False
    draft_model_path: str = ""
    n_draft_min: int = 0
    draft_p_min: float = 0.0
    max_token_gap_ms: float = 50.0
    kv_events: str = ""
    kv_events_replay: str = ""
    kv_events_topic: str = "kv@{host}@{model}"
    kv_events_format: str = "array"
    adapters: tuple[Adapter, ...] = ()
    shown_tokens: tuple[str, ...] = ()


def with_scales(config: EngineConfig, scales: Mapping[str, float]) -> EngineConfig:
    """The settings with other default scales of the adapters named."""
    adapters = tuple(
        msgspec.structs.replace(adapter, scale=scales.get(adapter.name, adapter.scale))
        for adapter in config.adapters
    )
    return msgspec.structs.replace(config, adapters=adapters)
