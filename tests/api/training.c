/* lib/api/training.c, lib/ops/sets/training.c and tsenor.c: masks in training. */
#include "api_test.h"
#include "../both.h"

enum { ROWS = 64, COLS = 64, SIZE = ROWS * COLS };

static const int32_t float_types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};

static s24_mat bytes_of(uint8_t *bytes)
{
    return api_view(bytes, ROWS, COLS, S24_U8);
}

/* ---- Masks ---- */

static int before(const api_mat *w, int64_t i, int64_t j, int64_t other_i, int64_t other_j)
{
    double a = fabs(w->value[i * COLS + j]), b = fabs(w->value[other_i * COLS + other_j]);

    return b > a || (b == a && (other_i < i || other_j < j));
}

/* _i: layout and type. The n largest of each m along rows, and along columns. */
START_TEST(masks_along_one_side)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(ROWS, COLS, float_types[_i % 4], _i % LAYOUTS, (uint64_t)_i + 1);
    uint8_t mask[SIZE];
    s24_mat view = bytes_of(mask);

    for (int along = 0; along < 2; along++) {
        int32_t n = 3, m = 8;
        ok(s24_nm_mask(ctx, &w.mat, n, m, along, &view));
        for (int64_t i = 0; i < ROWS; i++)
            for (int64_t j = 0; j < COLS; j++) {
                int rank = 0;
                for (int64_t t = 0; t < m; t++)
                    rank += along ? before(&w, i, j, i - i % m + t, j)
                                  : before(&w, i, j, i, j - j % m + t);
                ck_assert_int_eq(mask[i * COLS + j], rank < n);
            }
    }
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

static const int32_t patterns[][2] = {{2, 4},  {1, 4},  {3, 4},   {4, 8},
                                      {5, 16}, {8, 16}, {16, 32}, {1, 1}};

static void check_sums(const uint8_t *mask, int32_t n, int32_t m)
{
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < COLS; j++) {
            int across = 0, down = 0;
            for (int64_t t = 0; t < m; t++) {
                across += mask[i * COLS + j - j % m + t];
                down += mask[(i - i % m + t) * COLS + j];
            }
            ck_assert_int_eq(across, n);
            ck_assert_int_eq(down, n);
        }
}

/* Of every tile: no chain of exchanges gains. The transpose of the weights gives the same mask. */
START_TEST(masks_along_both_sides)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int32_t n = patterns[_i][0], m = patterns[_i][1];
    api_mat w = api_filled(ROWS, COLS, S24_F32, _i % LAYOUTS, (uint64_t)_i + 1);
    uint8_t mask[SIZE], turned[SIZE];
    s24_mat view = bytes_of(mask), wt = w.mat, other = api_view(turned, COLS, ROWS, S24_BOOL);
    double s[64 * 64];
    uint8_t tile[64 * 64];

    ok(s24_nm_mask(ctx, &w.mat, n, m, S24_ALONG_BOTH, &view));
    check_sums(mask, n, m);
    for (int64_t i = 0; i < ROWS; i += m)
        for (int64_t j = 0; j < COLS; j += m) {
            for (int64_t t = 0; t < (int64_t)m * m; t++) {
                double value = w.value[(i + t / m) * COLS + j + t % m];
                s[t] = value * value;
                tile[t] = mask[(i + t / m) * COLS + j + t % m];
            }
            ck_assert(both_is_best(s, tile, n, m, 1e-9));
        }
    wt.rows = COLS;
    wt.cols = ROWS;
    wt.row_stride = w.mat.col_stride;
    wt.col_stride = w.mat.row_stride;
    ok(s24_nm_mask(ctx, &wt, n, m, S24_ALONG_BOTH, &other));
    for (int64_t i = 0; i < SIZE; i++)
        ck_assert_int_eq(mask[i], turned[i % COLS * ROWS + i / COLS]);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

static double kept_magnitude(const api_mat *w, const uint8_t *mask)
{
    double sum = 0;

    for (int64_t i = 0; i < SIZE; i++)
        sum += mask[i] ? fabs(w->value[i]) : 0;
    return sum;
}

/* With enough rounds nearly the largest sum of magnitudes; too few end nowhere, and say where. */
START_TEST(the_published_approximation)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int32_t n = patterns[_i][0], m = patterns[_i][1];
    api_mat w = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, (uint64_t)_i + 1);
    api_mat root = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 1);
    uint8_t mask[SIZE], exact[SIZE];
    s24_mat view = bytes_of(mask), best = bytes_of(exact);

    for (int64_t i = 0; i < SIZE; i++) /* squares of it are magnitudes of w */
        api_set(&root.mat, i / COLS, i % COLS, sqrt(fabs(w.value[i])));
    ok(s24_nm_mask(ctx, &root.mat, n, m, S24_ALONG_BOTH, &best));
    ok(s24_nm_mask_tsenor(ctx, &w.mat, n, m, 100, 500, &view));
    check_sums(mask, n, m);
    double most = kept_magnitude(&w, exact), found = kept_magnitude(&w, mask);
    ck_assert(found <= most * (1 + 1e-6));
    ck_assert_msg(found >= 0.99 * most, "%d:%d: %g of %g", n, m, found, most);
    api_free(&root);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* One mask, two products: W and its transpose are packed from the same weights. */
