// The table of weight types, for every instruction set: what unpacks a type's blocks from each
// layout. `V` is what the CPU can do (int8/gemm_simd.h).
#pragma once

#include <type_traits>

#include "kernels/matmul/int8/gemm_simd.h"
#include "kernels/matmul/int8/unpack.h"
#include "kernels/matmul/int8/unpack_few_bits.h"
#include "kernels/matmul/int8/unpack_k.h"
#include "kernels/matmul/int8/unpack_panel.h"
#include "kernels/matmul/int8/unpack_table.h"
#include "kernels/matmul/int8/unpack_x8.h"
#include "kernels/matmul/weight_types.h"

namespace pyserve {

template <typename File, typename Panel>
consteval PanelForm panel_form() {
  constexpr int kTogether = Panel::kBlockWeights / File::kBlockWeights;
  PanelForm form{kTogether, Panel::kBlockBytes / kGemmRows, 0, 1};
  if constexpr (kTogether > 1) {
    form.scale_bytes = Panel::kScaleBytes;
    form.n_multiple = Panel::kMultiple;
  }
  return form;
}

template <typename V>
struct WeightTable {
  // `X8` is void where the vendored library has no kernel that wants the type repacked, and not
  // looked at where `V` cannot read what it makes. The numbers are those of n_min_columns; from
  // panels our product computes any number, for one column of Q2_K or Q3_K in registers of 256
  // bits up to a quarter slower.
  template <typename File, typename Panel, typename X8 = void>
  static consteval WeightType row(ggml_type type, int n_min_file = 1, int n_min_x8 = 1) {
    using Gemm = Int8Gemm<V>;
    Int8Kernel x8{};
    if constexpr (V::kReadsX8 && !std::is_void_v<X8>) x8 = Gemm::template kernel<X8>(n_min_x8);
    return {
        type,
        panel_form<File, Panel>(),
        {Gemm::template kernel<File>(n_min_file), Gemm::template kernel<Panel>(1), x8},
    };
  }

  static constexpr int kMinFewBitsColumns = V::kParts == 2 ? 2 : 1;
  static constexpr WeightType kRows[] = {
      row<Nibbles<V, false>, PanelNibbles<V, false>, RepackedNibbles<V>>(GGML_TYPE_Q4_0),
      row<OffsetNibbles<V, false>, PanelOffsetNibbles<V, false>>(GGML_TYPE_Q4_1),
      row<Nibbles<V, true>, PanelNibbles<V, true>>(GGML_TYPE_Q5_0),
      row<OffsetNibbles<V, true>, PanelOffsetNibbles<V, true>>(GGML_TYPE_Q5_1),
      row<SignedBytes<V>, PanelBytes<V>>(GGML_TYPE_Q8_0),
      row<KNibbles<V, false, InRows>, KNibbles<V, false, InPanels>, RepackedKNibbles<V>>(
          GGML_TYPE_Q4_K, V::kMinKColumns, V::kMinRepackedKColumns),
      row<KNibbles<V, true, InRows>, KNibbles<V, true, InPanels>>(GGML_TYPE_Q5_K, V::kMinKColumns),
      row<SixBits<V, InRows>, SixBits<V, InPanels>>(GGML_TYPE_Q6_K),
      row<ScaledFloat4<V>, PanelScaledFloat4<V>>(GGML_TYPE_MXFP4),
      row<KUnevenNibbles<V, InRows>, KUnevenNibbles<V, InPanels>>(GGML_TYPE_IQ4_XS),
      row<UnevenNibbles<V>, PanelUnevenNibbles<V>>(GGML_TYPE_IQ4_NL),
      row<ThreeBits<V, InRows>, ThreeBits<V, InPanels>>(GGML_TYPE_Q3_K, kMinFewBitsColumns),
      row<TwoBits<V, InRows>, TwoBits<V, InPanels>>(GGML_TYPE_Q2_K, kMinFewBitsColumns),
  };
};

template <typename V>
consteval Int8GemmKernels int8_gemm_kernels_of(const char* name) {
  Int8GemmKernels kernels{name, &Int8Gemm<V>::deal_out, WeightTable<V>::kRows};
  if constexpr (HasTiles<V>) {
    kernels.begin = [] { V::Tiles::configure(kTileConfig); };
    kernels.end = [] { V::Tiles::release(); };
  }
  return kernels;
}

}  // namespace pyserve
