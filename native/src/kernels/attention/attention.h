// Attention over chosen cells of the KV cache, for query heads that see the same of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/kernel_rung.h"

namespace pyserve {

// What the numbers of K or V are kept as.
enum class CellType : uint8_t { kF32, kF16, kBf16, kQ80, kQ40 };

// Query heads, of one token or several, that share a KV head, and where that head's K and V are.
struct HeadGroup {
  const float* q;   // [n_q][n_k] scaled, contiguous
  const char* k;    // K of cell c: n_k numbers at k + c * k_stride
  const char* v;    // V of cell c: n_v numbers at v + c * v_stride
  size_t k_stride;  // bytes
  size_t v_stride;  // bytes
  int n_q;          // query heads, at most kMaxQueries
  int n_k;          // head sizes, multiples of 16, and of the blocks of their type
  int n_v;
  CellType k_type;
  CellType v_type;
  float soft_cap;          // a score s becomes soft_cap * tanh(s), q being scaled for that; 0: none
  const float* slopes;     // [n_q] ALiBi: a score grows by slope * distance; nullptr: none
  const float* distances;  // of the cells that are added, in their order, with slopes
  int n_next = 0;          // cells after those that are added, which are probably added next
};

inline constexpr int kMaxQueries = 64;
inline constexpr int kBlockCells = 64;  // cells are summed in blocks of so many

// A softmax under way: acc / sum is the weighted mean of V so far.
struct Partial {
  float* max;  // [n_q] largest score, -infinity at the start
  float* sum;  // [n_q] sum of exp(score - max)
  float* acc;  // [n_q][n_v] sum of exp(score - max) * V, 32 bit
};

// Adds cells[0, n_cells) to `partial`. Any thread; touches nothing else. A head's result is the
// same bits whatever heads are added with it, and when whole blocks are added before the rest.
using AttendFn = void (*)(const HeadGroup& group, const int32_t* cells, int n_cells,
                          const Partial& partial);

// Adds `more` to `total`, both of n_q heads with acc of n_v.
using MergeFn = void (*)(const Partial& more, int n_q, int n_v, const Partial& total);

// Writes the indices i where mask[i], a 16-bit float, is not -infinity, and returns how many.
// `cells` has room for n.
inline constexpr uint16_t kMinusInfinity = 0xFC00;  // a 16-bit float
using ListCellsFn = int (*)(const uint16_t* mask, int n, int32_t* cells);

struct AttentionKernels {
  const char* name;
  AttendFn attend;
  MergeFn merge;
  ListCellsFn list_cells;
};

// Those of a rung; nullptr: it has none.
const AttentionKernels* attention_kernels(Rung rung);

#ifdef PYSERVE_X86_KERNELS
extern const AttentionKernels kAvx2Attention;
extern const AttentionKernels kAvx512Attention;
#endif
#ifdef PYSERVE_ARM_KERNELS
extern const AttentionKernels kNeonAttention;
#endif

}  // namespace pyserve
