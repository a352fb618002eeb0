/* Masks while a network is trained, on the caller's matrices (training.c, tsenor.c). Same
 * conventions as ops.h; arguments are checked before. */
#ifndef S24I_TRAINING_H
#define S24I_TRAINING_H
#include "sets.h"

typedef struct s24i_nm {
    int32_t n, m;
} s24i_nm;

/* mask (bytes) = 1 on n of m along both sides of every tile of m x m of w: the largest sum of
 * squares; w in single precision. */
s24_status s24i_mask_both(const s24i_device *device, s24i_nm nm, const s24_mat *w,
                          const s24_mat *mask);
/* The published approximation of the largest sum of |w| (TSENOR): entropy, `rounds` rounds of
 * Dykstra's projections, greedy rounding, exchanges. S24_E_NUMERIC names the first tile that does
 * not end at n:m; mask is untouched. */
s24_status s24i_mask_tsenor(const s24i_device *device, s24i_nm nm, double tau, int32_t rounds,
                            const s24_mat *w, const s24_mat *mask);
/* out = w where the mask is not 0, else beta w; of one float type. */
s24_status s24i_mask_decay(const s24i_device *device, const s24_mat *w, const s24_mat *mask,
                           double beta, const s24_mat *out);
/* grad += lambda w where the mask is 0. */
s24_status s24i_srste_add(const s24i_device *device, const s24_mat *w, const s24_mat *mask,
                          double lambda, const s24_mat *grad);
/* The `drop` kept weights of least |w| go, and each group of m takes back as many as it lost, of
 * the largest |g|; *changed counts those that were not kept before. */
s24_status s24i_nm_regrow(const s24i_run *run, int32_t m, int64_t drop, const s24_mat *w,
                          const s24_mat *g, const s24_mat *mask, int64_t *changed);
int64_t s24i_count_mask(const s24_mat *mask);

static inline void *s24i_address(const s24_mat *mat, int64_t row, int64_t col)
{
    int64_t offset = row * mat->row_stride + col * mat->col_stride;
    return (char *)mat->data + offset * s24i_dtype_size(mat->dtype);
}

#endif
