// Compiled with -mavx2 -mfma -mf16c.

#include "base/simd_avx2.h"
#include "kernels/panel_gemm_simd.h"
#include "kernels/unpack_simd.h"

namespace pyserve {
namespace {

struct Lanes8x2 {
  Lanes8x2(const uint16_t* d, const uint16_t* m, const uint32_t* fifth) {
    for (int half = 0; half < 2; ++half) {
      scale[half] = Avx2::load_f16(d + 8 * half);
      offset[half] = Avx2::load_f16(m + 8 * half);
      bits[half] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(fifth + 8 * half));
    }
  }

  template <bool kHasFifthBit>
  void store(float* out, __m128i nibbles, int k) const {
    for (int half = 0; half < 2; ++half) {
      __m256i q = _mm256_cvtepu8_epi32(half == 0 ? nibbles : _mm_srli_si128(nibbles, 8));
      if constexpr (kHasFifthBit) {
        const __m256i bit = _mm256_and_si256(_mm256_srl_epi32(bits[half], _mm_cvtsi32_si128(k)),
                                             _mm256_set1_epi32(1));
        q = _mm256_or_si256(q, _mm256_slli_epi32(bit, 4));
      }
      Avx2::store(out + 8 * half, Avx2::fmadd(_mm256_cvtepi32_ps(q), scale[half], offset[half]));
    }
  }

  __m256 scale[2];
  __m256 offset[2];
  __m256i bits[2];
};

}  // namespace

const GemmKernels kAvx2Gemm{"avx2", PanelGemm<Avx2>::kWidth, &PanelGemm<Avx2>::multiply,
                            &unpack_blocks<Lanes8x2, false>, &unpack_blocks<Lanes8x2, true>};

}  // namespace pyserve
