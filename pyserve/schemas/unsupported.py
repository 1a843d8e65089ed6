"""Fields of OpenAI and of other servers that would change the answer and are not implemented.

Each maps to its neutral values, which are accepted. Numbers may be integers or floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Unsupported = Mapping[str, tuple[object, ...]]

# What the answer may look like.
CONSTRAINTS: Unsupported = {
    "tools": ([],),
    "functions": ([],),
}
# How the prompt is made.
PROMPT: Unsupported = {
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "negative_prompt": ("",),
    "truncate_prompt_tokens": (),
}
# Which token comes next.
SAMPLERS: Unsupported = {
    "mirostat_mode": (0,),
    "smoothing_factor": (0,),
    "tfs_z": (1,),
    "tfs": (1,),
    "top_a": (0,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "length_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "penalty_alpha": (0,),
    "typical": (1,),
    "use_beam_search": (False,),
    "logits_processors": ([],),
    "bad_words": ([],),
    "allowed_token_ids": (),
}
# Where the answer ends, and what of it is shown.
ENDINGS: Unsupported = {
    "stop_token_ids": ([],),
    "min_tokens": (0,),
    "n_predict": (-1,),
    "num_predict": (-1,),
    "n_probs": (0,),
    "prompt_logprobs": (),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "t_max_predict_ms": (0, -1),
}

UNSUPPORTED: Unsupported = {**CONSTRAINTS, **PROMPT, **SAMPLERS, **ENDINGS}
# The fields of ConstraintFields, for the endpoints that do not have them.
UNCONSTRAINED: Unsupported = {
    **UNSUPPORTED,
    "response_format": ({"type": "text"},),
    "grammar": ("",),
    "json_schema": (),
    "regex": ("",),
    "choice": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "structured_outputs": (),
    "format": ("",),
}


def without(unsupported: Unsupported, *names: str) -> Unsupported:
    """The table without the named fields, for a schema that supports them."""
    return {name: neutral for name, neutral in unsupported.items() if name not in names}


def first_unsupported(data: Mapping[str, Any], unsupported: Unsupported) -> str | None:
    """The first field of `data` with a value that is not neutral."""
    for name, neutral_values in unsupported.items():
        value = data.get(name)
        if value is not None and not any(_is_same(value, neutral) for neutral in neutral_values):
            return name
    return None


def _is_same(value: object, neutral: object) -> bool:
    """Equal, with 0 and 0.0 the same and 0 and False not."""
    return isinstance(value, bool) == isinstance(neutral, bool) and value == neutral
