// Which fields of a request are shown together. Pure.

const GROUPS = [
  ["Randomness", "temperature top_p top_k min_p seed"],
  [
    "Length and end",
    "max_tokens stop min_tokens ignore_eos t_max_predict_ms stop_token_ids include_stop_str_in_output",
  ],
  ["Repetition", "repeat_penalty repeat_last_n frequency_penalty presence_penalty dry_multiplier"],
  ["Reasoning", "enable_thinking reasoning_effort thinking_budget_tokens reasoning_budget_message"],
  [
    "More samplers",
    "typical_p top_n_sigma min_keep xtc_probability xtc_threshold dynatemp_range dynatemp_exponent" +
      " mirostat mirostat_tau mirostat_eta adaptive_target adaptive_decay dry_base" +
      " dry_allowed_length dry_penalty_last_n dry_sequence_breakers samplers",
  ],
  ["Tokens", "logit_bias bad_words allowed_token_ids"],
];
// Those that the pages have other controls for, or that say how the answer is sent.
const ELSEWHERE = new Set(
  (
    "messages model prompt suffix input instruction stream stream_options logprobs top_logprobs n" +
    " best_of echo tools tool_choice functions function_call response_format grammar json_schema regex" +
    " structured_outputs return_progress timings timings_per_token sse_ping_interval return_tokens" +
    " return_token_ids max_completion_tokens store metadata user safety_identifier prompt_cache_key" +
    " continue_final_message add_generation_prompt options input_prefix input_suffix input_extra" +
    " response_fields n_probs"
  ).split(" "),
);
const ALIAS = /^(?:Another name of|The (?:same|older form|name)\b)/;

// [title, names of fields] of those that there are; the last group has all that are in no other.
export function groupsOf(fields) {
  const shown = GROUPS.map(([title, names]) => {
    return [title, names.split(" ").filter((name) => Object.hasOwn(fields, name))];
  });
  const known = new Set(shown.flatMap(([, names]) => names));
  const rest = Object.keys(fields).filter((name) => {
    return !known.has(name) && !ELSEWHERE.has(name) && !ALIAS.test(fields[name].description ?? "");
  });
  return [...shown, ["Everything else", rest]].filter(([, names]) => names.length > 0);
}
