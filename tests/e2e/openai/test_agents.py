"""What agents send to the Responses API: a conversation as Codex has it, on the default model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

pytestmark = pytest.mark.model

RESPONSES = "/v1/responses"
LARK = """start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?
hunk: "*** Add File: " /(.+)/ LF ("+" /(.*)/ LF)+
%import common.LF
"""
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command in a PTY.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {
                "cmd": {"type": "string", "maxLength": 40},
                "yield_time_ms": {"type": "number"},
            },
            "required": ["cmd"],
            "additionalProperties": False,
        },
    },
    {
        "type": "custom",
        "name": "apply_patch",
        "description": "Use the `apply_patch` tool to edit files. Do not wrap the patch in JSON.",
        "format": {"type": "grammar", "syntax": "lark", "definition": LARK},
    },
    {"type": "web_search", "external_web_access": False},
    {"type": "local_shell"},
]
REQUEST: dict[str, Any] = {
    "model": "smollm2-135m-instruct",
    "instructions": "You are Codex, a coding agent. You share a workspace with the user.",
    "tools": TOOLS,
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199c0de-0000-7000-8000-000000000000",
    "client_metadata": {"x-codex-installation-id": "0"},
}
SHORT = {"max_output_tokens": 16, "temperature": 0}


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


BEGIN = [
    message("developer", "<permissions instructions>Approval policy is never.</permissions>"),
    message("user", "<environment_context><cwd>/work</cwd></environment_context>"),
    message("user", "Add a greeting to hello.txt."),
]
LOOKED = [
    {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "I look first."}],
        "content": None,
        "encrypted_content": "gAAAAABnotours",
    },
    {**message("assistant", "I look at the files."), "phase": "commentary"},
    {
        "type": "function_call",
        "name": "exec_command",
        "arguments": '{"cmd":"ls"}',
        "call_id": "call_1",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "Exit code: 0\nOutput:\n"},
]
PATCHED = [
    {
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "call_2",
        "name": "apply_patch",
        "input": "*** Begin Patch\n*** Add File: hello.txt\n+Hello\n*** End Patch\n",
    },
    {
        "type": "custom_tool_call_output",
        "call_id": "call_2",
        "output": "Success. Updated the following files:\nA hello.txt\n",
    },
    {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
]


def events(http: httpx.Client, **fields: Any) -> tuple[list[Any], httpx.Headers]:
    """The events of a stream, which ends with [DONE]."""
    response = http.post(RESPONSES, json={**REQUEST, **SHORT, **fields})
    assert response.status_code == 200, response.text
    data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(text) for text in data], response.headers


def test_a_conversation_of_codex_runs_to_its_end(http: httpx.Client) -> None:
    for items in (BEGIN, [*BEGIN, *LOOKED], [*BEGIN, *LOOKED, *PATCHED]):
        stream, headers = events(http, input=items)
        assert stream[-1]["type"] in ("response.completed", "response.incomplete")
        assert headers["X-Ignored-Tools"] == "web_search, local_shell"
        assert stream[-1]["response"]["tools"][1:] == TOOLS[1:]
    assert headers["X-Ignored-Items"].startswith("web_search_call; n=1")


def test_the_model_calls_and_gets_results_of_both_kinds(http: httpx.Client) -> None:
    items: list[Any] = list(BEGIN)
    for kind, name in (("function", "exec_command"), ("custom", "apply_patch")):
        choice = {"type": kind, "name": name}
        stream, _ = events(http, input=items, tool_choice=choice, max_output_tokens=64)
        done = [e["item"] for e in stream if e["type"] == "response.output_item.done"]
        (call,) = [item for item in done if item["type"].endswith("_call")]
        assert call["name"] == name
        output = {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": "ok"}
        items += [*done, output]
    stream, _ = events(http, input=items, tool_choice="none")
    assert stream[-1]["type"] in ("response.completed", "response.incomplete")
    assert stream[-1]["response"]["output"][0]["type"] == "message"


def test_a_regular_expression_holds_the_input_of_a_custom_tool(client: openai.OpenAI) -> None:
    form: Any = {"type": "grammar", "syntax": "regex", "definition": "[a-c]{2,4}-[0-9]+"}
    answer = client.responses.create(
        model="x",
        input="Name a code.",
        tools=[{"type": "custom", "name": "code", "format": form}],
        tool_choice={"type": "custom", "name": "code"},
        max_output_tokens=120,
    )
    (call,) = answer.output
    assert call.type == "custom_tool_call"
    head, _, digits = call.input.partition("-")
    assert set(head) <= set("abc")
    assert digits.isdecimal() or answer.status == "incomplete"


def test_the_client_waits_for_a_final_response(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="x", input="Say hi.", tools=TOOLS[:2], max_output_tokens=24
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")
