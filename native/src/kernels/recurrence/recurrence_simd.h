// Rows of states, convolutions and transpositions, written once for every vector width.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/recurrence/recurrence.h"

namespace pyserve {

template <typename Simd>
struct Recurrence {
  using Vec = typename Simd::Vec;
  static constexpr int kLanes = Simd::kLanes;

  // kRows rows of kVecs vectors each, in registers where they have room.
  template <int kVecs, int kRows>
  struct Block {
    Block(const StateRows& of, int first) : state(of), first_row(first) {
      for (int r = 0; r < kRows; ++r) {
        for (int i = 0; i < kVecs; ++i) {
          rows[r][i] = Simd::load(state.before + at(r) + i * kLanes);
        }
      }
    }
    size_t at(int row) const { return static_cast<size_t>(first_row + row) * state.n; }

    // row . x for every row. Two sums wait less for each other than one.
    void dot(const float* x, float* out) const {
      Vec even[kRows];
      Vec odd[kRows];
      for (int r = 0; r < kRows; ++r) even[r] = odd[r] = Simd::zero();
      for (int i = 0; i < kVecs; ++i) {
        const Vec xi = Simd::load(x + i * kLanes);
        for (int r = 0; r < kRows; ++r) {
          Vec& sum = i % 2 == 0 ? even[r] : odd[r];
          sum = Simd::fmadd(rows[r][i], xi, sum);
        }
      }
      static_assert(kRows <= 4);
      Vec sums[4];
      for (int r = 0; r < 4; ++r) sums[r] = Simd::add(even[r % kRows], odd[r % kRows]);
      float all[4];
      Simd::reduce_add4(sums, all);
      std::copy_n(all, kRows, out);
    }

    // After the token.
    void save(int token) const {
      const int slot = state.n_tokens - 1 - token;
      if (slot >= state.n_slots) return;
      float* const to = state.after + slot * state.slot_stride;
      for (int r = 0; r < kRows; ++r) {
        for (int i = 0; i < kVecs; ++i) Simd::store(to + at(r) + i * kLanes, rows[r][i]);
      }
    }

    const StateRows& state;
    int first_row;
    Vec rows[kRows][kVecs];
  };

  struct ScanBlock {
    template <int kVecs, int kRows>
    static void run(const ScanRows& s, int first) {
      Block<kVecs, kRows> block(s.state, first);
      for (int t = 0; t < s.state.n_tokens; ++t) {
        const Vec decay = Simd::set1(*s.decay.of(t));
        const float step = *s.step.of(t);
        const float* x = s.x.of(t) + first;
        Vec in[kRows];
        for (int r = 0; r < kRows; ++r) in[r] = Simd::set1(x[r] * step);
        for (int i = 0; i < kVecs; ++i) {
          const Vec b = Simd::load(s.b.of(t) + i * kLanes);
          for (int r = 0; r < kRows; ++r) {
            Vec& row = block.rows[r][i];
            row = Simd::fmadd(row, decay, Simd::mul(b, in[r]));
          }
        }
        block.dot(s.c.of(t), s.y + t * s.y_stride + first);
        block.save(t);
      }
    }
  };

  struct DeltaBlock {
    template <int kVecs, int kRows>
    static void run(const DeltaRows& s, int first) {
      if (s.is_decay_of_each) {
        run_as<kVecs, kRows, true>(s, first);
      } else {
        run_as<kVecs, kRows, false>(s, first);
      }
    }

    template <int kVecs, int kRows, bool kIsDecayOfEach>
    static void run_as(const DeltaRows& s, int first) {
      Block<kVecs, kRows> block(s.state, first);
      for (int t = 0; t < s.state.n_tokens; ++t) {
        const Vec decay = Simd::set1(*s.decay.of(t));
        for (int i = 0; i < kVecs; ++i) {
          const Vec factor = kIsDecayOfEach ? Simd::load(s.decay.of(t) + i * kLanes) : decay;
          for (int r = 0; r < kRows; ++r) block.rows[r][i] = Simd::mul(block.rows[r][i], factor);
        }
        float known[kRows];
        block.dot(s.k.of(t), known);
        Vec change[kRows];
        for (int r = 0; r < kRows; ++r) {
          change[r] = Simd::set1((s.v.of(t)[first + r] - known[r]) * *s.beta.of(t));
        }
        for (int i = 0; i < kVecs; ++i) {
          const Vec k = Simd::load(s.k.of(t) + i * kLanes);
          for (int r = 0; r < kRows; ++r) {
            block.rows[r][i] = Simd::fmadd(k, change[r], block.rows[r][i]);
          }
        }
        float* const y = s.y + t * s.y_stride + first;
        block.dot(s.q.of(t), y);
        for (int r = 0; r < kRows; ++r) y[r] *= s.scale;
        block.save(t);
      }
    }
  };

