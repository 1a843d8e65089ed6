// Puts our kernels in front of the vendored ones.
#pragma once

namespace pyserve {

struct Int8GemmKernels;

// From now on graph nodes that our kernels know are computed by them; all others, and all when
// PYSERVE_KERNELS=stock is set in the environment, by the vendored ones. PYSERVE_KERNELS may also
// name the matrix product's instruction set (avx512vnni, avx512bw, avx2). Idempotent.
// REQUIRES: called before the first graph is computed. Thread: any.
void install_kernels();

// Those that compute products of matrices; nullptr: none of ours, or not installed yet.
const Int8GemmKernels* matrix_kernels();

}  // namespace pyserve
