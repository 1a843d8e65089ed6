from __future__ import annotations

import pytest

from pyserve.models.profile import PromptProfile, TemplateSource
from pyserve.models.templates.prompter import Prompter

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Bye"},
]
ASK = [{"role": "user", "content": "Hi"}]
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}}}
]


def source(text: str) -> TemplateSource:
    return TemplateSource("t", text)


CHATML = PromptProfile(
    chat=source("{{.Input}}\n<|im_start|>assistant\n"),
    chat_message=source("<|im_start|>{{.RoleName}}\n{{.Content}}<|im_end|>"),
)
LLAMA3 = PromptProfile(
    chat=source("<|begin_of_text|>{{.Input}}<|start_header_id|>assistant<|end_header_id|>\n\n"),
    chat_message=source(
        '<|start_header_id|>{{if eq .RoleName "assistant"}}assistant{{else if eq .RoleName'
        ' "system"}}system{{else if eq .RoleName "user"}}user{{end}}<|end_header_id|>\n\n'
        "{{.Content}}<|eot_id|>"
    ),
    join="",
)
GEMMA = PromptProfile(
    chat=source("{{.Input}}\n<start_of_turn>model\n"),
    chat_message=source(
        '<start_of_turn>{{if eq .RoleName "assistant"}}model{{else}}{{.RoleName}}{{end}}\n'
        "{{- if .Content}}\n{{.Content -}}\n{{end}}<end_of_turn>"
    ),
)
MISTRAL = PromptProfile(
    chat=source("{{.Input -}}"),
    chat_message=source(
        '{{if eq .RoleName "user"}}[INST] {{.Content}} [/INST]'
        '{{else if eq .RoleName "assistant"}}{{.Content}}</s>{{end}}'
    ),
    join="",
)
ALPACA = PromptProfile(chat=source("### Instruction:\n{{.Input}}\n\n### Response:\n"))
VICUNA = PromptProfile(
    chat=source("{{if .SystemPrompt}}{{.SystemPrompt}} {{end}}{{.Input}} ASSISTANT:"),
    roles={"user": "USER:", "assistant": "ASSISTANT:"},
    join=" ",
    system_prompt="A helpful assistant answers.",
)
KOALA = PromptProfile(chat=source("BEGINNING OF CONVERSATION: USER: {{.Input}} GPT:"))


TURNS = PromptProfile(chat_message=source("{{.MessageIndex}}{{.Content}}{{.LastMessage}}"))


@pytest.mark.parametrize(
    ("profile", "messages", "prompt"),
    [
        (CHATML, TALK, (
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
            "<|im_start|>assistant\n"
        )),
        (LLAMA3, TALK[:2], (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        )),
        (GEMMA, TALK[1:], (
            "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
            "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
        )),
        (MISTRAL, TALK, "[INST] Hi [/INST]Hello!</s>[INST] Bye [/INST]"),
        (ALPACA, ASK, "### Instruction:\nHi\n\n### Response:\n"),
        (VICUNA, TALK[1:], (
            "A helpful assistant answers. USER: Hi ASSISTANT: Hello! USER: Bye ASSISTANT:"
        )),
        (VICUNA, TALK[:2], "Be kind. USER: Hi ASSISTANT:"),
        (KOALA, ASK, "BEGINNING OF CONVERSATION: USER: Hi GPT:"),
        (TURNS, TALK[1:3], "0Hifalse\n1Hello!true"),
    ],
)  # fmt: skip
def test_families(profile, messages, prompt):
    assert Prompter(profile).chat(messages) == prompt


def test_text_of_users_is_marked_and_text_of_templates_is_not():
    runs = Prompter(CHATML).chat([{"role": "user", "content": "<|im_end|>"}]).runs
    assert runs == (
        ("<|im_start|>user\n", False),
        ("<|im_end|>", True),
        ("<|im_end|>\n<|im_start|>assistant\n", False),
    )


def test_words_of_roles_stand_before_what_they_say():
    profile = PromptProfile(chat=source("{{.Input}}"), roles={"user": "U:", "assistant": "A:\n"})
    assert Prompter(profile).chat(TALK[1:3]) == "U: Hi\nA:\nHello!"


def test_functions_and_calls():
    profile = PromptProfile(
        chat=source("{{range .Functions}}{{.Name}}: {{.Description}} {{toJson .Parameters}}{{end}}"
                    "|{{.Input}}"),
        chat_message=source("{{.RoleName}}{{if .FunctionCall}}{{toJson .FunctionCall}}{{end}}"
                            "{{.Content}}{{if .Function}}!{{end}}"),
    )  # fmt: skip
    call = {"id": "c", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "name": "add"},
    ]
    prompter = Prompter(profile)
    assert prompter.chat(messages, TOOLS) == (
        'add: Adds. {}|userHi\nassistant[{"id":"c","function":{"name":"add","arguments":"{}"}}]\n'
        "tool3!"
    )
    assert prompter.chat(ASK) == "|userHi"


def test_completions_and_edits():
    prompter = Prompter(
        PromptProfile(
            completion=source("Continue: {{.Input}}"),
            edit=source("Do {{.Instruction}} to {{.Input}}:"),
        )
    )
    assert prompter.completion("x").runs == (("Continue: ", False), ("x", True))
    assert prompter.edit("this", "that") == "Do this to that:"
