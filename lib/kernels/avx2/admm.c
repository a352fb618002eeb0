#include "kernels/avx2/kept.h"
#include "kernels/table.h"

void s24i_avx2_admm_gap(const float *z, const float *w, const uint8_t *mask, float dual, float *gap,
                        int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 here = _mm256_loadu_ps(z + i);
        __m256 other = negated(_mm256_mul_ps(_mm256_set1_ps(dual), here));
        __m256 chosen = where_kept(mask + i, here, other);
        _mm256_storeu_ps(gap + i, _mm256_sub_ps(chosen, _mm256_loadu_ps(w + i)));
    }
    s24i_ref_admm_gap(z + i, w + i, mask + i, dual, gap + i, n - i);
}

void s24i_avx2_admm_move(const float *p, const float *w, const uint8_t *mask, float rho, float dual,
                         float *z, float *b_out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 b =
            _mm256_fmadd_ps(_mm256_set1_ps(rho), _mm256_loadu_ps(p + i), _mm256_loadu_ps(w + i));
        __m256 old = _mm256_mul_ps(_mm256_set1_ps(dual), _mm256_loadu_ps(z + i));
        _mm256_storeu_ps(z + i, where_kept(mask + i, b, _mm256_add_ps(b, old)));
        if (b_out)
            _mm256_storeu_ps(b_out + i, b);
    }
    s24i_ref_admm_move(p + i, w + i, mask + i, rho, dual, z + i, b_out ? b_out + i : NULL, n - i);
}
