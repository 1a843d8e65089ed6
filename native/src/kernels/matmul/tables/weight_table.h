// The table of weight types, for every instruction set: what unpacks a type's blocks from each
// layout. `V` is what the CPU can do (int8/gemm_simd.h).
#pragma once

#include <type_traits>

#include "kernels/matmul/floats/gemm_simd.h"
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

// The lanes that rows of floats are multiplied in; where `V` names none, such a product is the
// vendored library's.
template <typename V>
concept HasFloatLanes = requires { typename V::FloatLanes; };

template <typename Gemm>
consteval Int8Kernel kernel_of_floats() {
  return {1, &Gemm::quantize, &Gemm::multiply, Gemm::kValueBytes};
}

template <template <typename> class Rows, typename V>
consteval Int8Kernel float_kernel() {
  if constexpr (HasFloatLanes<V>) {
    return kernel_of_floats<FloatGemm<Rows<typename V::FloatLanes>, V>>();
  } else {
    return {};
  }
}

// `Bf16`: what multiplies bfloat16 in another way, where the CPU has one.
template <typename V, typename Bf16 = void>
struct WeightTable {
  // `X8` is void where the vendored library has no kernel that wants the type repacked, and not
  // looked at where `V` cannot read what it makes: n_min_x8 is its n_min_columns. In other layouts
  // our product computes any number of columns, so that one has the same bits in any batch.
  template <typename File, typename Panel, typename X8 = void>
  static consteval WeightType row(ggml_type type, int n_min_x8 = 1) {
    using Gemm = Int8Gemm<V>;
    Int8Kernel x8{};
    if constexpr (V::kReadsX8 && !std::is_void_v<X8>) x8 = Gemm::template kernel<X8>(n_min_x8);
    return {
        type,
        panel_form<File, Panel>(),
        {Gemm::template kernel<File>(1), Gemm::template kernel<Panel>(1), x8},
    };
  }

  // Read as they are in the file.
  static consteval WeightType row_of_floats(ggml_type type, const Int8Kernel& kernel) {
    return {type, {1, sizeof(uint16_t), 0, 1}, {kernel, {}, {}}};
  }
  static consteval Int8Kernel bf16_kernel() {
    if constexpr (std::is_void_v<Bf16>) {
      return float_kernel<Bf16Rows, V>();
    } else {
      return kernel_of_floats<Bf16>();
    }
  }

  static constexpr WeightType kRows[] = {
      row<Nibbles<V, false>, PanelNibbles<V, false>, RepackedNibbles<V>>(GGML_TYPE_Q4_0),
      row<OffsetNibbles<V, false>, PanelOffsetNibbles<V, false>>(GGML_TYPE_Q4_1),
      row<Nibbles<V, true>, PanelNibbles<V, true>>(GGML_TYPE_Q5_0),
      row<OffsetNibbles<V, true>, PanelOffsetNibbles<V, true>>(GGML_TYPE_Q5_1),
      row<SignedBytes<V>, PanelBytes<V>>(GGML_TYPE_Q8_0),
      row<KNibbles<V, false, InRows>, KNibbles<V, false, InPanels>, RepackedKNibbles<V>>(
          GGML_TYPE_Q4_K, V::kMinRepackedKColumns),
      row<KNibbles<V, true, InRows>, KNibbles<V, true, InPanels>>(GGML_TYPE_Q5_K),
      row<SixBits<V, InRows>, SixBits<V, InPanels>>(GGML_TYPE_Q6_K),
      row<ScaledFloat4<V>, PanelScaledFloat4<V>>(GGML_TYPE_MXFP4),
      row<KUnevenNibbles<V, InRows>, KUnevenNibbles<V, InPanels>>(GGML_TYPE_IQ4_XS),
      row<UnevenNibbles<V>, PanelUnevenNibbles<V>>(GGML_TYPE_IQ4_NL),
      row<ThreeBits<V, InRows>, ThreeBits<V, InPanels>>(GGML_TYPE_Q3_K),
      row<TwoBits<V, InRows>, TwoBits<V, InPanels>>(GGML_TYPE_Q2_K),
      row_of_floats(GGML_TYPE_F16, float_kernel<F16Rows, V>()),
      row_of_floats(GGML_TYPE_BF16, bf16_kernel()),
  };
};

template <typename V, typename Bf16 = void>
consteval Int8GemmKernels int8_gemm_kernels_of(const char* name) {
  return {name, &Int8Gemm<V>::deal_out, WeightTable<V, Bf16>::kRows};
}

}  // namespace pyserve
