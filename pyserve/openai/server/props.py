"""GET /props: what clients of llama-server ask a server first."""

from __future__ import annotations

import msgspec

from pyserve import __version__
from pyserve.engine.protocol import ModelInfo, SamplingParams
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.sampling import RANDOM_SEED
from pyserve.openai.shown_sampling import ShownSampling, shown_sampling
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.recognition import EFFORT_VARIABLES
from pyserve.openai.tools.template_words import words_of
from pyserve.schemas.common import INT64_MAX

# Of templates that show the reasoning of earlier answers.
REASONING_WORDS = frozenset({"reasoning_content", "preserve_thinking", "preserve_reasoning"})


class GenerationDefaults(msgspec.Struct, frozen=True):
    """Sampling defaults of a request. n_ctx: most tokens of one request."""

    n_ctx: int
    params: ShownSampling


class Modalities(msgspec.Struct, frozen=True):
    """Input types beside text that a model understands."""

    vision: bool = False
    video: bool = False
    audio: bool = False


class TemplateCaps(msgspec.Struct, frozen=True):
    """What a conversation may have, with llama-server's names.

    Texts, text parts, system messages and arguments as objects are taken with every template, and
    so are tools: those of a template that knows none are described in the system message, which
    counts as not supported here.
    """

    supports_tools: bool
    supports_tool_calls: bool
    supports_parallel_tool_calls: bool
    supports_preserve_reasoning: bool
    supports_reasoning_effort: bool
    supports_string_content: bool = True
    supports_typed_content: bool = True
    supports_system_role: bool = True
    supports_object_arguments: bool = True


class Props(msgspec.Struct, frozen=True):
    """Properties that llama-server's clients ask for first. total_slots: requests at once.

    endpoint_*: whether such an endpoint is there; POST /props is not. is_sleeping: whether the
    model is unloaded, which is never so for one that has just answered. chat_template_tool_use: the
    template of chats with tools, if it is another.
    """

    default_generation_settings: GenerationDefaults
    total_slots: int
    model_alias: str
    model_ftype: str
    model_path: str
    modalities: Modalities
    chat_template: str
    chat_template_caps: TemplateCaps
    bos_token: str
    eos_token: str
    build_info: str
    endpoint_slots: bool = True
    endpoint_props: bool = False
    endpoint_metrics: bool = True
    is_sleeping: bool = False
    chat_template_tool_use: str | msgspec.UnsetType = msgspec.UNSET


def default_sampling(profile: ModelProfile) -> SamplingParams:
    """Sampling parameters of a request that sets none."""
    names = set(SamplingParams.__struct_fields__) - {"logit_bias"}
    given = {name: value for name, value in profile.defaults.items() if name in names}
    if given.get("top_k", 0) < 0:
        given["top_k"] = 0
    seed = given.pop("seed", RANDOM_SEED)
    if seed != RANDOM_SEED:
        given["seed"] = seed & INT64_MAX
    return SamplingParams(**given)


def template_caps(info: ModelInfo, form: AnswerFormat) -> TemplateCaps:
    """Those of a model whose answers have the format `form`."""
    words = frozenset().union(*map(words_of, info.chat_templates))
    has_tools = not form.calls.is_generic
    return TemplateCaps(
        supports_tools=has_tools,
        supports_tool_calls=has_tools,
        supports_parallel_tool_calls=has_tools and form.calls.can_repeat,
        supports_preserve_reasoning=bool(words & REASONING_WORDS),
        supports_reasoning_effort=not words.isdisjoint(EFFORT_VARIABLES),
    )


def model_props(
    model_id: str,
    path: str,
    info: ModelInfo,
    form: AnswerFormat,
    profile: ModelProfile = PLAIN,
) -> Props:
    """The answer of GET /props. path: the model's file. profile: the model's request defaults."""
    return Props(
        default_generation_settings=GenerationDefaults(
            info.n_ctx, shown_sampling(default_sampling(profile))
        ),
        total_slots=info.n_seq_max,
        model_alias=model_id,
        model_ftype=info.quantization,
        model_path=path,
        modalities=Modalities(),
        chat_template=info.chat_template,
        chat_template_caps=template_caps(info, form),
        bos_token=info.bos_token,
        eos_token=info.eos_token,
        build_info=f"pyserve {__version__}",
        chat_template_tool_use=info.tool_template or msgspec.UNSET,
    )