START_TEST(both_sides_are_packed)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat w = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 4);
    float copy[SIZE], back[SIZE];
    uint8_t mask[SIZE];
    s24_mat view = bytes_of(mask), wt = w.mat, plain = api_view(copy, COLS, ROWS, S24_F32);
    s24_mat out = api_view(back, COLS, ROWS, S24_F32);
    static const char *const layouts[] = {"ri16", "ri16x32", "cutlass-sm80:f16",
                                          "sparse-24-bitmask", "ri16x32-f16:f16"};
    s24_packed *packed[2];

    ok(s24_nm_mask(ctx, &w.mat, 2, 4, S24_ALONG_BOTH, &view));
    ok(s24_mask_decay(ctx, &w.mat, &view, 0, &w.mat));
    wt.rows = COLS;
    wt.cols = ROWS;
    wt.row_stride = 1;
    wt.col_stride = COLS;
    ok(s24_mat_copy(ctx, &wt, &plain));
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        bool narrow = strchr(layouts[k], ':');
        ok(s24_pack(ctx, &wt, NULL, layouts[k], &packed[0]));
        ok(s24_pack(ctx, &plain, NULL, layouts[k], &packed[1]));
        if (!narrow) {
            ok(s24_unpack(packed[0], &out));
            ck_assert_mem_eq(back, copy, sizeof copy);
        }
        for (int32_t p = 0;; p++) {
            const char *name;
            const void *a, *b;
            size_t size, other;
            ok(s24_packed_part(packed[0], p, &name, &a, &size));
            if (!name)
                break;
            ok(s24_packed_part(packed[1], p, &name, &b, &other));
            ck_assert_uint_eq(size, other);
            ck_assert_mem_eq(a, b, size);
        }
        s24_packed_destroy(packed[0]);
        s24_packed_destroy(packed[1]);
    }
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* ---- Weights and gradients ---- */

START_TEST(decay_and_srste)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int32_t type = _i % 2 ? S24_F64 : S24_F32;
    api_mat w = api_filled(ROWS, COLS, type, _i % LAYOUTS, 3);
    api_mat grad = api_filled(ROWS, COLS, type, (_i + 1) % LAYOUTS, 4);
    s24_mat out = api_empty(ROWS, COLS, type, (_i + 1) % LAYOUTS);
    uint8_t mask[SIZE];
    s24_mat view = bytes_of(mask);

    ok(s24_nm_mask(ctx, &w.mat, 2, 4, S24_ALONG_INPUTS, &view));
    for (int step = 0; step <= 4; step++) {
        double beta = step / 4.0; /* a float */
        ok(s24_mask_decay(ctx, &w.mat, &view, beta, &out));
        for (int64_t i = 0; i < SIZE; i++) {
            double got = api_get(&out, i / COLS, i % COLS), value = w.value[i];
            ck_assert_double_eq_tol(got, mask[i] ? value : beta * value, fabs(value) * 1e-7);
            ck_assert(step || mask[i] || (got == 0 && !signbit(got)));
            ck_assert(step < 4 || got == value);
        }
    }
    ok(s24_srste_add(ctx, &w.mat, &view, 0, &grad.mat));
    for (int64_t i = 0; i < SIZE; i++)
        ck_assert(api_get(&grad.mat, i / COLS, i % COLS) == grad.value[i]);
    ok(s24_srste_add(ctx, &w.mat, &view, 0.25, &grad.mat));
    for (int64_t i = 0; i < SIZE; i++) {
        double wanted = grad.value[i] + (mask[i] ? 0 : 0.25 * w.value[i]);
        ck_assert_double_eq_tol(api_get(&grad.mat, i / COLS, i % COLS), wanted, 1e-6);
    }
    ok(s24_mask_decay(ctx, &w.mat, &view, 0, &w.mat)); /* in place */
    for (int64_t i = 0; i < SIZE; i++)
        ck_assert(api_get(&w.mat, i / COLS, i % COLS) == (mask[i] ? w.value[i] : 0));
    free(out.data);
    api_free(&grad);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* ---- Schedules ---- */

