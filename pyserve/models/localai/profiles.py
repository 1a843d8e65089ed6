"""Maps validated LocalAI values to engine settings and to a model profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pyserve.engine.config import RopeConfig
from pyserve.engine.overrides import parse_override
from pyserve.models.localai.schema import Compression, Function, LocalModel, Reasoning
from pyserve.models.patterns import PatternError, compiled
from pyserve.models.profile import (
    CallProfile,
    ModelProfile,
    PromptProfile,
    ShapeProfile,
    ThinkingProfile,
)


def engine_settings(values: LocalModel, options: dict[str, int]) -> dict[str, Any]:
    """Fields of `EngineConfig`; n_ctx -1 means the trained context."""
    settings: dict[str, Any] = {
        "n_ctx": values.context_size or None,
        "n_threads": values.threads,
        "n_batch": values.batch or values.parameters.batch or values.parameters.batch_size,
        "use_mmap": values.mmap,
        "n_draft_max": values.n_draft,
        "shown_tokens": _shown_tokens(values.reasoning),
        "use_mlock": values.mmlock,
        "rope": _rope(values),
        "cache_type_k": values.cache_type_k,
        "cache_type_v": values.cache_type_v,
        "flash_attn": values.flash_attention,
        "numa": "distribute" if values.numa else None,
        "overrides": tuple(parse_override(text) for text in values.overrides) or None,
        **options,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _shown_tokens(reasoning: Reasoning) -> tuple[str, ...] | None:
    tags = [tag for pair in reasoning.tag_pairs for tag in (pair.start, pair.end)]
    return tuple(dict.fromkeys(tags)) or None


def _rope(values: LocalModel) -> RopeConfig | None:
    """RoPE settings; None when the configuration has none."""
    numbers = {
        "freq_base": values.parameters.rope_freq_base,
        "freq_scale": values.parameters.rope_freq_scale,
        "yarn_ext_factor": values.yarn_ext_factor,
        "yarn_attn_factor": values.yarn_attn_factor,
        "yarn_beta_fast": values.yarn_beta_fast,
        "yarn_beta_slow": values.yarn_beta_slow,
        "yarn_orig_ctx": values.yarn_orig_ctx,
    }
    given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    rope = RopeConfig(scaling=values.rope_scaling or "", **given)
    return None if rope == RopeConfig() else rope


def profile_of(values: LocalModel, prompt: PromptProfile) -> ModelProfile:
    """The model profile of validated values: everything that concerns requests."""
    usecases = list(_usecases(values.known_usecases or ()))
    usecases += ["rerank"] if values.reranking and "rerank" not in usecases else []
    return ModelProfile(
        defaults=_defaults(values),
        stop=tuple(dict.fromkeys([*values.stopwords, *values.parameters.stop])),
        prompt=prompt,
        calls=_calls(values.function),
        thinking=_thinking(values.reasoning),
        shape=ShapeProfile(
            prefix=values.template.reply_prefix,
            cutstrings=tuple(values.cutstrings),
            extract_regex=tuple(values.extract_regex),
            trimspace=tuple(values.trimspace),
            trimsuffix=tuple(values.trimsuffix),
        ),
        aliases=tuple(values.aliases),
        description=values.description,
        usage=values.usage,
        usecases=tuple(usecases) if usecases or values.known_usecases is not None else None,
    )


def _thinking(reasoning: Reasoning) -> ThinkingProfile:
    return ThinkingProfile(
        tags=tuple((pair.start, pair.end) for pair in reasoning.tag_pairs),
        starts=tuple(reasoning.thinking_start_tokens),
        is_never_open=reasoning.disable_reasoning_tag_prefill,
    )


def _has_arguments_first(function: Function) -> bool:
    """Whether properties_order puts the key of a call's arguments before that of its name."""
    order = [name.strip() for name in function.grammar.properties_order.split(",")]
    name = function.function_name_key or "name"
    arguments = function.function_arguments_key or "arguments"
    return {name, arguments} <= set(order) and order.index(arguments) < order.index(name)


def _calls(function: Function) -> CallProfile:
    """The call format. LocalAI's models must call if they have no function for not calling."""
    grammar = function.grammar
    is_strict = not (grammar.disable or grammar.mixed_mode or grammar.triggers)
    return CallProfile(
        is_free=grammar.disable,
        must_call=function.disable_no_action and is_strict,
        can_repeat=grammar.parallel_calls,
        name_key=function.function_name_key,
        arguments_key=function.function_arguments_key,
        has_arguments_first=_has_arguments_first(function),
        prefix=grammar.prefix,
        json_regex=tuple(function.json_regex_match),
        call_regex=tuple(function.response_regex),
        argument_regex=tuple(function.argument_regex),
        argument_groups=(
            function.argument_regex_key_name or "key",
            function.argument_regex_value_name or "value",
        ),
        replace_results=tuple((one.key, one.value) for one in function.replace_function_results),
        replace_text=tuple((one.key, one.value) for one in function.replace_llm_results),
        capture_text=tuple(function.capture_llm_results),
    )


def with_aliases(profile: ModelProfile, names: Sequence[str]) -> ModelProfile:
    """The profile with further names."""
    aliases = tuple(dict.fromkeys([*profile.aliases, *names]))
    return msgspec.structs.replace(profile, aliases=aliases)


def _defaults(values: LocalModel) -> dict[str, Any]:
    parameters = values.parameters.model_dump(exclude_none=True)
    for name in ("model", "batch", "batch_size", "stop", "rope_freq_base", "rope_freq_scale"):
        parameters.pop(name, None)
    others = {
        "mirostat": values.mirostat,
        "mirostat_tau": values.mirostat_tau,
        "mirostat_eta": values.mirostat_eta,
        "grammar": values.grammar or None,
        "reasoning_effort": "none" if values.reasoning.disable else values.reasoning_effort,
        "chat_template_kwargs": values.chat_template_kwargs,
        "include_reasoning": False if values.reasoning.strip_reasoning_only else None,
        "truncation": _truncation(values.compression),
    }
    return parameters | {name: value for name, value in others.items() if value is not None}


def _truncation(wanted: Compression) -> dict[str, Any] | None:
    if not wanted.enabled:
        return None
    drops = wanted.on_post_compression_overflow == "drop_oldest_summary"
    return {
        "type": "compact",
        "ratio": wanted.trigger_at_ratio,
        "tail_tokens": wanted.keep_tail_tokens,
        "max_summary_tokens": wanted.max_summary_tokens,
        "overflow": "auto" if drops else "disabled",
    }


def _usecases(names: Sequence[str]) -> Iterator[str]:
    """The usecases: LocalAI writes FLAG_CHAT or chat; llm means all that generate text."""
    for name in names:
        usecase = name.lower().removeprefix("flag_")
        yield from ("chat", "completion", "edit") if usecase == "llm" else (usecase,)


def bad_patterns(profile: ModelProfile) -> Iterator[tuple[str, str]]:
    """Regular expressions that RE2 rejects, with its reasons."""
    shape = profile.shape
    for pattern in (*shape.cutstrings, *shape.extract_regex, *profile.calls.patterns):
        try:
            compiled(pattern)
        except PatternError as error:
            yield pattern, str(error)
