#include "kernels/install.h"

#include <cstdlib>
#include <mutex>

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "kernels/attention.h"
#include "kernels/flash_attn_op.h"
#include "kernels/geglu.h"
#include "kernels/geglu_op.h"
#include "kernels/int8_gemm.h"
#include "kernels/mul_mat_op.h"

namespace pyserve {
namespace {

// Asked for every node of a graph, by every compute thread.
class Hook final : public ggml::cpu::extra_buffer_type {
 public:
  Hook(const AttentionKernels& attention, const Int8GemmKernels& gemm, GegluFn geglu)
      : flash_attn_(attention), mul_mat_(gemm), geglu_(geglu) {}

  // No weights are ever placed in a buffer of ours.
  bool supports_op(ggml_backend_dev_t /*device*/, const ggml_tensor* /*op*/) override {
    return false;
  }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    if (op->op == GGML_OP_FLASH_ATTN_EXT && FlashAttnOp::can_compute(op)) return &flash_attn_;
    if (op->op == GGML_OP_MUL_MAT && mul_mat_.can_compute(op)) return &mul_mat_;
    if (!ggml_op_is_empty(op->op)) MulMatOp::forget();
    if (op->op == GGML_OP_GLU && GegluOp::can_compute(op)) return &geglu_;
    return nullptr;
  }

 private:
  FlashAttnOp flash_attn_;
  MulMatOp mul_mat_;
  GegluOp geglu_;
};

const Int8GemmKernels* installed = nullptr;  // written once, in call_once

const char* hook_name(ggml_backend_buffer_type_t /*type*/) { return "pyserve"; }

void install_once() {
  const char* variable = std::getenv("PYSERVE_KERNELS");
  const char* name = variable == nullptr ? "" : variable;
  const AttentionKernels* attention = attention_kernels(name);
  const Int8GemmKernels* gemm = int8_gemm_kernels(name);
  const GegluFn geglu = geglu_kernel(name);
  if (attention == nullptr || gemm == nullptr || geglu == nullptr) return;
  static Hook hook(*attention, *gemm, geglu);
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
  installed = gemm;
}

}  // namespace

void install_kernels() {
  static std::once_flag once;
  std::call_once(once, install_once);
}

const Int8GemmKernels* matrix_kernels() { return installed; }

}  // namespace pyserve
