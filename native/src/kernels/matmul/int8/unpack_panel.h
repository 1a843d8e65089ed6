// Types in panels (panels.h): 16 rows side by side, 4 bytes of each in turn, so that nothing has to
// be moved between lanes. Blocks of 256 weights are in unpack_k.h and
// unpack_few_bits.h, IQ4_NL, IQ4_XS and MXFP4 in unpack_table.h.
#pragma once

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// Q4_1, Q5_1: as in the file.
template <typename V, bool kWithFifthBit>
struct PanelOffsetNibbles : OffsetNibbles<V, kWithFifthBit> {
  using InFile = OffsetNibbles<V, kWithFifthBit>;
  static constexpr int kRowsTogether = InPanels::kRowsTogether;
  static constexpr size_t kBlockBytes = InFile::kBlockBytes * kRowsTogether;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    for (int b = 0; b < n_blocks; ++b, at += kBlockBytes) {
      typename V::Ints quads[InFile::kBlockQuads];
      for (int j = 0; j < InFile::kBlockQuads; ++j) {
        quads[j] = InPanels::load_quad<V>(rows, at, 4 * j);
      }
      use(b, InFile::block(quads));
    }
  }
};

// Two blocks without their scales, then both scales (16 bit each).
template <typename InFile>
struct Paired : InFile {
  static constexpr int kBlockWeights = 64;
  static constexpr int kRowsTogether = InPanels::kRowsTogether;
  static constexpr size_t kScaleBytes = 2;
  static constexpr int kMultiple = 2;
  static constexpr size_t kRest = InFile::kBlockBytes - kScaleBytes;
  static constexpr size_t kBlockBytes = (2 * kRest + 4) * kRowsTogether;

  // unpack(at, out) makes the weights of a block from its place.
  template <typename V, typename Unpack, typename Use>
  [[gnu::always_inline]] static void for_each_pair(const char* const* rows, size_t at, int n_blocks,
                                                   Unpack unpack, Use use) {
    for (int b = 0; b < n_blocks; b += 2, at += kBlockBytes) {
      UnpackedBlock<V> out;
      unpack(at, out);
      out.scale[0] = V::floats_of_low_halves(InPanels::load_quad<V>(rows, at, 2 * kRest));
      use(b, out);
      unpack(at + kRest * kRowsTogether, out);
      out.scale[0] = floats_of_high_halves<V>(InPanels::load_quad<V>(rows, at, 2 * kRest));
      use(b + 1, out);
    }
  }
};

// Q4_0; Q5_0, whose fifth bits are in front of the nibbles.
template <typename V, bool kWithFifthBit>
struct PanelNibbles : Paired<Nibbles<V, kWithFifthBit>> {
  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    const auto unpack = [rows](size_t from, UnpackedBlock<V>& out) PYSERVE_INLINE {
      typename V::Ints quads[4];
      InPanels::load_quads<V>(rows, from, kWithFifthBit ? 4 : 0, quads);
      split_nibbles<V>(quads, out.weights);
      if constexpr (kWithFifthBit) {
        add_fifth_bits<V>(out.weights, InPanels::load_quad<V>(rows, from, 0));
      }
    };
    PanelNibbles::template for_each_pair<V>(rows, at, n_blocks, unpack, use);
  }
};

// Q8_0.
template <typename V>
struct PanelBytes : Paired<SignedBytes<V>> {
  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    const auto unpack = [rows](size_t from, UnpackedBlock<V>& out) PYSERVE_INLINE {
      InPanels::load_quads<V>(rows, from, 0, out.weights);
      InPanels::load_quads<V>(rows, from, 16, out.weights + 4);
      if constexpr (PanelBytes::kZero != 0) {
        for (auto& quad : out.weights) quad = V::xor_bits(quad, V::bytes_of(0x80));
      }
    };
    PanelBytes::template for_each_pair<V>(rows, at, n_blocks, unpack, use);
  }
};

}  // namespace pyserve
