#include "kernels/avx2/kept.h"
#include "kernels/table.h"

void s24i_avx2_split_move(float *h, const uint8_t *mask, float dual, float *z, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 here = _mm256_loadu_ps(z + i), step = _mm256_loadu_ps(h + i);
        __m256 other = negated(_mm256_mul_ps(_mm256_set1_ps(dual), here));
        __m256 b = _mm256_sub_ps(where_kept(mask + i, here, other), step);
        _mm256_storeu_ps(z + i, where_kept(mask + i, b, negated(step)));
        _mm256_storeu_ps(h + i, b);
    }
    s24i_ref_split_move(h + i, mask + i, dual, z + i, n - i);
}

void s24i_avx2_split_rest(const float *w, const float *b, const float *z, const uint8_t *mask,
                          float share, float *rest, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 here = _mm256_loadu_ps(b + i);
        __m256 d = where_kept(mask + i, _mm256_loadu_ps(z + i), _mm256_setzero_ps());
        __m256 mixed = _mm256_mul_ps(_mm256_set1_ps(share), _mm256_sub_ps(here, d));
        __m256 left = _mm256_sub_ps(_mm256_loadu_ps(w + i), here);
        _mm256_storeu_ps(rest + i, _mm256_add_ps(left, mixed));
    }
    s24i_ref_split_rest(w + i, b + i, z + i, mask + i, share, rest + i, n - i);
}