static const struct {
    const char *kind;
    int32_t n, m, step, of;
    int32_t now_n, now_m;
    double beta;
} schedule_table[] = {
    {"step", 2, 4, 0, 100, 4, 4, 1},         {"step", 2, 4, 10, 100, 2, 4, 0},
    {"linear", 2, 4, 9, 100, 4, 4, 1},       {"linear", 2, 4, 10, 100, 2, 4, 1},
    {"linear", 2, 4, 45, 100, 2, 4, 0.5},    {"linear", 2, 4, 80, 100, 2, 4, 0},
    {"exponential", 2, 4, 10, 100, 2, 4, 1}, {"exponential", 2, 4, 45, 100, 2, 4, 0.0316227766},
    {"exponential", 2, 4, 99, 100, 2, 4, 0}, {"structure", 2, 8, 10, 100, 7, 8, 0},
    {"structure", 2, 8, 40, 100, 4, 8, 0},   {"structure", 2, 8, 60, 100, 2, 8, 0},
    {"structure", 1, 1, 50, 100, 1, 1, 0},   {"geometry", 2, 4, 10, 100, 16, 32, 0},
    {"geometry", 2, 4, 30, 100, 8, 16, 0},   {"geometry", 2, 4, 50, 100, 4, 8, 0},
    {"geometry", 2, 4, 70, 100, 2, 4, 0},    {"geometry", 2, 4, 95, 100, 2, 4, 0},
    {"structure", 2, 4, 10, 100, 3, 4, 0},   {"structure", 2, 4, 46, 100, 2, 4, 0},
};

START_TEST(schedules)
{
    const double shares[2] = {0.1, 0.2};
    int32_t pattern[2];
    double beta;

    ok(s24_mask_schedule(schedule_table[_i].kind, schedule_table[_i].n, schedule_table[_i].m,
                         schedule_table[_i].step, schedule_table[_i].of, shares, pattern, &beta));
    ck_assert_int_eq(pattern[0], schedule_table[_i].now_n);
    ck_assert_int_eq(pattern[1], schedule_table[_i].now_m);
    ck_assert_double_eq_tol(beta, schedule_table[_i].beta, 1e-9);
}
END_TEST

/* ---- Drop and grow ---- */

START_TEST(regrowth)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(ROWS, COLS, S24_F32, _i % LAYOUTS, 3);
    api_mat g = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 4);
    uint8_t mask[SIZE], was[SIZE], naive[SIZE];
    s24_mat view = bytes_of(mask);
    int64_t changed = -1, drop = 0, new = 0;
    double share = _i * 0.25;

    ok(s24_nm_mask(ctx, &w.mat, 2, 4, S24_ALONG_INPUTS, &view));
    memcpy(was, mask, SIZE);
    memcpy(naive, mask, SIZE);
    for (drop = (int64_t)nearbyint(share * SIZE / 2); drop > 0; drop--) { /* the least of all */
        int64_t least = -1;
        for (int64_t i = 0; i < SIZE; i++)
            if (naive[i] && (least < 0 || fabs(w.value[i]) < fabs(w.value[least])))
                least = i;
        naive[least] = 0;
    }
    for (int64_t j = 0; j < SIZE; j += 4)
        for (int k = naive[j] + naive[j + 1] + naive[j + 2] + naive[j + 3]; k < 2; k++) {
            int64_t best = -1;
            for (int64_t t = j; t < j + 4; t++)
                if (!naive[t] && (best < 0 || fabs(g.value[t]) > fabs(g.value[best])))
                    best = t;
            naive[best] = 1;
        }
    ok(s24_nm_regrow(ctx, &w.mat, &g.mat, 4, share, &view, &changed));
    ck_assert_mem_eq(mask, naive, SIZE);
    for (int64_t i = 0; i < SIZE; i++)
        new += mask[i] && !was[i];
    ck_assert_int_eq(changed, new);
    api_free(&g);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* ---- What is refused ---- */

