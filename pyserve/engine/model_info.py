"""`ModelInfo` and `EngineStats`: an engine's facts about its model, and its counters."""

from __future__ import annotations

import msgspec


class PairTokens(msgspec.Struct, frozen=True):
    """What stands before, between and after two texts that a model reads together."""

    before: list[int] = []
    between: list[int] = []
    after: list[int] = []


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about an engine's loaded model, and settings that it was started with.

    name: as the file says, "" = it does not.
    size_bytes: of the weights; kv_bytes: of KV caches and states; compute_bytes: of the buffers of
      a step; all with those of the guesser.
    guesser: what guesses how answers go on: "mtp", "eagle3", or "model", "" = nothing.
    can_generate: it makes text; embeddings are what every model makes that does not rank.
    n_ranks: numbers of its ranking head, 0 = it has none; rank_labels: what they are the logits of,
      where the file says so. rank_template: of `{query}` and `{document}`, "" = none, then `pair`
      is what stands around them. n_pooled: most tokens of a text for an embedding or a rank, 0 =
      n_ctx.
    chat_template: its source, "" = none or too long to show; tool_template: that of chats with
      tools, rag_template: with documents, "" = the same; hidden_template: the model file's, where
      the configuration has one in Go's syntax in its place. bos_token, eos_token: their texts.
    adapters: names of its LoRA adapters, in their order.
    fim_*_token: put before prompt, suffix and answer for fill-in-the-middle; -1 = none.
    kernels: the set that it computes with, "" = not known.
    fingerprint: equal where equal seeds give equal output (same model, build, kernels, threads);
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
    name: str = ""
    can_generate: bool = True
    n_ranks: int = 0
    rank_labels: tuple[str, ...] = ()
    rank_template: str = ""
    pair: PairTokens = PairTokens()
    n_pooled: int = 0
    n_threads_batch: int = 0
    n_kv: int = 0
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    kv_bytes: int = 0
    compute_bytes: int = 0
    guesser: str = ""
    chat_template: str = ""
    tool_template: str = ""
    rag_template: str = ""
    hidden_template: str = ""
    bos_token: str = ""
    eos_token: str = ""
    fim_pre_token: int = -1
    fim_suf_token: int = -1
    fim_mid_token: int = -1
    adapters: tuple[str, ...] = ()
    load_ms: float = 0.0
    kernels: str = ""
    fingerprint: str = ""

    def template_for(self, *, has_tools: bool, has_documents: bool = False) -> str:
        """The source of the template that makes the prompts of chats with these."""
        if has_tools and self.tool_template:
            return self.tool_template
        return (self.rag_template if has_documents else "") or self.chat_template

    @property
    def chat_templates(self) -> tuple[str, ...]:
        """The sources of all templates of chats."""
        return (self.chat_template, self.tool_template, self.rag_template)

    @property
    def file_template(self) -> str:
        """The source of the model file's own chat template."""
        return self.chat_template or self.hidden_template


GAP_BOUNDS_MS = (2.5, 5, 10, 20, 30, 40, 50, 75, 100, 150, 250, 500, 1000, float("inf"))
NO_GAPS = tuple((float(bound), 0) for bound in GAP_BOUNDS_MS)


class DraftCount(msgspec.Struct, frozen=True):
    """Guessed tokens of one kind that steps checked, and those that were right."""

    kind: str
    n_tokens: int
    n_accepted: int


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the engine started, and what it holds now.

    running_adapters, waiting_adapters: model names of the LoRA adapters of these requests.
    n_step_requests: that steps had, of all steps together. n_tokens_max: most of a prompt with its
      answer so far, of those that had one.
    n_threads: that computed the last step.
    n_prefix_hits: requests that began with a prefix others had computed; n_prefix_restored of them
      from a copy of what the KV cache had evicted.
    n_gave_way: steps of the background that were broken off for others.
    n_prefix_pins: prefixes kept in the KV cache now; prefix_copy_bytes: copies beside it.
    n_block_losses: how often what prefixes' blocks did was not taken in time (`kv_events`).
    n_kv_held: of the n_kv_used cells, those that running requests need.
    n_draft_tokens: guessed tokens that steps checked; n_draft_accepted: those that were right.
    n_drafts: that steps checked, each of one request; n_accepted_at: how many of their first,
      second … tokens were right.
    drafts: the same by kind: "known" texts, "ngram", "model", "mtp", "eagle3".
    gaps: how many times of up to so many milliseconds, and more than the bound before, lay between
      two tokens of an answer; gaps_ms: all of them together.
    rss_bytes: memory of the engine's process, with the pages of the model file that it reads.
    n_disk_hits: prefixes that were read from disk, n_disk_tokens of them. Those that were not:
      n_disk_absent had none there, n_disk_slow were faster to compute, for n_disk_full the KV
      cache had no room, n_disk_late took too long, n_disk_damaged and n_disk_gone had such files.
    disk_bytes: of the directory; n_disk_pieces: files of this model. n_disk_written files with
      disk_written_bytes were written, n_disk_errors could not be. disk_read_bytes were read in
      disk_read_ms.
    stalled_ms: since the engine last made progress with its work; 0 = it has no work.
    """

    n_running: int = 0
    n_waiting: int = 0
    running_adapters: tuple[str, ...] = ()
    waiting_adapters: tuple[str, ...] = ()
    n_finished: int = 0
    n_failed: int = 0
    n_cancelled: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_decode_tokens: int = 0
    n_steps: int = 0
    n_step_requests: int = 0
    n_tokens_max: int = 0
    n_preempted: int = 0
    n_gave_way: int = 0
    n_threads: int = 0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    n_kv_used: int = 0
    n_kv_total: int = 0
    n_kv_held: int = 0
    n_draft_tokens: int = 0
    n_draft_accepted: int = 0
    n_drafts: int = 0
    n_accepted_at: tuple[int, ...] = ()
    drafts: tuple[DraftCount, ...] = ()
    gaps: tuple[tuple[float, int], ...] = NO_GAPS
    gaps_ms: float = 0.0
    n_prefix_hits: int = 0
    n_prefix_restored: int = 0
    n_prefix_pins: int = 0
    prefix_copy_bytes: int = 0
    n_block_losses: int = 0
    n_disk_hits: int = 0
    n_disk_tokens: int = 0
    n_disk_absent: int = 0
    n_disk_slow: int = 0
    n_disk_full: int = 0
    n_disk_late: int = 0
    n_disk_damaged: int = 0
    n_disk_gone: int = 0
    disk_bytes: int = 0
    n_disk_pieces: int = 0
    n_disk_written: int = 0
    disk_written_bytes: int = 0
    n_disk_errors: int = 0
    disk_read_bytes: int = 0
    disk_read_ms: float = 0.0
    stalled_ms: float = 0.0
    rss_bytes: int = 0


class PrefixDigest(msgspec.Struct, frozen=True):
    """Which prefixes an engine holds, for those who choose among engines.

    version: another one for each other content, and for each start of the engine. data: as
    `prefixes.sketch.Digest` reads it; None: that of the version which the asker knows.
    """

    version: int
    data: bytes | None = None
