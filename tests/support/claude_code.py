"""Requests in the form in which Claude Code 2.1.197 sends them; their texts are our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,"
    "thinking-token-count-2026-05-13,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "user-agent": "claude-cli/2.1.197 (external, cli)",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}
CACHED = {"cache_control": {"type": "ephemeral"}}
BILLING = "x-anthropic-billing-header: cc_version=2.1.197.{}; cc_entrypoint=cli; cch={};"
RULES = "Rule {}: look at the files of the project before you change one, and say what you did. "
TEXT, PATH = {"type": "string"}, {"type": "string", "description": "An absolute path"}
PROPERTIES: dict[str, dict[str, Any]] = {
    "Bash": {"command": TEXT, "timeout": {"type": "number", "exclusiveMinimum": 0}},
    "Read": {"file_path": PATH, "offset": {"type": "integer", "minimum": 0}},
    "Edit": {"file_path": PATH, "old_string": TEXT, "new_string": TEXT},
    "Write": {"file_path": PATH, "content": TEXT},
    "Glob": {"pattern": TEXT, "path": PATH},
    "Grep": {"pattern": TEXT, "-i": {"type": "boolean"}, "output_mode": {"enum": ["content"]}},
    "Task": {"prompt": TEXT, "model": {"type": "string", "enum": ["sonnet", "opus", "haiku"]}},
    "TodoWrite": {
        "todos": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "properties": {"content": TEXT}, "required": ["content"]},
        }
    },
    "WebFetch": {"url": {"type": "string", "format": "uri"}, "prompt": TEXT},
    "mcp__tracker__list_open_issues_of_a_repository_with_their_labels_and_owners": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}}
    },
}
TOOLS = [
    {
        "name": name,
        "description": f"The tool {name}.",
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": list(properties)[:1],
            "additionalProperties": False,
        },
    }
    for name, properties in PROPERTIES.items()
]


def user(text: str) -> dict[str, Any]:
    """A first turn, with what the client puts before the user's text."""
    reminder = "<system-reminder>\nToday is a day.\n</system-reminder>\n"
    blocks = [{"type": "text", "text": reminder}, {"type": "text", "text": text, **CACHED}]
    return {"role": "user", "content": blocks}


def request_body(
    turns: Sequence[dict[str, Any]], *, cch: str = "a5145", version: str = "a1b", n_rules: int = 20
) -> dict[str, Any]:
    """cch, version: the parts of the header for the bill that change.

    A system message, which is not at the begin, describes what else can be asked for.
    """
    rules = "".join(RULES.format(i) for i in range(n_rules))
    return {
        "model": "claude-sonnet-4-5-20250929",
        "messages": [*turns, {"role": "system", "content": "Kinds of agents: one for all tasks."}],
        "system": [
            {"type": "text", "text": BILLING.format(version, cch)},
            {"type": "text", "text": "You are a tool for programmers on a terminal.", **CACHED},
            {"type": "text", "text": rules, **CACHED},
        ],
        "tools": TOOLS,
        "metadata": {"user_id": '{"device_id":"0123","account_uuid":"","session_id":"45-67"}'},
        "max_tokens": 4096,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }


def counted(body: dict[str, Any]) -> dict[str, Any]:
    """The body of the request that counts its tokens."""
    return {name: body[name] for name in ("model", "messages", "system", "tools", "thinking")}
