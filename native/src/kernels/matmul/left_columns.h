// Neighbouring products of the same columns, as gate and up of a layer, round them once.
#pragma once

#include "kernels/matmul/int8/gemm.h"

struct ggml_tensor;

namespace pyserve {

// The vendor plans the nodes of a graph in the order in which they are computed, so the plan of one
// node sees which was before it: `extra` of a product is the one that leaves it the columns in the
// work buffer, nullptr when it rounds them itself. A debug build checks that every thread comes to
// it right from that one, with the same buffer.
//
// Thread: compute threads of any pool; what is planned is the planning thread's.
class LeftColumns {
 public:
  // How a product leaves columns in the work buffer. Of an earlier graph, tensors may be gone: they
  // are compared, not looked at.
  struct Key {
    const ggml_tensor* columns = nullptr;
    const ggml_tensor* ids = nullptr;  // of a GGML_OP_MUL_MAT_ID
    int64_t n_experts = 0;
    QuantizeFn quantize = nullptr;
    bool is_little = false;

    bool operator==(const Key&) const = default;
  };

  // To be called when a product is planned.
  static void plan(const ggml_tensor* op, const Key& key);
  // Whether the columns of a product are there; to be called when it is computed, and then
  // leave().
  static bool take(const ggml_tensor* op, const void* work_buffer);
  static void leave(const ggml_tensor* op, const void* work_buffer);

  // Some other op comes: where it has the work buffer for itself, a product after it does not find
  // the columns of one before it.
  static void meet(const ggml_tensor* other_op);
  static void forget();
};

}  // namespace pyserve
