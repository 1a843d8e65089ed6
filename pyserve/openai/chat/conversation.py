"""Translates messages and tools for the engine: template input, and the format of the answer.

Shared by chat completions and responses, and by the endpoints that only count or render.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pyserve.engine.protocol import Engine, TemplateOptions, ThinkingLimit
from pyserve.errors import InvalidRequestError
from pyserve.models.profile import PLAIN, CallProfile, ModelProfile
from pyserve.openai.chat.verbosity import with_hint
from pyserve.openai.structured.dialects import plain_schema
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.call_writer import Calls
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.grammar import NOTHING_AROUND, Surroundings
from pyserve.openai.tools.parts import (
    AnswerStyle,
    Thinking,
)
from pyserve.openai.tools.prompt import introduced, with_history, with_message_tools
from pyserve.openai.tools.recognition import EFFORT_VARIABLES, ON, format_of
from pyserve.openai.tools.template_words import words_of
from pyserve.openai.tools.thinking import EFFORT_TOKENS, thinking_of
from pyserve.openai.tools.value_types import Types, ValuePath, ValueTypes, value_types
from pyserve.schemas.fields.custom_tools import CustomTool
from pyserve.schemas.fields.functions import FunctionDefinition
from pyserve.schemas.fields.reasoning import ReasoningFields
from pyserve.schemas.fields.tools import (
    AllowedTools,
    NamedFunction,
    NamedTool,
    ToolFields,
)

Message = dict[str, Any]
Mode = Literal["none", "auto", "required"]
Choice = Mode | NamedTool | NamedFunction | AllowedTools


class Offer(msgspec.Struct, frozen=True):
    """The functions that a request offers, and how they may be called.

    params: where each of them stands in the request; schema_name: the field of their schemas
    there. can_repeat: None is unsaid.
    """

    functions: Sequence[FunctionDefinition] = ()
    params: Sequence[str] = ()
    schema_name: str = "parameters"
    inputs: Mapping[str, TextGrammar] = {}
    mode: Mode = "auto"
    allowed: frozenset[str] | None = None
    can_repeat: bool | None = None

    @property
    def is_open(self) -> bool:
        return bool(self.functions) and self.mode != "none"

    def tools(self) -> list[dict[str, Any]]:
        """All offered functions, in the form that chat templates expect."""
        return [{"type": "function", "function": _shown(one)} for one in self.functions]

    def callable_functions(self) -> list[Function]:
        """The functions that may be called."""
        return [
            Function(
                one.name,
                plain_schema(one.parameters),
                param,
                bool(one.strict),
                self.schema_name,
                self.inputs.get(one.name),
            )
            for one, param in zip(self.functions, self.params, strict=True)
            if self.allowed is None or one.name in self.allowed
        ]


def _shown(function: FunctionDefinition) -> dict[str, Any]:
    parameters = function.parameters or {"type": "object", "properties": {}}
    return {
        "name": function.name,
        "description": function.description or "",
        "parameters": parameters,
    }


def offer_of(body: ToolFields) -> Offer:
    """The functions offered by `tools`, or by the older `functions`.

    Raises InvalidRequestError for a grammar of a custom tool that is wrong.
    """
    if body.functions:
        params = [f"functions.{i}" for i in range(len(body.functions))]
        offer = Offer(body.functions, params, can_repeat=False)
        return chosen(offer, body.function_call)
    tools = body.tools or []
    functions = [tool.function for tool in tools]
    params = [f"tools.{i}.{tool.type}" for i, tool in enumerate(tools)]
    inputs: dict[str, TextGrammar] = {}
    for tool, param in zip(tools, params, strict=True):
        form = tool.custom.format if isinstance(tool, CustomTool) else None
        if form is not None and form.grammar is not None and form.type == "grammar":
            grammar = TextGrammar(form.grammar.syntax, form.grammar.definition)
            grammar.check(f"{param}.format.grammar.definition")
            inputs[tool.function.name] = grammar
    offer = Offer(functions, params, can_repeat=body.parallel_tool_calls, inputs=inputs)
    return chosen(offer, body.tool_choice)


def custom_names(body: ToolFields) -> list[str]:
    """The names of the tools that take a text."""
    return [tool.custom.name for tool in body.tools or [] if isinstance(tool, CustomTool)]


def chosen(offer: Offer, choice: Choice | None) -> Offer:
    """`offer`, restricted by tool_choice or function_call."""
    if isinstance(choice, NamedTool | NamedFunction):
        name = choice.name if isinstance(choice, NamedFunction) else choice.function_name
        return msgspec.structs.replace(
            offer, mode="required", allowed=frozenset([name]), can_repeat=False
        )
    if isinstance(choice, AllowedTools):
        names = frozenset(tool.function_name for tool in choice.subset.tools)
        return msgspec.structs.replace(offer, mode=choice.subset.mode, allowed=names)
    return offer if choice is None else msgspec.structs.replace(offer, mode=choice)


def as_configured(offer: Offer, calls: CallProfile) -> Offer:
    """`offer` with defaults of the model's configuration."""
    can_repeat = calls.can_repeat if offer.can_repeat is None else offer.can_repeat
    mode: Mode = "required" if calls.must_call and offer.mode == "auto" else offer.mode
    return msgspec.structs.replace(offer, mode=mode, can_repeat=can_repeat)


