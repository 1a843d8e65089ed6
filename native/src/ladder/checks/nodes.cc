// Attention and the gate of Gemma's layers.

#include <limits>
#include <numbers>

#include "ladder/proof.h"
#include "ladder/small_graph.h"

namespace pyserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Some query heads share a KV head; every token sees a run of cells and single ones.
// is_packed: a quantized cache, sinks and soft-capping; else 16-bit floats without those.
struct Heads {
  int n_dims;
  int n_tokens;
  int n_cells;
  bool is_packed;
  static constexpr int kHeads = 6;
  static constexpr int kKvHeads = 2;

  float scale() const { return 1 / std::sqrt(static_cast<float>(n_dims)); }
  bool sees(int token, int cell) const { return cell < n_cells - token && cell % 7 != token; }
};

// Numbers as rows of the type keep them.
std::vector<float> kept_as(ggml_type type, int n_row, const std::vector<float>& values) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<char> kept(n / n_row * ggml_row_size(type, n_row));
  ggml_quantize_chunk(type, values.data(), kept.data(), 0, n / n_row, n_row, nullptr);
  std::vector<float> out(values.size());
  ggml_get_type_traits(type)->to_float(kept.data(), out.data(), n);
  return out;
}

struct Attention {
  explicit Attention(const Heads& of_case)
      : heads(of_case),
        q(Numbers(3).many(static_cast<size_t>(heads.n_dims) * heads.n_tokens * Heads::kHeads)),
        k(kept_as(
            k_type(), heads.n_dims,
            Numbers(4).many(static_cast<size_t>(heads.n_dims) * heads.n_cells * Heads::kKvHeads))),
        v(kept_as(v_type(), heads.n_dims, Numbers(5).many(k.size()))),
        sinks(Numbers(7).many(Heads::kHeads)) {
    for (float& x : q) x *= 8;
  }

  ggml_type k_type() const { return heads.is_packed ? GGML_TYPE_Q8_0 : GGML_TYPE_F16; }
  ggml_type v_type() const { return heads.is_packed ? GGML_TYPE_Q4_0 : GGML_TYPE_F16; }
  float soft_cap() const { return heads.is_packed ? 2.0F : 0.0F; }

  ggml_tensor* cached(ggml_context* context, ggml_type type,
                      const std::vector<float>& values) const {
    ggml_tensor* out =
        ggml_new_tensor_3d(context, type, heads.n_dims, heads.n_cells, Heads::kKvHeads);
    ggml_quantize_chunk(type, values.data(), out->data, 0,
                        static_cast<int64_t>(heads.n_cells) * Heads::kKvHeads, heads.n_dims,
                        nullptr);
    return out;
  }

  std::vector<float> computed() const {
    const GgmlContext context = new_context(true);
    ggml_context* ctx = context.get();
    ggml_tensor* tq =
        ggml_new_tensor_3d(ctx, GGML_TYPE_F32, heads.n_dims, heads.n_tokens, Heads::kHeads);
    std::copy(q.begin(), q.end(), static_cast<float*>(tq->data));
    ggml_tensor* mask = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, heads.n_cells, heads.n_tokens);
    auto* to = static_cast<ggml_fp16_t*>(mask->data);
    for (int t = 0; t < heads.n_tokens; ++t) {
      for (int c = 0; c < heads.n_cells; ++c) {
        *to++ = ggml_fp32_to_fp16(heads.sees(t, c) ? 0.0F : -kInfinity);
      }
    }
    ggml_tensor* node =
        ggml_flash_attn_ext(ctx, tq, cached(ctx, k_type(), k), cached(ctx, v_type(), v), mask,
                            heads.scale(), 0.0F, soft_cap());
    if (heads.is_packed) {
      ggml_tensor* scores = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, Heads::kHeads);
      std::copy(sinks.begin(), sinks.end(), static_cast<float*>(scores->data));
      ggml_flash_attn_ext_add_sinks(node, scores);
    }
    return compute(ctx, node);
  }

  // Of one token and head.
  std::vector<double> expected(int token, int head) const {
    const auto n_dims = static_cast<size_t>(heads.n_dims);
    const float* query = q.data() + (static_cast<size_t>(head) * heads.n_tokens + token) * n_dims;
    const size_t kv_begin =
        static_cast<size_t>(head / (Heads::kHeads / Heads::kKvHeads)) * heads.n_cells * n_dims;
    std::vector<double> out(n_dims);
    double sum = heads.is_packed ? std::exp(static_cast<double>(sinks[head])) : 0;
    for (int c = 0; c < heads.n_cells; ++c) {
      if (!heads.sees(token, c)) continue;
      double score = 0;
      for (size_t d = 0; d < n_dims; ++d) {
        score += static_cast<double>(query[d]) * k[kv_begin + c * n_dims + d];
      }
      score *= heads.scale();
      if (heads.is_packed) score = soft_cap() * std::tanh(score / soft_cap());
      const double weight = std::exp(score);
      sum += weight;
      for (size_t d = 0; d < n_dims; ++d) out[d] += weight * v[kv_begin + c * n_dims + d];
    }
    for (double& x : out) x /= sum;
    return out;
  }

  bool is_right() const {
    const std::vector<float> out = computed();
    size_t at = 0;
    for (int t = 0; t < heads.n_tokens; ++t) {
      for (int h = 0; h < Heads::kHeads; ++h) {
        for (const double x : expected(t, h)) {
          if (!is_near(out[at++], x, 1)) return false;
        }
      }
    }
    return true;
  }

  Heads heads;
  std::vector<float> q, k, v, sinks;
};

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

}  // namespace

std::string check_attention() {
  for (const Heads& heads :
       {Heads{64, 1, 150, false}, Heads{64, 5, 203, false}, Heads{128, 3, 64, false},
        Heads{256, 2, 100, false}, Heads{64, 3, 150, true}}) {
    if (Attention(heads).is_right()) continue;
    return "attention of heads of " + std::to_string(heads.n_dims) +
           (heads.is_packed ? ", quantized," : "") + " is wrong";
  }
  return "";
}

std::string check_geglu() {
  constexpr int kElements = 100;
  const GgmlContext context = new_context(true);
  ggml_tensor* x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kElements, 1);
  ggml_tensor* gate = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kElements, 1);
  auto* in = static_cast<float*>(x->data);
  auto* gates = static_cast<float*>(gate->data);
  Numbers numbers(6);
  for (int i = 0; i < kElements; ++i) {
    in[i] = 4 * numbers.next();
    gates[i] = numbers.next();
  }
  const std::vector<float> inputs(in, in + kElements);
  const std::vector<float> out = compute(context.get(), ggml_geglu_split(context.get(), x, gate));
  for (int i = 0; i < kElements; ++i) {
    // The vendored table has 16-bit floats.
    if (!is_near(out[i], gelu(inputs[i]) * gates[i], 50)) return "GEGLU is wrong";
  }
  return "";
}

}  // namespace pyserve
