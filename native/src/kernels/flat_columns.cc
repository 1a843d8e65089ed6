#include "kernels/flat_columns.h"

#include "kernels/matmul/left_columns.h"

namespace pyserve {
namespace {

// Whether all columns follow each other at one distance.
bool is_one_run(const ggml_tensor* x) {
  return x->nb[2] == x->ne[1] * x->nb[1] && x->nb[3] == x->ne[2] * x->nb[2];
}

// The same numbers, as a matrix.
ggml_tensor flat(const ggml_tensor& x) {
  ggml_tensor out = x;
  out.ne[1] = x.ne[1] * x.ne[2] * x.ne[3];
  out.ne[2] = out.ne[3] = 1;
  out.nb[2] = out.nb[3] = out.ne[1] * x.nb[1];
  return out;
}

// The product of flat columns. It is no neighbour of the products beside it: it rounds its columns
// itself, and leaves them to none.
struct FlatProduct {
  explicit FlatProduct(const ggml_tensor& node) : columns(flat(*node.src[1])), op(flat(node)) {
    op.src[1] = &columns;
    op.extra = nullptr;
    LeftColumns::forget();
  }
  ~FlatProduct() { LeftColumns::forget(); }
  FlatProduct(const FlatProduct&) = delete;
  FlatProduct& operator=(const FlatProduct&) = delete;

  ggml_tensor columns;
  ggml_tensor op;
};

}  // namespace

bool FlatColumnsOp::can_compute(const ggml_tensor* op) const {
  const ggml_tensor* x = op->src[1];
  if (x->ne[2] * x->ne[3] == 1 || !is_one_run(x) || !is_one_run(op)) return false;
  const FlatProduct product(*op);
  return product_.can_compute(&product.op);
}

bool FlatColumnsOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  const FlatProduct product(*op);
  return product_.work_size(n_threads, &product.op, size);
}

bool FlatColumnsOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  FlatProduct product(*op);
  return product_.compute_forward(params, &product.op);
}

}  // namespace pyserve
