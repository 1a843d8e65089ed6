"""What an engine is to the rest of pyserve: requests in, deltas out.

Three implementations: `LocalEngine` (native, in this process), `RemoteEngine` (an engine process
behind a Unix socket) and `FakeEngine` (scripted). All text is `str`; token ids are `int`; times are
milliseconds; log-probabilities are natural logarithms of the model's own distribution (before
temperature and the other samplers, after logit_bias has been left out).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import msgspec

from pyserve.errors import ErrorInfo

FinishReason = Literal["stop", "length"]


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen, with llama-server's names. Neutral values switch a sampler off.

    temperature 0 is greedy (ties: lowest id). seed None draws a random one.
    repeat_penalty and DRY look at the last tokens of prompt and answer (`*_last_n`; -1: the whole
    context, 0: off); frequency and presence penalties look at the answer alone.
    mirostat 1 or 2 takes the place of all filters; penalties, DRY and temperature still apply.
    samplers: llama.cpp's letters in the order of use; one that is left out is off (penalties e,
    dry d, top_n_sigma s, top_k k, typ_p y, top_p p, min_p m, xtc x, temperature t, adaptive_p a).
    """

    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    min_keep: int = 0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = 64
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    adaptive_target: float = -1.0
    adaptive_decay: float = 0.9
    samplers: str = "edskypmxta"
    logit_bias: dict[int, float] = {}
    seed: int | None = None
    ignore_eos: bool = False


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One sequence to generate. Exactly one of messages, prompt, tokens is set.

    messages: OpenAI chat messages as plain dicts (role, content: str, name ...), rendered with the
      model's chat template; text in them is never read as control tokens.
    prompt: plain text; control tokens in it are plain text too, BOS is added if the model wants it.
    tokens: token ids, taken as they are.
    wants_embedding: the vector of the prompt instead of an answer, in the delta with `finish`.
    max_tokens: None means as many as the context allows; 0 computes the prompt and no answer.
    stop: strings; generation ends before the first one that appears.
    grammar: GBNF with a rule `root`; the answer is held to it, and ends with `stop` only
      when it is complete. "" = anything. One that cannot be enforced fails with param `grammar`.
    n_logprobs: None = no logprobs; k >= 0 = the sampled token's and the k best alternatives'.
    n_prompt_logprobs: the same for every token of the prompt; no prefix is reused then.
    tenant, cache_salt: computed prefixes are reused among requests in which both are equal.
    priority: higher ones start first. deadline_ms: a request that still waits this long after it
      was submitted fails with `deadline_exceeded`.
    deterministic: bit-equal output for the same seed whatever else runs and is cached; slower.
    """

    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    tokens: list[int] | None = None
    sampling: SamplingParams = SamplingParams()
    wants_embedding: bool = False
    max_tokens: int | None = None
    stop: list[str] = []
    grammar: str = ""
    n_logprobs: int | None = None
    n_prompt_logprobs: int | None = None
    tenant: str = ""
    cache_salt: str = ""
    priority: int = 0
    deadline_ms: float | None = None
    deterministic: bool = False


class TopLogprob(msgspec.Struct, frozen=True, array_like=True):
    """One alternative token. `piece` is the token's bytes, maybe a part of a UTF-8 character."""

    token: int
    piece: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """The sampled token, and the best alternatives in descending order (maybe itself included)."""

    token: int
    piece: bytes
    logprob: float
    top: list[TopLogprob]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts. n_cached_tokens of the prompt were not computed again."""

    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int = 0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one request went."""

    queue_ms: float = 0.0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a request that was not cancelled and did not fail."""

    reason: FinishReason
    usage: Usage
    timings: Timings = Timings()
    stop_string: str | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What one step added: text (valid UTF-8, never part of a stop string), maybe the end.

    `logprobs` belong to the tokens whose text ends in `text`. The last delta has `finish` set.
    `prompt_logprobs` come in order, in chunks, before all text; nothing precedes the first token of
    a prompt, so its log-probability is 0 and it has no alternatives.
    `embedding` is a vector of length 1 as little-endian float32, where one was asked for.
    """

    text: str = ""
    n_tokens: int = 0
    logprobs: list[TokenLogprob] | None = None
    prompt_logprobs: list[TokenLogprob] | None = None
    embedding: bytes | None = None
    finish: Finish | None = None


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows about its loaded model, and how it was started.

    size_bytes: of the weights; kv_bytes: of KV caches and states; compute_bytes: of the buffers of
      a step.
    chat_template: its source, "" = none or too long to show. bos_token, eos_token: their texts.
    fim_*_token: put before prompt, suffix and answer for fill-in-the-middle; -1 = none.
    fingerprint: equal where equal seeds give equal output (same model, build, CPU, threads);
      "" = unknown.
    """

    architecture: str
    description: str
    quantization: str
    n_params: int
    size_bytes: int
    n_vocab: int
    n_embd: int
    n_layer: int
    n_ctx_train: int
    n_ctx: int
    n_seq_max: int
    n_threads: int
    has_chat_template: bool
    n_threads_batch: int = 0
    n_kv: int = 0
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    kv_bytes: int = 0
    compute_bytes: int = 0
    chat_template: str = ""
    bos_token: str = ""
    eos_token: str = ""
    fim_pre_token: int = -1
    fim_suf_token: int = -1
    fim_mid_token: int = -1
    load_ms: float = 0.0
    fingerprint: str = ""


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the engine started, and what it holds now.

    n_threads: that computed the last step.
    n_prefix_hits: requests that began with a prefix others had computed; n_prefix_restored of them
      from a copy of what the KV cache had evicted.
    n_prefix_pins: prefixes kept in the KV cache now; prefix_copy_bytes: copies beside it.
    """

    n_running: int = 0
    n_waiting: int = 0
    n_finished: int = 0
    n_failed: int = 0
    n_cancelled: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_decode_tokens: int = 0
    n_steps: int = 0
    n_preempted: int = 0
    n_threads: int = 0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    n_kv_used: int = 0
    n_kv_total: int = 0
    n_prefix_hits: int = 0
    n_prefix_restored: int = 0
    n_prefix_pins: int = 0
    prefix_copy_bytes: int = 0


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """The prompt was rendered, tokenized and fits. First event of a request that is not refused."""

    request_id: int
    n_prompt_tokens: int


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """New output of a request. The one whose delta has `finish` is the request's last event."""

    request_id: int
    delta: Delta


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The request failed or was cancelled (code `cancelled`). Its last event."""

    request_id: int
    error: ErrorInfo


Event = Accepted | Step | Failed


class EngineCore(Protocol):
    """The engine itself, without threads of Python: events are pulled by one consumer.

    Implemented by the native engine and by the scripted fake. Every submitted request ends in
    exactly one last event: a Step with `finish`, or Failed. `poll` is for one thread; every other
    method may be called from any thread.
    """

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        """Queue a request under an id chosen by the caller, unique among unfinished requests.

        Returns at once. Raises QueueFullError; every later error is a Failed event.
        """
        ...

    def cancel(self, request_id: int) -> None:
        """End a request with Failed(code `cancelled`). Unknown or finished ids are ignored."""
        ...

    def poll(self, timeout_s: float) -> list[Event]:
        """All events since the last call, in order; waits for the first one. [] = time over.

        Raises UnavailableError after `close`.
        """
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]: ...

    def detokenize(self, tokens: list[int]) -> str: ...

    def pieces(self, tokens: list[int]) -> list[bytes]: ...

    def render(self, messages: list[dict[str, Any]]) -> str: ...

    def tokenize_chat(self, messages: list[dict[str, Any]]) -> list[int]: ...

    def info(self) -> ModelInfo: ...

    def stats(self) -> EngineStats: ...

    def close(self) -> None: ...


class TokenStream(Protocol):
    """One running request. Used by one thread; `cancel` and `close` may come from any thread."""

    @property
    def n_prompt_tokens(self) -> int | None:
        """Tokens of the rendered prompt; None until the engine has accepted the request."""
        ...

    def wait_accepted(self, timeout_s: float | None = None) -> bool:
        """Wait until the prompt was rendered, tokenized and admitted.

        Returns False when the time is over. Raises the request's error (for example
        ContextLengthExceededError) if it failed before it was accepted.
        """
        ...

    def get(self, timeout_s: float | None = None) -> Delta | None:
        """The next delta, in order; None when the time is over.

        Raises the request's error when it failed or was cancelled. Must not be called again
        after a delta with `finish`, or after an error.
        """
        ...

    def __iter__(self) -> Iterator[Delta]:
        """All remaining deltas up to and including the one with `finish`."""
        ...

    def cancel(self) -> None:
        """Stop computing. Idempotent; does nothing to a finished request."""
        ...


class Engine(Protocol):
    """A loaded model that runs many requests at once. Any thread may call any method."""

    def submit(self, request: GenerateRequest) -> TokenStream:
        """Queue a request and return at once.

        Raises QueueFullError when the wait queue is full, UnavailableError when the engine is gone.
        """
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`. add_special adds BOS/EOS where the model wants them."""
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Text of `tokens`; bytes that are not UTF-8 become U+FFFD."""
        ...

    def pieces(self, tokens: list[int]) -> list[bytes]:
        """The bytes of each token, maybe a part of a UTF-8 character."""
        ...

    def render(self, messages: list[dict[str, Any]]) -> str:
        """The prompt text that the chat template makes of `messages`."""
        ...

    def tokenize_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        """The tokens of that prompt, exactly as a request with these messages gets them."""
        ...

    def info(self) -> ModelInfo: ...

    def stats(self) -> EngineStats: ...

    def close(self) -> None:
        """End all requests with CancelledError and free the model. Idempotent."""
        ...
