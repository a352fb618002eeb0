#include "kernels/avx512/tail.h"
#include "kernels/table.h"

/* The instructions quiet a NaN and keep its sign and high payload, as the definition does. */
void s24i_avx512_f16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(x + i))));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm512_mask_storeu_ps(y + i, left, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(left, x + i)));
}

void s24i_avx512_f32_to_f16(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(y + i),
                            _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm256_mask_storeu_epi16(
        y + i, left,
        _mm512_cvtps_ph(_mm512_maskz_loadu_ps(left, x + i), _MM_FROUND_TO_NEAREST_INT));
}

static inline __mmask16 is_nan(__m512i bits)
{
    __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
    return _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
}

static inline __m512 widen_bf16(__m256i x)
{
    __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16);
    bits = _mm512_mask_or_epi32(bits, is_nan(bits), bits, _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(bits);
}

void s24i_avx512_bf16_to_f32(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, widen_bf16(_mm256_loadu_si256((const __m256i *)(x + i))));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm512_mask_storeu_ps(y + i, left, widen_bf16(_mm256_maskz_loadu_epi16(left, x + i)));
}

/* In integers: the instruction of avx512_bf16 takes denormals for zero. */
static inline __m256i narrow_bf16(__m512i bits)
{
    __m512i high = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, bias), 16);
    __m512i y = _mm512_mask_or_epi32(rounded, is_nan(bits), high, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(y);
}

void s24i_avx512_f32_to_bf16(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(y + i), narrow_bf16(_mm512_loadu_si512(x + i)));
    __mmask16 left = s24i_first_lanes(n - i);
    _mm256_mask_storeu_epi16(y + i, left, narrow_bf16(_mm512_maskz_loadu_epi32(left, x + i)));
}
