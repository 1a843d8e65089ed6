// Types in panels (panels.h): 16 rows side by side, 4 bytes of each in turn, so that nothing has to
// be moved between lanes. Blocks of 256 weights are in unpack_k.h and
// unpack_few_bits.h, IQ4_NL, IQ4_XS and MXFP4 in unpack_table.h.
#pragma once

#include "kernels/matmul/int8/unpack.h"

namespace pyserve {

// Q4_1, Q5_1: as in the file.
template <typename V, bool kWithFifthBit>
struct PanelOffsetNibbles : OffsetNibblesBlock<V, kWithFifthBit>,
                            BlocksOf<32, kWithFifthBit ? 24 : 20, InPanels>,
                            OneByOne<PanelOffsetNibbles<V, kWithFifthBit>> {
  using Block = OffsetNibblesBlock<V, kWithFifthBit>;

  [[gnu::always_inline]] static UnpackedBlock<V> block_at(const char* const* rows, size_t at) {
    typename V::Ints quads[Block::kBlockQuads];
    for (int j = 0; j < Block::kBlockQuads; ++j) {
      quads[j] = InPanels::load_quad<V>(rows, at, 4 * j);
    }
    return Block::block(quads);
  }
};

// Two blocks of so many bytes without their scales, then both scales (16 bit each):
// Type::unpack(rows, at, weights) makes the weights of a block from its place.
template <typename Type, typename V, size_t kFileBytes>
struct Paired : BlocksOf<64, 2 * kFileBytes, InPanels> {
  static constexpr size_t kScaleBytes = 2;
  static constexpr int kMultiple = 2;

  template <typename Use>
  static void for_each_block(const char* const* rows, size_t at, int n_blocks, Use use) {
    constexpr size_t kRest = kFileBytes - kScaleBytes;
    for (int b = 0; b < n_blocks; b += 2, at += Type::kBlockBytes) {
      UnpackedBlock<V> out;
      Type::unpack(rows, at, out.weights);
      out.scale[0] = V::floats_of_low_halves(InPanels::load_quad<V>(rows, at, 2 * kRest));
      use(b, out);
      Type::unpack(rows, at + kRest * kGemmRows, out.weights);
      out.scale[0] = floats_of_high_halves<V>(InPanels::load_quad<V>(rows, at, 2 * kRest));
      use(b + 1, out);
    }
  }
};

// Q4_0; Q5_0, whose fifth bits are in front of the nibbles.
template <typename V, bool kWithFifthBit>
struct PanelNibbles : NibblesWorth<kWithFifthBit>,
                      Paired<PanelNibbles<V, kWithFifthBit>, V, kNibblesBytes<kWithFifthBit>> {
  [[gnu::always_inline]] static void unpack(const char* const* rows, size_t at,
                                            typename V::Ints* weights) {
    typename V::Ints quads[4];
    InPanels::load_quads<V>(rows, at, kWithFifthBit ? 4 : 0, quads);
    split_nibbles<V>(quads, weights);
    if constexpr (kWithFifthBit) {
      add_fifth_bits<V>(weights, InPanels::load_quad<V>(rows, at, 0));
    }
  }
};

// Q8_0.
template <typename V>
struct PanelBytes : AsSignedBytes<V>, Paired<PanelBytes<V>, V, kSignedBytesBytes> {
  [[gnu::always_inline]] static void unpack(const char* const* rows, size_t at,
                                            typename V::Ints* weights) {
    InPanels::load_quads<V>(rows, at, 0, weights);
    InPanels::load_quads<V>(rows, at, 16, weights + 4);
    from_signed<V>(weights);
  }
};

}  // namespace pyserve