class Conversation(msgspec.Struct, frozen=True):
    """The engine's input for a chat, and the format in which its answer is read.

    style: the parts of the answer. thinking: the tags of its reasoning; None: it has none.
    around: what stands around its text. stops: texts that end it. text_begin: what a prompt that
    ends in the answer has before its text. can_call_several: it may have more than one call.
    """

    messages: list[Message]
    options: TemplateOptions | None = None
    style: AnswerStyle = AnswerStyle()
    calls: Calls | None = None
    thinking: Thinking | None = None
    thinking_limit: ThinkingLimit | None = None
    around: Surroundings = NOTHING_AROUND
    stops: tuple[str, ...] = ()
    text_begin: str = ""

    @property
    def unenforced(self) -> tuple[str, ...]:
        """Where schemas of functions stand that calls are not held to."""
        return self.calls.unenforced if self.calls else ()

    can_call_several: bool = False


def conversation(
    engine: Engine,
    messages: list[Message],
    offer: Offer,
    reasoning: ReasoningFields,
    profile: ModelProfile = PLAIN,
    *,
    is_continued: bool = False,
    documents: Sequence[dict[str, Any]] = (),
) -> Conversation:
    """Translates `messages` and a request's fields into a conversation for this model.

    profile: what the model's configuration says about prompts and calls.
    is_continued: the answer continues the last message, which is past its reasoning.
    documents: what the answer rests on. Raises InvalidRequestError where no template shows them.
    """
    source = engine.info().template_for(has_tools=offer.is_open, has_documents=bool(documents))
    if documents and "documents" not in words_of(source):
        message = "documents cannot be shown: the model's chat template does not know them"
        raise InvalidRequestError(message, param="documents")
    form = format_of(engine, source, profile)
    layout = form.calls
    variables = template_variables(reasoning, source, form)
    thinking = thinking_of(engine, variables, profile, form)
    text_begin = _text_begin(form, thinking) if is_continued else ""
    thinking = None if is_continued else thinking
    messages = with_history(messages, form)
    if profile.has_verbosity_hints:
        messages = with_hint(messages, reasoning.verbosity, source)
    tools: list[dict[str, Any]] = []
    calls = found = None
    if offer.is_open:
        offer = as_configured(offer, profile.calls)
        if layout.is_generic:
            must_call = offer.mode == "required"
            messages = introduced(messages, offer.tools(), must_call=must_call)
        elif layout.has_message_tools:
            messages = with_message_tools(messages, offer.tools())
        else:
            tools = offer.tools()
        can_repeat = not layout.is_generic if offer.can_repeat is None else offer.can_repeat
        functions = offer.callable_functions()
        calls = Calls(layout, functions, offer.mode == "required", can_repeat)
        found = profile.calls if profile.calls.has_expressions and not calls.is_required else None
    is_free = found is not None or (profile.calls.is_free and offer.mode != "required")
    return Conversation(
        messages,
        TemplateOptions(tools=tools, variables=variables, documents=list(documents))
        if tools or variables or documents
        else None,
        msgspec.structs.replace(
            _style(form, thinking, calls, found, reasoning, is_continued),
            has_sure_calls=calls is not None and not is_free,
            is_call=calls is not None and calls.is_required,
        ),
        None if is_free else calls,
        thinking,
        _limit(thinking, reasoning),
        Surroundings(form.text_begin, form.channels, is_continued),
        form.stops,
        text_begin,
        calls is not None and _can_call_several(calls, form),
    )


def _can_call_several(calls: Calls, form: AnswerFormat) -> bool:
    """Whether an answer may have more than one call: messages that are calls have one each."""
    is_one_message = form.channels is not None and not form.channels.has_calls_inside
    return calls.can_repeat and calls.format.can_repeat and not is_one_message


