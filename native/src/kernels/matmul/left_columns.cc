#include "kernels/matmul/left_columns.h"

#include "base/check.h"
#include "ggml-impl.h"

namespace pyserve {
namespace {

struct Planned {
  const ggml_tensor* op;
  LeftColumns::Key key;
};

struct Computed {
  const ggml_tensor* op;
  const void* work_buffer;
};

// The last node of the graph that the thread plans, or computes, when it is a product.
thread_local Planned last_planned{};
thread_local Computed last_computed{};

// Between gate and up of a mixture of experts there may be their biases.
bool needs_no_work_buffer(const ggml_tensor* op) {
  return op->op == GGML_OP_ADD_ID && op->src[0]->type == GGML_TYPE_F32;
}

}  // namespace

void LeftColumns::plan(const ggml_tensor* op, const Key& key) {
  const bool has_columns =
      last_planned.op != nullptr && last_planned.op != op && last_planned.key == key;
  // NOTE: `extra` of a node is its planner's; nothing else of the vendor's graph is written to.
  const_cast<ggml_tensor*>(op)->extra =
      has_columns ? const_cast<ggml_tensor*>(last_planned.op) : nullptr;
  last_planned = (op->flags & GGML_TENSOR_FLAG_COMPUTE) != 0 ? Planned{op, key} : Planned{};
}

bool LeftColumns::take(const ggml_tensor* op, const void* work_buffer) {
  const Computed before = last_computed;
  forget();
  if (op->extra == nullptr) return false;
  PYSERVE_DEBUG_CHECK(before.op == op->extra && before.work_buffer == work_buffer);
  return true;
}

void LeftColumns::leave(const ggml_tensor* op, const void* work_buffer) {
  last_computed = {op, work_buffer};
}

void LeftColumns::meet(const ggml_tensor* other_op) {
  if (!ggml_op_is_empty(other_op->op) && !needs_no_work_buffer(other_op)) forget();
}

void LeftColumns::forget() {
  last_planned = Planned{};
  last_computed = Computed{};
}

}  // namespace pyserve
