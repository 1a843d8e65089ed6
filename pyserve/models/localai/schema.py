"""Schema of the keys of LocalAI's YAML files that have an effect here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pyserve.config import CacheType, FlashAttn
from pyserve.models.localai.types import (
    MAX_STRINGS,
    Name,
    Overrides,
    Penalty,
    RopeNumber,
    Share,
    Stops,
    Strings,
    Text,
    listed,
    unset_if_empty,
    unset_if_not_positive,
    unset_if_zero,
)
from pyserve.schemas.common import INT32_MAX, INT64_MAX, MAX_CHOICES
from pyserve.schemas.fields.lora import MAX_SCALE
from pyserve.schemas.fields.reasoning import Effort, ReasoningFields


class Section(BaseModel):
    """A section of a YAML file. Null means absent; unknown keys are dropped."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", coerce_numbers_to_str=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class Parameters(Section):
    """`parameters`: the file of the model, and defaults of requests."""

    model: Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Share | None, BeforeValidator(unset_if_zero)] = None
    top_k: Annotated[int, Field(ge=-1, le=INT32_MAX)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[Share | None, BeforeValidator(unset_if_zero)] = None
    max_tokens: Annotated[
        Annotated[int, Field(ge=1, le=INT32_MAX)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    n: Annotated[
        Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    echo: bool | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)] | None = None
    ignore_eos: bool | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repeat_penalty: Annotated[
        Annotated[float, Field(ge=0.0001, le=10)] | None, BeforeValidator(unset_if_zero)
    ] = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=65536)] | None = None
    logit_bias: Annotated[dict[int, float], Field(max_length=1024)] | None = None
    batch: Annotated[
        Annotated[int, Field(ge=1, le=65536)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=65536)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    stop: Stops = []
    rope_freq_base: RopeNumber = None
    rope_freq_scale: RopeNumber = None


class Template(Section):
    """`template`: names of files in the models directory, or the templates themselves.

    jinja, jinja_file: a template in place of the model file's; these keys are ours.
    """

    chat: Text = ""
    chat_message: Text = ""
    completion: Text = ""
    edit: Text = ""
    function: Text = ""
    jinja: Text = ""
    jinja_file: Text = ""
    use_tokenizer_template: bool = False
    reply_prefix: Annotated[str, Field(max_length=1024)] = ""
    join_chat_messages_by_character: Annotated[str, Field(max_length=256)] | None = None


Tag = Annotated[str, Field(min_length=1, max_length=64)]


class TagPair(Section):
    """The tags before and after reasoning."""

    start: Tag
    end: Tag


class Reasoning(Section):
    """`reasoning`: whether and how the model reasons, and whether that is shown."""

    disable: bool = False
    strip_reasoning_only: bool = False
    disable_reasoning_tag_prefill: bool = False
    thinking_start_tokens: Annotated[list[Tag], Field(max_length=MAX_STRINGS)] = []
    tag_pairs: Annotated[list[TagPair], Field(max_length=MAX_STRINGS)] = []


class FunctionGrammar(Section):
    """`function.grammar`: constraints on the form of tool calls."""

    disable: bool = False
    parallel_calls: bool | None = None
    mixed_mode: bool = False
    prefix: Annotated[str, Field(max_length=256)] = ""
    properties_order: Annotated[str, Field(max_length=1024)] = ""
    triggers: Annotated[list[Any], Field(max_length=MAX_STRINGS)] = []


class Replacement(Section):
    """A regular expression and its replacement."""

    key: Annotated[str, Field(min_length=1, max_length=1024)]
    value: Annotated[str, Field(max_length=1024)] = ""


Replacements = Annotated[list[Replacement], Field(max_length=MAX_STRINGS)]


class Function(Section):
    """`function`: how tool calls are found in answers."""

    disable_no_action: bool = False
    response_regex: Strings = []
    json_regex_match: Strings = []
    argument_regex: Strings = []
    argument_regex_key_name: Annotated[str, Field(max_length=64)] = ""
    argument_regex_value_name: Annotated[str, Field(max_length=64)] = ""
    replace_function_results: Replacements = []
    replace_llm_results: Replacements = []
    capture_llm_results: Strings = []
    function_name_key: Annotated[str, Field(max_length=64)] = ""
    function_arguments_key: Annotated[str, Field(max_length=64)] = ""
    grammar: FunctionGrammar = FunctionGrammar()


class Compression(Section):
    """`compression`: older turns of chats become a summary once a prompt is long."""

    enabled: bool = False
    trigger_at_ratio: Annotated[float, Field(gt=0, le=1)] = 0.75
    keep_tail_tokens: Annotated[int, Field(ge=0, le=INT32_MAX)] = 8000
    max_summary_tokens: Annotated[int, Field(ge=1, le=INT32_MAX)] = 2048
    on_post_compression_overflow: Literal["drop_oldest_summary", "error"] = "drop_oldest_summary"


class RequestLimits(Section):
    """`limits`: of one model's requests. 0: no limit, and for retry_after_s one second."""

    max_concurrent: Annotated[int, Field(ge=0, le=INT32_MAX)] = 0
    retry_after_seconds: Annotated[int, Field(ge=0, le=INT32_MAX)] = 0


class DownloadFile(Section):
    """A file of the model and its source."""

    filename: Text = ""
    uri: Text = ""
    sha256: Text = ""


def _checked_variables(value: dict[str, Any] | None) -> dict[str, Any] | None:
    return ReasoningFields(chat_template_kwargs=value).chat_template_kwargs


class LocalModel(Section):
    """One model. `parameters` of older files stand beside it, as in the examples of its time."""

    name: Name | None = None
    alias: Name | None = None
    aliases: Annotated[list[Name], Field(max_length=256), BeforeValidator(listed)] = []
    backend: Text = ""
    description: Text = ""
    usage: Text = ""
    disabled: bool = False
    pinned: bool = False
    known_usecases: Strings | None = None
    parameters: Parameters = Parameters()
    template: Template = Template()
    function: Function = Function()
    context_size: Annotated[int, Field(ge=-1, le=2**24)] | None = None
    threads: Annotated[
        Annotated[int, Field(ge=1, le=4096)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    batch: Annotated[
        Annotated[int, Field(ge=1, le=65536)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    draft_model: Annotated[str, Field(max_length=1024)] = ""
    n_draft: Annotated[
        Annotated[int, Field(ge=1, le=2**20)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    mmap: bool | None = None
    mmlock: bool | None = None
    rope_scaling: Literal["", "none", "linear", "yarn", "longrope"] | None = None
    yarn_ext_factor: RopeNumber = None
    yarn_attn_factor: RopeNumber = None
    yarn_beta_fast: RopeNumber = None
    yarn_beta_slow: RopeNumber = None
    yarn_orig_ctx: Annotated[
        Annotated[int, Field(ge=1, le=2**24)] | None, BeforeValidator(unset_if_not_positive)
    ] = None
    embeddings: bool | None = None
    reranking: bool | None = None
    cache_type_k: CacheType | None = None
    cache_type_v: CacheType | None = None
    flash_attention: Annotated[FlashAttn | None, BeforeValidator(unset_if_empty)] = None
    numa: bool = False
    overrides: Overrides = []
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[float, Field(ge=0, le=100)] | None = None
    mirostat_eta: Annotated[float, Field(ge=0, le=1)] | None = None
    stopwords: Stops = []
    cutstrings: Strings = []
    extract_regex: Strings = []
    trimspace: Strings = []
    trimsuffix: Strings = []
    system_prompt: Text = ""
    roles: dict[str, Annotated[str, Field(max_length=1024)]] = {}
    grammar: Annotated[str, Field(max_length=64 * 1024)] = ""
    reasoning_effort: Effort | None = None
    reasoning: Reasoning = Reasoning()
    chat_template_kwargs: Annotated[dict[str, Any] | None, AfterValidator(_checked_variables)] = (
        None
    )
    options: Strings = []
    download_files: Annotated[list[DownloadFile], Field(max_length=MAX_STRINGS)] = []
    limits: RequestLimits = RequestLimits()
    compression: Compression = Compression()
    concurrency_groups: Annotated[
        list[Name], Field(max_length=MAX_STRINGS), BeforeValidator(listed)
    ] = []
    lora_adapter: Text = ""
    lora_scale: Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE)] | None = None
    lora_adapters: Strings = []
    lora_scales: Annotated[
        list[Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE)]], Field(max_length=MAX_STRINGS)
    ] = []


SECTIONS: dict[str, type[Section]] = {
    "parameters": Parameters,
    "template": Template,
    "function": Function,
    "function.grammar": FunctionGrammar,
    "reasoning": Reasoning,
    "limits": RequestLimits,
    "compression": Compression,
}
