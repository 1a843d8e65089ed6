// Compiled with -mavx512f -mavx512dq -mavx512bw.

#include "base/simd_avx512.h"
#include "kernels/panel_gemm_simd.h"
#include "kernels/unpack_simd.h"

namespace pyserve {
namespace {

struct Lanes16 {
  Lanes16(const uint16_t* d, const uint16_t* m, const uint32_t* fifth)
      : scale(Avx512::load_f16(d)), offset(Avx512::load_f16(m)), bits(_mm512_loadu_si512(fifth)) {}

  template <bool kHasFifthBit>
  void store(float* out, __m128i nibbles, int k) const {
    __m512i q = _mm512_cvtepu8_epi32(nibbles);
    if constexpr (kHasFifthBit) {
      const __m512i bit =
          _mm512_and_si512(_mm512_srl_epi32(bits, _mm_cvtsi32_si128(k)), _mm512_set1_epi32(1));
      q = _mm512_or_si512(q, _mm512_slli_epi32(bit, 4));
    }
    Avx512::store(out, Avx512::fmadd(_mm512_cvtepi32_ps(q), scale, offset));
  }

  __m512 scale;
  __m512 offset;
  __m512i bits;
};

}  // namespace

const GemmKernels kAvx512Gemm{"avx512", PanelGemm<Avx512>::kWidth, &PanelGemm<Avx512>::multiply,
                              &unpack_blocks<Lanes16, false>, &unpack_blocks<Lanes16, true>};

}  // namespace pyserve
