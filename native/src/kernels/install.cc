#include "kernels/install.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "base/cpu_features.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/op.h"
#include "kernels/flat_columns.h"
#include "kernels/geglu/geglu.h"
#include "kernels/geglu/op.h"
#include "kernels/matmul/id_op.h"
#include "kernels/matmul/left_columns.h"
#include "kernels/matmul/op.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/weight_types.h"
#include "kernels/recurrence/ops.h"
#include "kernels/scaled_rows.h"
#include "repack.h"
#include "traits.h"

namespace pyserve {
namespace {

// The kernels of a rung.
struct Kernels {
  const AttentionKernels& attention;
  const Int8GemmKernels& gemm;
  GegluFn geglu;
  const RecurrenceKernels& recurrence;
};

// Asked for every node of a graph, by every compute thread.
class Hook final : public ggml::cpu::extra_buffer_type {
 public:
  explicit Hook(const Kernels& kernels)
      : flash_attn_(kernels.attention),
        mul_mat_(kernels.gemm),
        mul_mat_id_(kernels.gemm),
        geglu_(kernels.geglu),
        scan_(kernels.recurrence),
        delta_(kernels.recurrence),
        wkv_(kernels.recurrence),
        convolution_(kernels.recurrence),
        concat_(kernels.recurrence) {}

  // No weights are ever placed in a buffer of ours.
  bool supports_op(ggml_backend_dev_t /*device*/, const ggml_tensor* /*op*/) override {
    return false;
  }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    if (op->op == GGML_OP_MUL_MAT && mul_mat_.can_compute(op)) return &mul_mat_;
    if (op->op == GGML_OP_MUL_MAT_ID && mul_mat_id_.can_compute(op)) return &mul_mat_id_;
    LeftColumns::meet(op);
    switch (op->op) {
      case GGML_OP_MUL_MAT:
        return flat_columns_.can_compute(op) ? &flat_columns_ : nullptr;
      case GGML_OP_FLASH_ATTN_EXT:
        return known(flash_attn_, op);
      case GGML_OP_GLU:
        return known(geglu_, op);
      case GGML_OP_MUL:
        return known(scaled_rows_, op);
      case GGML_OP_CONCAT:
        return known(concat_, op);
      default:
        return recurrence_of(op);
    }
  }

 private:
  template <typename Op>
  static Op* known(Op& ours, const ggml_tensor* op) {
    return Op::can_compute(op) ? &ours : nullptr;
  }

  ggml::cpu::tensor_traits* recurrence_of(const ggml_tensor* op) {
    switch (op->op) {
      case GGML_OP_SSM_SCAN:
        return known(scan_, op);
      case GGML_OP_GATED_DELTA_NET:
        return known(delta_, op);
      case GGML_OP_RWKV_WKV7:
        return known(wkv_, op);
      case GGML_OP_SSM_CONV:
        return known(convolution_, op);
      default:
        return nullptr;
    }
  }

  FlashAttnOp flash_attn_;
  MulMatOp mul_mat_;
  FlatColumnsOp flat_columns_{mul_mat_};
  MulMatIdOp mul_mat_id_;
  GegluOp geglu_;
  ScaledRowsOp scaled_rows_;
  ScanOp scan_;
  DeltaOp delta_;
  WkvOp wkv_;
  ConvolutionOp convolution_;
  ConcatOp concat_;
};

// Stands before the vendored buffers of repacked weights, whose loader is offered all weights:
// those that are best in panels of ours stay where the file is.
class RepackGate final : public ggml::cpu::extra_buffer_type {
 public:
  explicit RepackGate(ggml::cpu::extra_buffer_type* vendored) : vendored_(vendored) {}

  bool supports_op(ggml_backend_dev_t device, const ggml_tensor* op) override {
    return !(makes_panels && are_best_in_panels(op->src[0])) && vendored_->supports_op(device, op);
  }
  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    return vendored_->get_tensor_traits(op);
  }

  bool makes_panels = false;

 private:
  ggml::cpu::extra_buffer_type* vendored_;
};

// Put in its place once; nullptr: nothing is repacked on this CPU.
RepackGate* repack_gate() {
  static RepackGate* const gate = []() -> RepackGate* {
    ggml_backend_buffer_type_t repack = ggml_backend_cpu_repack_buffer_type();
    if (repack == nullptr || repack->context == nullptr) return nullptr;
    static RepackGate made(static_cast<ggml::cpu::extra_buffer_type*>(repack->context));
    repack->context = &made;
    return &made;
  }();
  return gate;
}

const char* hook_name(ggml_backend_buffer_type_t /*type*/) { return "pyserve"; }

std::unique_ptr<Hook> make_hook(Rung rung) {
  const AttentionKernels* attention = attention_kernels(rung);
  const Int8GemmKernels* gemm = int8_gemm_kernels(rung);
  const GegluFn geglu = geglu_kernel(rung);
  const RecurrenceKernels* recurrence = recurrence_kernels(rung);
  if (attention == nullptr || gemm == nullptr || geglu == nullptr || recurrence == nullptr) {
    return nullptr;
  }
  return std::make_unique<Hook>(Kernels{*attention, *gemm, geglu, *recurrence});
}

// NOTE: the model loader offers weights to a copy of the list of extra buffer types, which is made
// at the first look. Looking before our hook is in the list keeps us out of it: we have kernels,
// but no buffers.
void make_loaders_copy() {
  using GetExtraTypes = ggml_backend_buffer_type_t* (*)(ggml_backend_dev_t);
  const auto get_extra_types = reinterpret_cast<GetExtraTypes>(ggml_backend_reg_get_proc_address(
      ggml_backend_cpu_reg(), "ggml_backend_dev_get_extra_bufts"));
  if (get_extra_types != nullptr) {
    get_extra_types(ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0));
  }
}

// The vendored buffers for AMX, which take weights away from our panels; nullptr: there are none.
ggml_backend_buffer_type_t vendored_amx() {
  static const ggml_backend_buffer_type_t amx = []() -> ggml_backend_buffer_type_t {
    for (ggml_backend_buffer_type_t each : ggml_backend_cpu_get_extra_buffer_types()) {
      if (std::string_view(ggml_backend_buft_name(each)) == "AMX") return each;
    }
    return nullptr;
  }();
  return amx;
}

}  // namespace

void leave_weights_to_panels(bool is_so) {
  if (RepackGate* gate = repack_gate(); gate != nullptr) gate->makes_panels = is_so;
}

void install_kernels(Rung rung) {
  static std::unique_ptr<Hook> hook;
  static ggml_backend_buffer_type hook_type{};
  const ggml_backend_buffer_type_t amx = vendored_amx();
  auto& types = ggml_backend_cpu_get_extra_buffer_types();
  std::erase_if(types, [&](auto* each) { return each == &hook_type || each == amx; });
  make_loaders_copy();
  if (rung == Rung::kAmx && !request_tiles()) rung = Rung::kAvx512Vnni;
  hook = make_hook(rung);
  if (hook != nullptr) {
    hook_type.iface.get_name = hook_name;
    hook_type.device = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
    hook_type.context = hook.get();
    types.insert(types.begin(), &hook_type);
  }
  set_rung_in_force(hook == nullptr ? Rung::kStock : rung);
}

}  // namespace pyserve