def _style(
    form: AnswerFormat,
    thinking: Thinking | None,
    calls: Calls | None,
    found: CallProfile | None,
    reasoning: ReasoningFields,
    is_continued: bool,
) -> AnswerStyle:
    """How an answer is read. Tags that a prompt has closed are still no text where they recur."""
    may_think = form.is_repeated or form.channels is not None or not is_continued
    if thinking is None and form.thinking is not None and may_think:
        thinking = Thinking(*form.thinking, is_repeated=form.is_repeated)
    return AnswerStyle(
        thinking=None if reasoning.reasoning_format == "none" else thinking,
        calls=None if calls is None else form.calls,
        types=_types(calls),
        parameters={} if calls is None else _parameters(calls),
        found=found,
        marks=form.all_marks,
        text_tags=form.text_tags,
        channels=form.channels,
        is_continued=is_continued,
        hides_thoughts=reasoning.reasoning_effort == "none"
        and (form.channels is not None or form.is_repeated),
    )


def _text_begin(form: AnswerFormat, thinking: Thinking | None) -> str:
    """What stands between the prompt of an answer and its text."""
    if form.channels is not None:
        return form.channels.text_headers[0]
    if thinking is None or not thinking.is_open:
        return form.text_begin
    return f"{thinking.end}{form.text_begin}" if form.text_begin else f"\n{thinking.end}\n\n"


def _parameters(calls: Calls) -> dict[str, tuple[str, ...]]:
    """The names of the functions that may be called, each with those of its parameters."""
    schemas = {function.name: function.parameters or {} for function in calls.functions}
    properties = {name: schema.get("properties") for name, schema in schemas.items()}
    return {
        name: tuple(known) if isinstance(known, dict) else () for name, known in properties.items()
    }


def _types(calls: Calls | None) -> ValueTypes:
    """The types of values, for formats that do not tell, or whose siblings do not."""
    if calls is None or not calls.format.trigger:
        return {}
    found: dict[ValuePath, Types] = {}
    for function in calls.functions:
        found |= value_types(function)
    return found


def without_head(made: Conversation) -> Conversation:
    """The conversation whose prompt ends with its last message, not with the answer's head."""
    options = made.options or TemplateOptions()
    variables = {**options.variables, "add_generation_prompt": False}
    return msgspec.structs.replace(
        made, options=msgspec.structs.replace(options, variables=variables)
    )


def _limit(thinking: Thinking | None, reasoning: ReasoningFields) -> ThinkingLimit | None:
    n_tokens = thinking_budget(reasoning)
    if thinking is None or n_tokens is None:
        return None
    return ThinkingLimit(
        begin=thinking.begin,
        end=thinking.end,
        is_open=thinking.is_open,
        max_tokens=n_tokens,
        message=reasoning.reasoning_budget_message or "",
    )


def template_variables(
    reasoning: ReasoningFields, chat_template: str, form: AnswerFormat | None = None
) -> dict[str, Any]:
    """The chat template's variables: those of other fields, and chat_template_kwargs.

    form: has the template's own words for efforts.
    """
    named = dict(reasoning.chat_template_kwargs or {})
    implied = {"verbosity": reasoning.verbosity, **_thinking_variables(reasoning, form)}
    implied = {name: value for name, value in implied.items() if value is not None}
    implied |= _date_variables()
    known = words_of(chat_template)
    used = {name: value for name, value in implied.items() if name in known}
    return {**used, **named}


def _date_variables() -> dict[str, Any]:
    """Today as templates name it; without the time, which no two prompts would share."""
    return {"date_string": time.strftime("%d %b %Y"), "datetime": time.strftime("%b %d %Y")}


def _thinking_variables(reasoning: ReasoningFields, form: AnswerFormat | None) -> dict[str, Any]:
    """Whether to think, and how hard, under all the names that templates have for it."""
    effort, thinks = reasoning.reasoning_effort, reasoning.enable_thinking
    if effort is not None:
        thinks = effort != "none"
    switches = dict.fromkeys(("enable_thinking", "thinking"), thinks)
    words = {} if form is None else form.efforts
    word = words.get(ON if effort is None else effort, effort if thinks else None)
    if word is None or not (thinks or effort in words):
        return switches
    return switches | dict.fromkeys(EFFORT_VARIABLES, word)


def thinking_budget(reasoning: ReasoningFields) -> int | None:
    """Most tokens of reasoning; None: no limit. A number of tokens wins over an effort."""
    given = reasoning.thinking_budget
    if given is not None or reasoning.reasoning_effort is None:
        return given
    return EFFORT_TOKENS[reasoning.reasoning_effort]
