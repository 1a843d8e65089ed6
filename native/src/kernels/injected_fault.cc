#include "kernels/injected_fault.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include "base/signal_names.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "pyserve/error.h"
#include "traits.h"

namespace pyserve {
namespace {

constexpr std::string_view kWrong = "wrong";

// GGML_OP_COUNT: there is none of that name.
int op_named(std::string_view name) {
  int op = 0;
  while (op < GGML_OP_COUNT && name != ggml_op_name(static_cast<ggml_op>(op))) ++op;
  return op;
}

InjectedFault parse_fault(const std::string& text) {
  std::istringstream parts(text);
  std::string name, when, how;
  std::getline(parts, name, ':');
  std::getline(parts, when, ':');
  std::getline(parts, how);
  const auto rung = rung_named(name);
  const bool is_proof = when == "proof";
  int n_products = is_proof ? 0 : -1;
  if (!is_proof) std::from_chars(when.data(), when.data() + when.size(), n_products);
  const int signal = signal_named(how);
  int op = GGML_OP_MUL_MAT;
  if (signal == 0 && how != kWrong) {
    const std::string prefix = std::string(kWrong) + "-";
    op = how.starts_with(prefix) ? op_named(how.substr(prefix.size())) : GGML_OP_COUNT;
  }
  if (!rung || n_products < 0 || op == GGML_OP_COUNT) {
    throw EngineError(ErrorCode::kInvalidRequest,
                      "PYSERVE_KERNEL_FAULTS has '" + text + "', which is no RUNG:WHEN:HOW");
  }
  return {*rung, is_proof ? InjectedFault::kProof : InjectedFault::kUse, n_products, signal, op};
}

// Computes zeros.
class Zeros final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int /*n_threads*/, const ggml_tensor* /*op*/, size_t& /*size*/) override {
    return true;
  }
  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    if (params->ith == 0) std::memset(op->data, 0, ggml_nbytes(op));
    return true;
  }
};

// In front of all kernels.
class FaultHook final : public ggml::cpu::extra_buffer_type {
 public:
  explicit FaultHook(const InjectedFault& fault) : fault_(fault) {}

  bool supports_op(ggml_backend_dev_t /*device*/, const ggml_tensor* /*op*/) override {
    return false;
  }
  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    if (op->op != fault_.op || n_before_++ < fault_.n_products) return nullptr;
    if (fault_.signal != 0) raise(fault_.signal);
    return &zeros_;
  }

 private:
  const InjectedFault fault_;
  std::atomic<int> n_before_{0};
  Zeros zeros_;
};

const char* hook_name(ggml_backend_buffer_type_t /*type*/) { return "pyserve fault"; }

}  // namespace

std::vector<InjectedFault> parse_faults(const std::string& text) {
  std::vector<InjectedFault> faults;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) faults.push_back(parse_fault(part));
  return faults;
}

std::vector<InjectedFault> faults_of_environment() {
  const char* text = std::getenv("PYSERVE_KERNEL_FAULTS");
  return text == nullptr ? std::vector<InjectedFault>{} : parse_faults(text);
}

void inject_faults(Rung rung, InjectedFault::When when) {
  for (const InjectedFault& fault : faults_of_environment()) {
    if (fault.rung != rung || fault.when != when) continue;
    static FaultHook hook(fault);
    static ggml_backend_buffer_type type{};
    type.iface.get_name = hook_name;
    type.device = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
    type.context = &hook;
    auto& types = ggml_backend_cpu_get_extra_buffer_types();
    types.insert(types.begin(), &type);
    return;
  }
}

}  // namespace pyserve
