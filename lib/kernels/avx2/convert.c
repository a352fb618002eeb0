#include "kernels/table.h"
#include <immintrin.h>

/* The instructions quiet a NaN and keep its sign and high payload, as the definition does. */
void s24i_avx2_f16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
    s24i_ref_f16_to_f32(x + i, y + i, n - i);
}

void s24i_avx2_f32_to_f16(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(y + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    s24i_ref_f32_to_f16(x + i, y + i, n - i);
}

static inline __m256i is_nan(__m256i bits)
{
    __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
    return _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
}

void s24i_avx2_bf16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    const __m256i quiet = _mm256_set1_epi32(0x400000);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm_loadu_si128((const __m128i *)(x + i));
        __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
        bits = _mm256_or_si256(bits, _mm256_and_si256(is_nan(bits), quiet));
        _mm256_storeu_si256((__m256i *)(y + i), bits);
    }
    s24i_ref_bf16_to_f32(x + i, y + i, n - i);
}

/* In the low halves. */
static inline __m256i narrow_bf16(__m256i bits)
{
    __m256i high = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(rounded, quiet, is_nan(bits));
}

void s24i_avx2_f32_to_bf16(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i low = narrow_bf16(_mm256_loadu_si256((const __m256i *)(x + i)));
        __m256i high = narrow_bf16(_mm256_loadu_si256((const __m256i *)(x + i + 8)));
        __m256i both =
            _mm256_packus_epi32(low, high); /* within 128 bits: the middle quarters swap */
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_permute4x64_epi64(both, 0xd8));
    }
    s24i_ref_f32_to_bf16(x + i, y + i, n - i);
}
