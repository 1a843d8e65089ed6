// Layers that keep a state in place of a cache: their rows of states through the tokens of one
// request.
//
// A row of a state depends on no other one, so that it stays in registers from the first token to
// the last. A row's numbers are the same bits however many tokens and rows come with it.
#pragma once

#include <cstddef>

#include "base/kernel_rung.h"

namespace pyserve {

inline constexpr int kMostStateLength = 256;

// Whether rows of so many numbers are known.
constexpr bool is_state_length(long long n) {
  return n == 16 || n == 32 || n == 64 || n == 128 || n == kMostStateLength;
}

// Rows of one head before and after its tokens. The state i tokens before the last is written to
// `after` + i * slot_stride, for i < n_slots.
struct StateRows {
  const float* before;  // [n_rows][n]
  float* after;
  size_t slot_stride;  // floats
  int n_slots;
  int n;
  int n_rows;
  int n_tokens;
};

// What comes with each token: `stride` floats lie between those of neighbours.
struct TokenFloats {
  const float* data;
  size_t stride;

  const float* of(int token) const { return data + token * stride; }
};

// Mamba-2: state = decay * state + step * x * B, y = state . C.
struct ScanRows {
  StateRows state;
  TokenFloats b;  // [n]
  TokenFloats c;  // [n]
  TokenFloats x;  // [n_rows]
  TokenFloats decay;
  TokenFloats step;
  float* y;  // [tokens][n_rows]
  size_t y_stride;
};

// Gated delta net: state *= decay, then state += beta * (v - state . k) * k, y = scale * state . q.
struct DeltaRows {
  StateRows state;
  TokenFloats q;      // [n]
  TokenFloats k;      // [n]
  TokenFloats v;      // [n_rows]
  TokenFloats decay;  // one, or [n] with is_decay_of_each
  TokenFloats beta;
  float scale;
  bool is_decay_of_each;
  float* y;  // [tokens][n_rows]
  size_t y_stride;
};

// RWKV 7: state = w * state + v * k + (state . a) * b, y = state . r.
struct WkvRows {
  StateRows state;
  TokenFloats r;  // all [n]
  TokenFloats w;
  TokenFloats k;
  TokenFloats a;
  TokenFloats b;
  TokenFloats v;  // [n_rows]
  float* y;       // [tokens][n_rows]
  size_t y_stride;
};

inline constexpr int kMostTaps = 8;

// y[token][channel] = sum of x[channel][token + i] * taps[channel][i], for i < n_taps.
struct Convolution {
  const float* x;  // [n_channels] rows of n_tokens + n_taps - 1
  size_t x_stride;
  const float* taps;  // [n_channels][n_taps]
  int n_taps;         // at most kMostTaps
  int n_channels;
  int n_tokens;
  float* y;
  size_t y_stride;
};

// to[i][j] = from[j][i], for i < n_rows, j < n_columns.
struct Transposition {
  const float* from;
  size_t from_stride;
  float* to;
  size_t to_stride;
  int n_rows;
  int n_columns;
};

struct RecurrenceKernels {
  void (*scan)(const ScanRows& rows);
  void (*delta)(const DeltaRows& rows);
  void (*wkv)(const WkvRows& rows);
  void (*convolve)(const Convolution& convolution);
  void (*transpose)(const Transposition& transposition);
};

// Those of a rung; nullptr: it has none. Any thread.
const RecurrenceKernels* recurrence_kernels(Rung rung);

#ifdef PYSERVE_X86_KERNELS
extern const RecurrenceKernels kAvx2Recurrence;
extern const RecurrenceKernels kAvx512Recurrence;
#endif
#ifdef PYSERVE_ARM_KERNELS
extern const RecurrenceKernels kNeonRecurrence;
#endif

}  // namespace pyserve