  struct WkvBlock {
    template <int kVecs, int kRows>
    static void run(const WkvRows& s, int first) {
      Block<kVecs, kRows> block(s.state, first);
      for (int t = 0; t < s.state.n_tokens; ++t) {
        float removed[kRows];
        block.dot(s.a.of(t), removed);
        Vec sa[kRows];
        Vec v[kRows];
        for (int r = 0; r < kRows; ++r) {
          sa[r] = Simd::set1(removed[r]);
          v[r] = Simd::set1(s.v.of(t)[first + r]);
        }
        for (int i = 0; i < kVecs; ++i) {
          const Vec w = Simd::load(s.w.of(t) + i * kLanes);
          const Vec k = Simd::load(s.k.of(t) + i * kLanes);
          const Vec b = Simd::load(s.b.of(t) + i * kLanes);
          for (int r = 0; r < kRows; ++r) {
            Vec& row = block.rows[r][i];
            row = Simd::fmadd(sa[r], b, Simd::fmadd(row, w, Simd::mul(v[r], k)));
          }
        }
        block.dot(s.r.of(t), s.y + t * s.y_stride + first);
        block.save(t);
      }
    }
  };

  // All rows, as many at a time as fill half of the registers.
  template <typename Kind, int kVecs, typename Rows>
  static void run_rows(const Rows& rows) {
    constexpr int kRows = std::clamp(Simd::kRegisters / 2 / kVecs, 1, 4);
    int first = 0;
    for (; first + kRows <= rows.state.n_rows; first += kRows) {
      Kind::template run<kVecs, kRows>(rows, first);
    }
    for (; first < rows.state.n_rows; ++first) Kind::template run<kVecs, 1>(rows, first);
  }

  template <typename Kind, typename Rows>
  static void run(const Rows& rows) {
    switch (rows.state.n) {
      case 16:
        return run_rows<Kind, 16 / kLanes>(rows);
      case 32:
        return run_rows<Kind, 32 / kLanes>(rows);
      case 64:
        return run_rows<Kind, 64 / kLanes>(rows);
      case 128:
        return run_rows<Kind, 128 / kLanes>(rows);
      default:
        return run_rows<Kind, kMostStateLength / kLanes>(rows);
    }
  }

  static void transpose(const Transposition& t) {
    const int n_rows = t.n_rows / kLanes * kLanes;
    const int n_columns = t.n_columns / kLanes * kLanes;
    for (int i = 0; i < n_rows; i += kLanes) {
      for (int j = 0; j < n_columns; j += kLanes) {
        Vec square[kLanes];
        for (int l = 0; l < kLanes; ++l)
          square[l] = Simd::load(t.from + (j + l) * t.from_stride + i);
        Simd::transpose(square);
        for (int l = 0; l < kLanes; ++l) Simd::store(t.to + (i + l) * t.to_stride + j, square[l]);
      }
      for (int l = i; l < i + kLanes; ++l) transpose_row(t, l, n_columns);
    }
    for (int i = n_rows; i < t.n_rows; ++i) transpose_row(t, i, 0);
  }

  static void transpose_row(const Transposition& t, int i, int first_column) {
    for (int j = first_column; j < t.n_columns; ++j) {
      t.to[i * t.to_stride + j] = t.from[j * t.from_stride + i];
    }
  }

  // kLanes channels from `channel` on, n of which exist: their numbers become lanes.
  static void convolve_lanes(const Convolution& c, int channel, int n) {
    constexpr int kTokens = 64;  // at a time
    alignas(64) float taps[kMostTaps * kLanes] = {};
    alignas(64) float x[(kTokens + kMostTaps) * kLanes] = {};
    const auto n_taps = static_cast<size_t>(c.n_taps);
    const float* const own_taps = c.taps + channel * n_taps;
    for (int i = 0; i < c.n_taps; ++i) transpose_row({own_taps, n_taps, taps, kLanes, 0, n}, i, 0);
    for (int begin = 0; begin < c.n_tokens; begin += kTokens) {
      const int n_here = std::min(kTokens, c.n_tokens - begin);
      transpose(
          {c.x + channel * c.x_stride + begin, c.x_stride, x, kLanes, n_here + c.n_taps - 1, n});
      for (int t = 0; t < n_here; ++t) {
        Vec sum = Simd::zero();
        for (int i = 0; i < c.n_taps; ++i) {
          sum = Simd::fmadd(Simd::load(x + (t + i) * kLanes), Simd::load(taps + i * kLanes), sum);
        }
        float* const y = c.y + (begin + t) * c.y_stride + channel;
        if (n == kLanes) {
          Simd::store(y, sum);
        } else {
          float all[kLanes];
          Simd::store(all, sum);
          std::copy_n(all, n, y);
        }
      }
    }
  }

  // Of few tokens, as when requests decode: the same operations on one number.
  static void convolve_numbers(const Convolution& c) {
    for (int channel = 0; channel < c.n_channels; ++channel) {
      const float* const taps = c.taps + static_cast<size_t>(channel) * c.n_taps;
      for (int t = 0; t < c.n_tokens; ++t) {
        const float* const x = c.x + channel * c.x_stride + t;
        float sum = 0;
        for (int i = 0; i < c.n_taps; ++i) sum = std::fma(x[i], taps[i], sum);
        c.y[t * c.y_stride + channel] = sum;
      }
    }
  }

  static void convolve(const Convolution& c) {
    if (c.n_tokens < kLanes / 2) return convolve_numbers(c);
    for (int channel = 0; channel < c.n_channels; channel += kLanes) {
      convolve_lanes(c, channel, std::min(kLanes, c.n_channels - channel));
    }
  }

  static constexpr RecurrenceKernels kKernels{&run<ScanBlock, ScanRows>,
                                              &run<DeltaBlock, DeltaRows>, &run<WkvBlock, WkvRows>,
                                              &convolve, &transpose};
};

}  // namespace pyserve
