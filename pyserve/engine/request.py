"""`GenerateRequest`: one sequence to generate, with its sampling parameters."""

from __future__ import annotations

from typing import Any

import msgspec


class SamplerValues(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of samplers, with llama-server's names. Neutral values switch a sampler off.

    temperature 0 is greedy (ties: lowest id).
    repeat_penalty and DRY look at the last tokens of prompt and answer (`*_last_n`; -1: the whole
    context, 0: off); frequency and presence penalties look at the answer alone.
    mirostat 1 or 2 takes the place of all filters; penalties, DRY and temperature still apply.
    allowed_token_ids: no other token is said; None: any. bad_words: texts whose tokens are not said
    in a row, nor those of the text after a space.
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
    ignore_eos: bool = False
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] = []


class SamplingParams(SamplerValues, frozen=True, kw_only=True):
    """How an answer is sampled. seed None draws a random one.

    samplers: llama.cpp's letters in the order of use; one that is left out is off (penalties e,
    dry d, top_n_sigma s, top_k k, typ_p y, top_p p, min_p m, xtc x, temperature t, adaptive_p a).
    """

    samplers: str = "edskypmxta"
    logit_bias: dict[int, float] = {}
    seed: int | None = None


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A part of a rendered prompt. Names of control tokens are plain text in input."""

    text: str
    is_input: bool


class TemplateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a chat template beside the messages.

    tools: as in OpenAI's `tools`. variables: more of the template's own, such as enable_thinking.
    documents: what the answer rests on, for templates that show such.
    """

    tools: list[dict[str, Any]] = []
    variables: dict[str, Any] = {}
    documents: list[dict[str, Any]] = []


class ThinkingLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on the reasoning of an answer, which stands between two tags at its beginning.

    is_open: the prompt ends with the first tag. max_tokens: of reasoning; after them the engine
    writes `message`, as plain text, and the second tag in the model's place.
    """

    begin: str
    end: str
    is_open: bool
    max_tokens: int
    message: str = ""


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One sequence to generate. Exactly one of messages, prompt, segments, tokens is set.

    messages: OpenAI chat messages as plain dicts (role, content: str, name ...), rendered with the
      model's chat template; text in them is never read as control tokens. `parts`: the texts that
      a content was joined of, by newlines, for templates that walk over parts.
    template: what the template is given beside them.
    prompt: plain text; BOS is added if the model wants it. parse_special: control tokens in it are
      read as such, else they are plain text, too.
    segments: a prompt that a template of our own made; BOS as with `prompt`.
    tokens: token ids, taken as they are.
    adapters: scales of LoRA adapters by name, others are off; None = the engine's defaults.
    wants_embedding: the vector of the prompt instead of an answer, in the delta with `finish`;
      wants_ranks: there the numbers of the model's ranking head.
    max_tokens: None means as many as the context allows; 0 computes the prompt and no answer.
    stop, stop_token_ids: generation ends before the first one that appears; with a grammar, where
      the answer before it is complete. shows_stop: it is a part of the text.
    min_tokens: the answer neither ends nor stops before so many.
    grammar: GBNF with a rule `root`; the answer is held to it, and ends with `stop` only
      when it is complete. "" = anything. One that cannot be enforced fails with param `grammar`.
    draft: the expected answer, or parts of it. Changes only its speed: several of the draft's
      tokens are checked in one step while few requests run.
    n_draft_max: draft tokens that one step checks, of this draft or of repetitions in prompt and
      answer; None = the engine's.
    thinking: limit of reasoning, None = none.
    said: resume tokens, the leading tokens of the answer that the client has already; generation
      continues after them, and they count as tokens of the answer.
    n_logprobs: None = no logprobs; k >= 0 = the sampled token's and the k best alternatives'.
    n_prompt_logprobs: the same for every token of the prompt; no prefix is reused then.
    n_logit_rows: of so many tokens at the prompt's end the client gets the logits, at most 16 MiB.
    trace_id: what logs call it. Changes nothing else.
    tenant, cache_salt: computed prefixes are reused among requests in which both are equal,
      and the adapters.
    session: what its client calls the conversation. In a cluster the requests of one go to the same
      replica, where others are no better. Changes nothing else.
    saves_prefix: what is computed for it may be written to disk, where the engine does that.
    priority: higher ones start first. deadline_ms: a request that still waits this long after it
      was submitted fails with `deadline_exceeded`. max_total_ms: since it was submitted; then an
      answer ends with `length`, and a request without one fails. max_decode_ms: since its first
      token; then the answer ends.
    background: it runs only while no other request does, and gives way to one that comes.
    max_token_gap_ms: prompts of others move the tokens of its answer at most about so far apart, if
      that is more than the engine's own target; 0 = as far as they like, None = by that target.
    deterministic: bit-equal output for the same seed whatever else runs and is cached; slower.
    wants_progress: it is told often how much of its prompt is computed, and at its end; else about
      once a second. wants_timings: every delta has `so_far`.
    """

    messages: list[dict[str, Any]] | None = None
    template: TemplateOptions | None = None
    prompt: str | None = None
    parse_special: bool = False
    segments: list[Segment] | None = None
    tokens: list[int] | None = None
    sampling: SamplingParams = SamplingParams()
    adapters: dict[str, float] | None = None
    wants_embedding: bool = False
    wants_ranks: bool = False
    max_tokens: int | None = None
    stop: list[str] = []
    stop_token_ids: list[int] = []
    shows_stop: bool = False
    min_tokens: int = 0
    grammar: str = ""
    draft: str = ""
    n_draft_max: int | None = None
    thinking: ThinkingLimit | None = None
    said: list[int] = []
    n_logprobs: int | None = None
    n_prompt_logprobs: int | None = None
    n_logit_rows: int = 0
    trace_id: str = ""
    tenant: str = ""
    cache_salt: str = ""
    session: str = ""
    saves_prefix: bool = True
    priority: int = 0
    background: bool = False
    max_token_gap_ms: float | None = None
    deadline_ms: float | None = None
    max_total_ms: float | None = None
    max_decode_ms: float | None = None
    deterministic: bool = False
    wants_progress: bool = False
    wants_timings: bool = False

    @property
    def is_pooled(self) -> bool:
        """It ends with its prompt: numbers are all that it asks for."""
        return self.wants_embedding or self.wants_ranks
