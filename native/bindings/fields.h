// Lists the fields of every record that crosses to Python: each once, by its Python name.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "base/cpu_features.h"
#include "pyserve/blocks.h"
#include "pyserve/config.h"
#include "pyserve/error.h"
#include "pyserve/kernels.h"
#include "pyserve/quantize.h"
#include "pyserve/request.h"

namespace pyserve {

// How a field crosses, where its value is not the same on both sides.
enum class As {
  kValue,
  kArgument,     // no field in Python: an argument beside the record, which Python works out
  kItems,        // a dict in Python, its pairs in C++
  kNoneIfEmpty,  // None in Python where it is empty in C++
  kBytes,        // bytes in Python
  kReadable,     // text that may quote bytes which are no UTF-8: U+FFFD in Python
};

template <typename StructType, typename MemberType, As kHow>
struct Field {
  using Struct = StructType;
  using Member = MemberType;
  static constexpr As kAs = kHow;

  const char* name;
  Member Struct::* member;
};

template <As kAs = As::kValue, typename Struct, typename Member>
constexpr Field<Struct, Member, kAs> field(const char* name, Member Struct::* member) {
  return {name, member};
}

// kName and kList: a tuple of all fields, in the order in which they are declared.
template <typename T>
struct Fields;

template <typename T>
concept Record = requires { Fields<std::remove_cv_t<T>>::kList; };

// A tuple in Python instead of an object with names, because there are many of them.
template <typename T>
inline constexpr bool kIsTuple = false;
template <>
inline constexpr bool kIsTuple<TopLogprob> = true;
template <>
inline constexpr bool kIsTuple<TokenLogprob> = true;
template <>
inline constexpr bool kIsTuple<AdapterScale> = true;

// Whether a list has every field, in order: a record can be made of their values, and of no more.
template <typename T, typename List>
inline constexpr bool kHasAll = false;
template <typename T, typename... F>
inline constexpr bool kHasAll<T, const std::tuple<F...>> = requires {
  T{std::declval<typename F::Member>()...};
} && !requires { T{std::declval<typename F::Member>()..., {}}; };

#define PYSERVE_RECORD(Name, ...)                               \
  template <>                                                   \
  struct Fields<Name> {                                         \
    using S = Name;                                             \
    static constexpr const char* kName = #Name;                 \
    static constexpr auto kList = std::make_tuple(__VA_ARGS__); \
  };                                                            \
  static_assert(kHasAll<Name, decltype(Fields<Name>::kList)>, "a field is missing or misplaced")
#define SAME(name) field(#name, &S::name)
#define SAME_AS(how, name) field<As::how>(#name, &S::name)

// From Python: a field that is None there keeps the default that it has here.

PYSERVE_RECORD(RopeConfig, SAME(scaling), SAME(freq_base), SAME(freq_scale), SAME(yarn_ext_factor),
               SAME(yarn_attn_factor), SAME(yarn_beta_fast), SAME(yarn_beta_slow),
               SAME(yarn_orig_ctx));

PYSERVE_RECORD(MetadataOverride, SAME(key), SAME(value));

PYSERVE_RECORD(EngineConfig, SAME(model_path), SAME_AS(kArgument, adapter_paths), SAME(n_ctx),
               SAME(n_kv), SAME(n_seq_max), SAME(n_batch), SAME(kernels), SAME(n_threads),
               SAME(n_threads_batch), field("deterministic", &S::is_deterministic),
               SAME(n_queue_max), SAME(use_mmap), SAME(use_mlock), SAME(rope), SAME(cache_type_k),
               SAME(cache_type_v), SAME(flash_attn), SAME(numa), SAME(overrides),
               SAME(chat_template), SAME(n_bytes_available), SAME_AS(kArgument, shown_tokens),
               SAME(prefix_cache_mib), SAME(prefix_disk_dir), SAME(prefix_disk_mib),
               SAME(prefix_disk_ttl_s), SAME(prefix_disk_min_tokens),
               field("prefix_disk_read_only", &S::is_prefix_disk_read_only),
               SAME_AS(kArgument, prefix_build), SAME_AS(kArgument, tells_blocks),
               SAME(n_draft_max), SAME(spec_type), SAME(drafts_always), SAME(draft_model_path),
               SAME(n_draft_min), SAME(draft_p_min), SAME(max_token_gap_ms));

PYSERVE_RECORD(SamplingParams, SAME(temperature), SAME(dynatemp_range), SAME(dynatemp_exponent),
               SAME(top_k), SAME(top_p), SAME(min_p), SAME(typical_p), SAME(top_n_sigma),
               SAME(min_keep), SAME(xtc_probability), SAME(xtc_threshold), SAME(repeat_penalty),
               SAME(repeat_last_n), SAME(frequency_penalty), SAME(presence_penalty),
               SAME(dry_multiplier), SAME(dry_base), SAME(dry_allowed_length),
               SAME(dry_penalty_last_n), SAME(dry_sequence_breakers), SAME(mirostat),
               SAME(mirostat_tau), SAME(mirostat_eta), SAME(adaptive_target), SAME(adaptive_decay),
               SAME(samplers), SAME_AS(kItems, logit_bias), SAME(seed), SAME(ignore_eos),
               SAME(allowed_token_ids), SAME(bad_words));

PYSERVE_RECORD(ThinkingLimit, SAME(begin), SAME(end), SAME(is_open), SAME(max_tokens),
               SAME(message));

PYSERVE_RECORD(Request, SAME_AS(kArgument, id), SAME_AS(kArgument, prompt), SAME(sampling),
               SAME_AS(kArgument, adapters), SAME(wants_embedding), SAME(wants_ranks),
               SAME(max_tokens), SAME(stop), SAME(stop_token_ids), SAME(shows_stop),
               SAME(min_tokens), SAME(grammar), SAME(draft), SAME(n_draft_max), SAME(thinking),
               SAME(n_logprobs), SAME(said), SAME(n_prompt_logprobs), SAME(n_logit_rows),
               SAME(tenant), SAME(cache_salt), SAME(saves_prefix), SAME(priority),
               field("background", &S::is_background), SAME(max_token_gap_ms), SAME(deadline_ms),
               SAME(max_total_ms), SAME(max_decode_ms),
               field("deterministic", &S::is_deterministic), SAME(wants_progress),
               SAME(wants_timings));

PYSERVE_RECORD(QuantizeOptions, SAME(type), SAME(n_threads), SAME(allow_requantize));

// To Python.

PYSERVE_RECORD(PairTokens, SAME(before), SAME(between), SAME(after));

PYSERVE_RECORD(ModelInfo, SAME(name), SAME(architecture), SAME(description), SAME(quantization),
               SAME(n_params), SAME(size_bytes), SAME(n_vocab), SAME(n_embd), SAME(n_layer),
               SAME(n_ctx_train), SAME(n_ctx), SAME(n_seq_max), SAME(n_threads),
               SAME(n_threads_batch), SAME(n_kv), SAME(cache_type_k), SAME(cache_type_v),
               SAME(kv_bytes), SAME(compute_bytes), SAME(guesser), SAME(can_generate),
               SAME(n_ranks), SAME(rank_labels), SAME(rank_template), SAME(pair), SAME(n_pooled),
               SAME(has_chat_template), SAME(chat_template), SAME(tool_template),
               SAME(rag_template), SAME(bos_token), SAME(eos_token), SAME(fim_pre_token),
               SAME(fim_suf_token), SAME(fim_mid_token), SAME(load_ms), SAME(kernels));

PYSERVE_RECORD(AdapterScale, SAME(adapter), SAME(scale));

PYSERVE_RECORD(PrefixBlocks, SAME(is_stored), SAME(adapters), SAME(tenant), SAME(cache_salt),
               SAME(parent), SAME(hashes), SAME(tokens));

PYSERVE_RECORD(PrefixChanges, SAME(is_reset), SAME(blocks));

PYSERVE_RECORD(DraftCount, SAME(kind), SAME(n_tokens), SAME(n_accepted));

PYSERVE_RECORD(EngineStats, SAME(n_running), SAME(n_waiting), SAME(running_adapters),
               SAME(waiting_adapters), SAME(n_finished), SAME(n_failed), SAME(n_cancelled),
               SAME(n_prompt_tokens), SAME(n_cached_tokens), SAME(n_decode_tokens), SAME(n_steps),
               SAME(n_step_requests), SAME(n_tokens_max), SAME(n_preempted), SAME(n_gave_way),
               SAME(n_threads), SAME(prompt_ms), SAME(decode_ms), SAME(n_kv_used), SAME(n_kv_total),
               SAME(n_kv_held), SAME(n_draft_tokens), SAME(n_draft_accepted), SAME(n_drafts),
               SAME(n_accepted_at), SAME(drafts), SAME(gaps), SAME(gaps_ms), SAME(n_prefix_hits),
               SAME(n_prefix_restored), SAME(n_prefix_pins), SAME(prefix_copy_bytes),
               SAME(n_block_losses), SAME(n_disk_hits), SAME(n_disk_tokens), SAME(n_disk_absent),
               SAME(n_disk_slow), SAME(n_disk_full), SAME(n_disk_late), SAME(n_disk_damaged),
               SAME(n_disk_gone), SAME(disk_bytes), SAME(n_disk_pieces), SAME(n_disk_written),
               SAME(disk_written_bytes), SAME(n_disk_errors), SAME(disk_read_bytes),
               SAME(disk_read_ms), SAME(stalled_ms));

PYSERVE_RECORD(ErrorInfo, SAME(code), SAME_AS(kReadable, message), SAME_AS(kNoneIfEmpty, param),
               SAME(details));

PYSERVE_RECORD(TopLogprob, SAME(token), SAME_AS(kBytes, piece), SAME(logprob));

PYSERVE_RECORD(TokenLogprob, SAME(token), SAME_AS(kBytes, piece), SAME(logprob), SAME(top));

PYSERVE_RECORD(Finish, SAME(reason), SAME(stop_string), SAME(stop_token), SAME(n_prompt_tokens),
               SAME(n_completion_tokens), SAME(n_cached_tokens), SAME(n_draft_accepted),
               SAME(n_draft_rejected), SAME(queue_ms), SAME(prompt_ms), SAME(decode_ms));

PYSERVE_RECORD(DeltaEvent, SAME(text), SAME(n_tokens), SAME(tokens),
               SAME_AS(kNoneIfEmpty, logprobs), SAME_AS(kNoneIfEmpty, prompt_logprobs),
               SAME_AS(kNoneIfEmpty, embedding), SAME_AS(kNoneIfEmpty, logits), SAME(so_far),
               SAME(finish));

PYSERVE_RECORD(ProgressEvent, SAME(position), SAME(n_waiting), SAME(eta_ms), SAME(n_prompt_tokens),
               SAME(n_cached_tokens), SAME(n_computed_tokens), SAME(prompt_ms));

PYSERVE_RECORD(AcceptedEvent, SAME(n_prompt_tokens));

PYSERVE_RECORD(FailedEvent, SAME(error));

PYSERVE_RECORD(CpuFeature, SAME(name), SAME(is_shown), SAME(is_granted));

PYSERVE_RECORD(KernelFall, SAME(kernels), SAME(reason));

PYSERVE_RECORD(KernelChoice, SAME(kernels), SAME(lower), SAME(falls));

PYSERVE_RECORD(KernelRung, SAME(kernels), SAME(missing), SAME(failure));

#undef SAME_AS
#undef SAME
#undef PYSERVE_RECORD

}  // namespace pyserve
