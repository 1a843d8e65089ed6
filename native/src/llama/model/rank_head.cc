#include "llama/model/rank_head.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "ggml-cpu.h"
#include "llama-model.h"
#include "llama.h"

namespace pyserve {
namespace {

constexpr size_t kMaxNodes = 32;
// States of the graph beside its input, none longer than the longest side of a matrix.
constexpr size_t kMaxStates = 12;

struct FreeGgml {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

bool is_ranking(const llama_model& model) {
  return model.hparams.pooling_type == LLAMA_POOLING_TYPE_RANK;
}

size_t graph_bytes(const llama_model& model, int n_out) {
  const size_t n_longest = std::max<size_t>(model.hparams.n_embd, n_out);
  const size_t n_state_bytes = n_longest * sizeof(float) + ggml_tensor_overhead() + 64;
  return kMaxStates * n_state_bytes + ggml_graph_overhead_custom(kMaxNodes, false) + 4096;
}

// The operations of the vendor's graph but the softmax over the labels of some architectures.
ggml_tensor* add_head(const llama_model& model, ggml_context* context, ggml_tensor* state) {
  if (model.cls != nullptr) {
    state = ggml_mul_mat(context, model.cls, state);
    if (model.cls_b != nullptr) state = ggml_add(context, state, model.cls_b);
    const bool is_gelu = model.arch == LLM_ARCH_MODERN_BERT;
    state = is_gelu ? ggml_gelu(context, state) : ggml_tanh(context, state);
    if (model.cls_norm != nullptr) {
      state = ggml_norm(context, state, model.hparams.f_norm_eps);
      state = ggml_mul(context, state, model.cls_norm);
    }
  }
  if (model.cls_out != nullptr) {
    state = ggml_mul_mat(context, model.cls_out, state);
    if (model.cls_out_b != nullptr) state = ggml_add(context, state, model.cls_out_b);
  }
  return state;
}

void append_if(bool is_wanted, Token token, std::vector<Token>& tokens) {
  if (is_wanted && token != LLAMA_TOKEN_NULL) tokens.push_back(token);
}

}  // namespace

int RankHead::n_out() const {
  if (!is_ranking(model_)) return 0;
  const ggml_tensor* last = model_.cls_out != nullptr ? model_.cls_out : model_.cls;
  return last == nullptr ? 0 : static_cast<int>(last->ne[1]);
}

std::vector<std::string> RankHead::labels() const {
  const bool are_all = model_.classifier_labels.size() == static_cast<size_t>(n_out());
  return are_all ? model_.classifier_labels : std::vector<std::string>();
}

std::vector<float> RankHead::apply(std::span<const float> state) const {
  const size_t n_bytes = graph_bytes(model_, n_out());
  const std::unique_ptr<ggml_context, FreeGgml> context(ggml_init({n_bytes, nullptr, false}));
  PYSERVE_CHECK(context != nullptr);
  const auto n_state = static_cast<int64_t>(state.size());
  ggml_tensor* input = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, n_state);
  std::memcpy(input->data, state.data(), state.size_bytes());
  ggml_tensor* output = add_head(model_, context.get(), input);
  ggml_cgraph* graph = ggml_new_graph_custom(context.get(), kMaxNodes, false);
  ggml_build_forward_expand(graph, output);
  ggml_cplan plan = ggml_graph_plan(graph, 1, nullptr);
  std::vector<uint8_t> work(plan.work_size);
  plan.work_data = work.data();
  PYSERVE_CHECK(ggml_graph_compute(graph, &plan) == GGML_STATUS_SUCCESS);
  const auto* numbers = static_cast<const float*>(output->data);
  return {numbers, numbers + ggml_nelements(output)};
}

// [BOS] query [EOS] [SEP] document [EOS], each where the vocabulary adds it. BERT's, which has no
// end, is trained with a separator there.
PairTokens pair_tokens(const llama_vocab& vocab) {
  const Token sep = llama_vocab_sep(&vocab);
  const Token eos = llama_vocab_eos(&vocab) != LLAMA_TOKEN_NULL ? llama_vocab_eos(&vocab) : sep;
  PairTokens pair;
  append_if(llama_vocab_get_add_bos(&vocab), llama_vocab_bos(&vocab), pair.before);
  append_if(llama_vocab_get_add_eos(&vocab), eos, pair.between);
  append_if(llama_vocab_get_add_sep(&vocab), sep, pair.between);
  append_if(llama_vocab_get_add_eos(&vocab), eos, pair.after);
  append_if(pair.after.empty() && llama_vocab_get_add_sep(&vocab), sep, pair.after);
  return pair;
}

}  // namespace pyserve
