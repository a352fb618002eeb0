#include "fuzz.h"
#include <math.h>

/* Proximal operators and projections of any matrix, n, m and strength: what operators.h says of
 * every result. */

enum { MOST = 200 };

static s24_status apply(s24_ctx *ctx, fuzz_input *in, const s24_mat *z, const s24_mat *w)
{
    int32_t kind = fuzz_byte(in) % 3, n = (int32_t)fuzz_between(in, 0, 5),
            m = (int32_t)fuzz_between(in, 0, 66);
    double strength = fuzz_number(in);

    return kind == 0   ? s24_prox24(ctx, z, strength, w)
           : kind == 1 ? s24_prox_nm(ctx, z, n, m, strength, w)
                       : s24_prox_firm(ctx, z, n, m, strength, w);
}

static void check_values(const s24_mat *z, const s24_mat *w, bool f64)
{
    for (int64_t i = 0; i < z->rows * z->cols; i++) {
        double from = f64 ? ((double *)z->data)[i] : ((float *)z->data)[i];
        double to = f64 ? ((double *)w->data)[i] : ((float *)w->data)[i];
        CLAIM(isfinite(from) && fabs(to) <= fabs(from));
        CLAIM(to == 0 ? !signbit(to) || from == 0 : signbit(to) == signbit(from));
    }
}

/* Scores of any sign: refused, or an order of all columns that keeps no less. */
static void fuzz_permutation(s24_ctx *ctx, const s24_mat *z, int32_t n, int64_t block)
{
    int64_t order[MOST], sum = 0;
    double kept[2];
    s24_status status = s24_permutation(ctx, z, n, 4, block, order, kept);

    fuzz_check_status(status);
    for (int64_t j = 0; !status && j < z->cols; j++)
        sum += order[j] - j;
    CLAIM(status || (sum == 0 && kept[1] >= kept[0] && kept[1] <= 1 + 1e-6));
}

/* Masks of either side hold n of each m, and what is grown again keeps the counts. */
static void fuzz_training(s24_ctx *ctx, const s24_mat *z, const s24_mat *w, const s24_mat *mask)
{
    const uint8_t *kept = mask->data;
    for (int32_t along = 0; along < 3; along++) {
        s24_status status = s24_nm_mask(ctx, z, 1, 3, along, mask);
        int64_t sum = 0;
        fuzz_check_status(status);
        for (int64_t i = 0; !status && i < z->rows * z->cols; i++)
            sum += kept[i];
        CLAIM(status || 3 * sum == z->rows * z->cols);
        if (!status) {
            fuzz_check_status(s24_mask_decay(ctx, z, mask, 0.5, w));
            fuzz_check_status(s24_srste_add(ctx, z, mask, 0.5, w));
            fuzz_check_status(s24_nm_regrow(ctx, z, w, 3, 0.5, mask, NULL));
            fuzz_check_status(s24_nm_mask_tsenor(ctx, z, 1, 3, 50, 20, mask));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static double from[MOST], to[MOST];
    static uint8_t kept[MOST];
    fuzz_input in = {data, data + size};
    s24_ctx *ctx = fuzz_open();
    int64_t rows = fuzz_between(&in, 0, 3), cols = fuzz_between(&in, 0, MOST / 3);
    bool f64 = fuzz_byte(&in) % 2;
    fuzz_input first = in, same = in;
    s24_mat z, w, mask;

    CLAIM(!s24_mat_rowmajor(&z, from, rows, cols, f64 ? S24_F64 : S24_F32));
    CLAIM(!s24_mat_rowmajor(&w, to, rows, cols, z.dtype));
    CLAIM(!s24_mat_rowmajor(&mask, kept, rows, cols, S24_U8));
    CLAIM(!s24_ctx_set_int(ctx, "threads", 1));
    memset(to, 0, sizeof to);
    memset(from, 0, sizeof from);
    for (int i = 0; i < 5; i++)
        fuzz_byte(&in); /* those of apply(), which come first so that every input has them */
    for (int64_t i = 0; i < rows * cols; i++) {
        double value = fuzz_number(&in);
        if (f64)
            from[i] = value;
        else
            ((float *)from)[i] = (float)value;
    }
    s24_status status = apply(ctx, &first, &z, &w);
    fuzz_check_status(status);
    if (!status) {
        check_values(&z, &w, f64);
        CLAIM(!apply(ctx, &same, &z, &z) && !memcmp(from, to, sizeof from)); /* in place */
        status = s24_project_nm(ctx, &z, (int32_t)fuzz_between(&in, 1, 4), 4, &mask);
        CLAIM(status == S24_OK || status == S24_E_SHAPE);
    }
    fuzz_permutation(ctx, &z, (int32_t)fuzz_between(&in, 1, 4), fuzz_between(&in, 0, 9));
    fuzz_training(ctx, &z, &w, &mask);
    fuzz_close(ctx);
    return 0;
}
