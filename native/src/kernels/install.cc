#include "kernels/install.h"

#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "kernels/attention.h"
#include "kernels/flash_attn_op.h"
#include "kernels/int8_gemm.h"
#include "kernels/mul_mat_op.h"
#include "kernels/panel_gemm.h"

namespace pyserve {
namespace {

// Asked for every node of a graph, by every compute thread.
class Hook final : public ggml::cpu::extra_buffer_type {
 public:
  // The integer product is taken where there is one.
  Hook(const AttentionKernels& attention, const GemmKernels& gemm, const Int8GemmKernels* int8_gemm)
      : flash_attn_(attention), float_mul_mat_(gemm) {
    if (int8_gemm != nullptr) int8_mul_mat_.emplace(*int8_gemm);
  }

  // No weights are ever placed in a buffer of ours.
  bool supports_op(ggml_backend_dev_t /*device*/, const ggml_tensor* /*op*/) override {
    return false;
  }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    if (op->op == GGML_OP_FLASH_ATTN_EXT && FlashAttnOp::can_compute(op)) return &flash_attn_;
    if (op->op == GGML_OP_MUL_MAT) return mul_mat(op);
    return nullptr;
  }

 private:
  MulMatOp* mul_mat(const ggml_tensor* op) {
    MulMatOp& product = int8_mul_mat_ ? static_cast<MulMatOp&>(*int8_mul_mat_) : float_mul_mat_;
    return product.can_compute(op) ? &product : nullptr;
  }

  FlashAttnOp flash_attn_;
  FloatMulMatOp float_mul_mat_;
  std::optional<Int8MulMatOp> int8_mul_mat_;
};

const char* hook_name(ggml_backend_buffer_type_t /*type*/) { return "pyserve"; }

bool is_set(const char* variable, std::string_view wanted) {
  const char* value = std::getenv(variable);
  return value != nullptr && value == wanted;
}

void install_once() {
  const AttentionKernels* attention = attention_kernels();
  const GemmKernels* gemm = gemm_kernels();
  if (attention == nullptr || gemm == nullptr || is_set("PYSERVE_KERNELS", "stock")) return;
  static Hook hook(*attention, *gemm,
                   is_set("PYSERVE_KERNELS", "float") ? nullptr : int8_gemm_kernels());
  ggml_backend_dev_t device = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
  static ggml_backend_buffer_type type{};
  type.iface.get_name = hook_name;
  type.device = device;
  type.context = &hook;
  // NOTE: the model loader offers weights to a copy of this list, which is made at the first look.
  // Looking now keeps us out of it: we have kernels, but no buffers.
  using GetExtraTypes = ggml_backend_buffer_type_t* (*)(ggml_backend_dev_t);
  const auto get_extra_types = reinterpret_cast<GetExtraTypes>(ggml_backend_reg_get_proc_address(
      ggml_backend_cpu_reg(), "ggml_backend_dev_get_extra_bufts"));
  if (get_extra_types == nullptr) return;
  get_extra_types(device);
  auto& types = ggml_backend_cpu_get_extra_buffer_types();
  types.insert(types.begin(), &type);
}

}  // namespace

void install_kernels() {
  static std::once_flag once;
  std::call_once(once, install_once);
}

}  // namespace pyserve
