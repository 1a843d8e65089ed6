"""The tokens of a chat's prompt, where they are not left to the engine."""

from __future__ import annotations

from pyserve.engine.protocol import Engine
from pyserve.openai.chat.continuation import continued_tokens
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.context_limit import usable_context
from pyserve.openai.prompt_cut import answered_cut
from pyserve.schemas.chat import ChatRequest


def prompt_tokens(engine: Engine, body: ChatRequest, conversation: Conversation) -> list[int]:
    """Those that the conversation becomes, as `body` wants it continued and cut."""
    if body.continue_final_message:
        tokens = continued_tokens(
            engine, conversation.messages, conversation.options, conversation.text_begin
        )
    else:
        tokens = engine.tokenize_chat(conversation.messages, conversation.options)
    cut = answered_cut(body, usable_context(engine, body.context_limit))
    return tokens if cut is None else cut.of(tokens)


def own_tokens(engine: Engine, body: ChatRequest, conversation: Conversation) -> list[int] | None:
    """The same where the engine would make others, or they are told; None: the engine's do."""
    is_own = body.continue_final_message or body.return_token_ids
    if not is_own and body.truncate_prompt_tokens is None:
        return None
    return prompt_tokens(engine, body, conversation)
