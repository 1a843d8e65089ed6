"""lm-eval: log-likelihoods over completions and answers over chats, on a task made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest

from tests.clients.conftest import FIRST, MODEL

ROWS = [
    {"question": "The capital of France is", "choices": ["Paris", "banana"], "answer": 0},
    {"question": "The sun rises in the", "choices": ["spoon", "east"], "answer": 1},
    {"question": "Two and two is", "choices": ["four", "river"], "answer": 0},
    {"question": "Cats like to drink", "choices": ["stones", "milk"], "answer": 1},
]


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The rows as a task reads them."""
    monkeypatch.setenv("OPENAI_API_KEY", FIRST)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    files = {"data_files": {"test": str(path)}, "cache_dir": str(tmp_path / "cache")}
    return {"dataset_path": "json", "dataset_kwargs": files, "test_split": "test"}


def results(model: str, url: str, task: dict[str, Any], **options: Any) -> dict[str, float]:
    """The figures of the task."""
    args = {"model": MODEL, "base_url": url, "auth_token": FIRST, "max_retries": 1}
    found = lm_eval.simple_evaluate(
        model=model,
        model_args={**args, **options.pop("model_args", {})},
        tasks=[task],
        bootstrap_iters=0,
        **options,
    )
    figures: dict[str, float] = found["results"][task["task"]]
    return figures


@pytest.mark.parametrize("is_by_tokens", [True, False])
def test_the_right_ending_is_likelier(
    base_url: str, dataset: dict[str, Any], is_by_tokens: bool
) -> None:
    task = {
        **dataset,
        "task": "endings",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    tokenizer = {"tokenizer_backend": "remote", "tokenized_requests": is_by_tokens}
    figures = results(
        "local-completions",
        f"{base_url}/completions",
        task,
        model_args={**tokenizer, "batch_size": 4},
    )
    assert figures["acc,none"] == 1


@pytest.mark.parametrize("model", ["local-completions", "local-chat-completions"])
def test_answers_are_generated_until_a_stop(
    base_url: str, dataset: dict[str, Any], model: str
) -> None:
    task = {
        **dataset,
        "task": "answers",
        "output_type": "generate_until",
        "doc_to_text": "Complete with one word: {{question}}",
        "doc_to_target": "{{choices[answer]}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 12, "temperature": 0},
        "metric_list": [{"metric": "exact_match"}],
    }
    is_chat = "chat" in model
    figures = results(
        model,
        f"{base_url}/{'chat/completions' if is_chat else 'completions'}",
        task,
        apply_chat_template=is_chat,
        model_args={"num_concurrent": 2} | ({} if is_chat else {"tokenizer_backend": "remote"}),
    )
    assert 0 <= figures["exact_match,none"] <= 1
