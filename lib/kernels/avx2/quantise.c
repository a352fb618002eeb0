#include "kernels/inline.h"
#include "kernels/table.h"
#include <immintrin.h>

INLINE __m256 magnitude(const float *x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(x));
}

static float largest(const float *x, int64_t n)
{
    __m256 most = _mm256_setzero_ps(), other = most;
    for (int64_t j = 0; j < n; j += 16) {
        most = _mm256_max_ps(most, magnitude(x + j));
        other = _mm256_max_ps(other, magnitude(x + j + 8));
    }
    most = _mm256_max_ps(most, other);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/* 8 values as signed words. */
INLINE __m128i words(const float *x, __m256 inverse)
{
    __m256i dwords = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    return _mm_packs_epi32(_mm256_castsi256_si128(dwords), _mm256_extracti128_si256(dwords, 1));
}

void S24I_IN_SET(quantise_token)(const float *x, int64_t n, int64_t group, int64_t batch,
                                 uint8_t *codes, float *scales)
{
    const __m128i middle = _mm_set1_epi8(-128);
    for (int64_t first = 0; first < n; first += group, scales += batch) {
        int64_t end = n - first < group ? n : first + group;
        float most = largest(x + first, end - first);
        __m256 inverse = _mm256_set1_ps(most < 0x1p-100f ? 0 : 127 / most);
        *scales = most < 0x1p-100f ? 0 : most / 127;
        for (int64_t j = first; j < end; j += 16, codes += 16 * batch) {
            __m128i bytes = _mm_packs_epi16(words(x + j, inverse), words(x + j + 8, inverse));
            bytes = _mm_xor_si128(bytes, middle);
            _mm_storel_epi64((__m128i *)codes, bytes);
            _mm_storeh_pd((double *)(codes + 8 * batch), _mm_castsi128_pd(bytes));
        }
    }
}