START_TEST(bad_arguments)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat w = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 3);
    api_mat half = api_filled(ROWS, COLS, S24_F16, ROW_MAJOR, 3);
    api_mat sorted = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 3);
    uint8_t mask[SIZE];
    s24_mat view = bytes_of(mask), small = view;
    const double shares[2] = {0.1, 0.2}, wrong[2] = {0.6, 0.5};
    int32_t pattern[2];
    double beta;

    memset(mask, 9, SIZE);
    small.rows--;
    fails(s24_nm_mask(NULL, &w.mat, 2, 4, 0, &view), S24_E_ARG, "s24_nm_mask: ctx");
    fails(s24_nm_mask(ctx, &w.mat, 5, 4, 0, &view), S24_E_ARG, "n:m is 5:4");
    fails(s24_nm_mask(ctx, &w.mat, 2, 4, 3, &view), S24_E_ARG, "along is 3");
    fails(s24_nm_mask(ctx, &w.mat, 2, 4, 0, &small), S24_E_SHAPE, "mask is 63 x 64");
    fails(s24_nm_mask(ctx, &w.mat, 2, 5, 0, &view), S24_E_SHAPE, "w has 64 columns");
    fails(s24_nm_mask(ctx, &w.mat, 2, 5, 1, &view), S24_E_SHAPE, "w has 64 rows");
    fails(s24_nm_mask(ctx, &w.mat, 2, 48, 2, &view), S24_E_SHAPE, "w has 64 columns");
    fails(s24_nm_mask(ctx, &w.mat, 2, 4, 0, &w.mat), S24_E_DTYPE, "mask");
    fails(s24_nm_mask_tsenor(ctx, &w.mat, 2, 4, 0, 10, &view), S24_E_ARG, "tau is 0");
    fails(s24_nm_mask_tsenor(ctx, &w.mat, 2, 4, 1, 0, &view), S24_E_ARG, "rounds is 0");
    for (int i = 0; i < SIZE; i++) /* all rows want the same columns */
        api_set(&sorted.mat, i / COLS, i % COLS, i % COLS + 0.01 * (i / COLS));
    fails(s24_nm_mask_tsenor(ctx, &sorted.mat, 32, 64, 1e4, 1, &view), S24_E_NUMERIC,
          "did not end at 32:64 along both sides: raise rounds");
    fails(s24_mask_decay(ctx, &half.mat, &view, 0, &half.mat), S24_E_DTYPE, "w must be S24_F32");
    fails(s24_mask_decay(ctx, &w.mat, &view, 0, &half.mat), S24_E_DTYPE, "out must have the type");
    fails(s24_mask_decay(ctx, &w.mat, &view, 1.5, &w.mat), S24_E_ARG, "beta is 1.5");
    fails(s24_srste_add(ctx, &w.mat, &view, 1, &w.mat), S24_E_ARG, "grad");
    fails(s24_srste_add(ctx, &w.mat, &view, -1, &half.mat), S24_E_DTYPE, "grad must have");
    fails(s24_mask_schedule("cosine", 2, 4, 0, 10, shares, pattern, &beta), S24_E_ARG,
          "kind is \"cosine\"");
    fails(s24_mask_schedule("structure", 2, 6, 0, 10, shares, pattern, &beta), S24_E_ARG,
          "power of two");
    fails(s24_mask_schedule("geometry", 2, 16, 0, 10, shares, pattern, &beta), S24_E_ARG,
          "m is 16");
    fails(s24_mask_schedule("step", 2, 4, 10, 10, shares, pattern, &beta), S24_E_ARG,
          "step is 10 of 10");
    fails(s24_mask_schedule("step", 2, 4, 1, 10, wrong, pattern, &beta), S24_E_ARG,
          "shares are 0.6 dense and 0.5");
    fails(s24_mask_schedule("step", 2, 4, 1, 10, NULL, pattern, &beta), S24_E_ARG,
          "shares is NULL");
    fails(s24_nm_regrow(ctx, &w.mat, &half.mat, 4, 1.5, &view, NULL), S24_E_ARG, "share is 1.5");
    fails(s24_nm_regrow(ctx, &w.mat, NULL, 4, 0.5, &view, NULL), S24_E_ARG, "g is NULL");
    api_set(&w.mat, 3, 5, NAN);
    fails(s24_nm_mask(ctx, &w.mat, 2, 4, 2, &view), S24_E_NONFINITE, "w: row 3, column 5");
    fails(s24_mask_decay(ctx, &w.mat, &view, 0, &w.mat), S24_E_NONFINITE, "w: row 3, column 5");
    for (int i = 0; i < SIZE; i++)
        ck_assert_int_eq(mask[i], 9);
    api_free(&sorted);
    api_free(&half);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

void api_training_tests(Suite *suite)
{
    TCase *test = tcase_create("training");
    int count = sizeof patterns / sizeof *patterns;

    tcase_add_loop_test(test, masks_along_one_side, 0, 4 * LAYOUTS);
    tcase_add_loop_test(test, masks_along_both_sides, 0, count);
    tcase_add_loop_test(test, the_published_approximation, 0, count);
    tcase_add_test(test, both_sides_are_packed);
    tcase_add_loop_test(test, decay_and_srste, 0, 2 * LAYOUTS);
    tcase_add_loop_test(test, schedules, 0, sizeof schedule_table / sizeof *schedule_table);
    tcase_add_loop_test(test, regrowth, 0, 5);
    tcase_add_test(test, bad_arguments);
    suite_add_tcase(suite, test);
}
