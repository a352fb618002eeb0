#include "ops_test.h"

/* Grids: what fitters give on odd groups, and what coordinate descent promises. */

typedef struct {
    int64_t rows, n;
    s24i_pattern pattern;
    s24i_prepared prepared;
    s24i_grid grid;
    s24i_descent_limits limits;
    s24i_outliers outliers;
    int32_t method, sweeps;
    bool relaxed;
    float *plain, *w; /* in the layer's and in unit-diagonal coordinates */
    uint8_t *codes, *mask;
    int32_t iterations;
} problem;

static void take_grid(problem *p, int32_t bits, int32_t scheme, int64_t group, int32_t type)
{
    p->pattern.grid = (s24i_grid_form){bits, scheme, group};
    p->grid = (s24i_grid){.form = p->pattern.grid, .cols = p->n, .type = type};
    int64_t size = p->rows * s24i_grid_groups(&p->grid.form, p->n);
    p->grid.scale = GRAB(float, size);
    p->grid.zero = GRAB(float, size);
    p->codes = GRAB(uint8_t, p->rows * p->n);
    p->mask = GRAB(uint8_t, p->rows * p->n);
    memset(p->mask, 1, (size_t)(p->rows * p->n));
}

static s24_status fit_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_grid_fit(run, p->method, NULL, p->plain, p->mask, p->rows, &p->grid);
}

static s24_status sweep_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_sweep_grid(run, &(s24i_target){&p->prepared, &p->pattern, p->w, p->rows}, &p->grid,
                           NULL, p->codes, p->mask);
}

static s24_status descend_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_descend(run, &(s24i_target){&p->prepared, &p->pattern, p->w, p->rows}, p->limits,
                        &p->grid, p->codes, p->mask, &p->iterations);
}

static s24_status relax_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_relax(run, &(s24i_target){.prepared = &p->prepared, .w = p->w, .rows = p->rows},
                      p->sweeps, p->relaxed, false, &p->grid, p->mask, p->codes);
}

static s24_status babai_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_babai(run, &(s24i_target){.prepared = &p->prepared, .w = p->w, .rows = p->rows},
                      p->sweeps, scales_of(&p->prepared), &p->grid, p->mask, p->codes);
}

static s24_status outlier_stage(void *arg, const s24i_run *run)
{
    problem *p = arg;
    return s24i_choose_outliers(run, p->outliers, scales_of(&p->prepared), p->plain, p->mask,
                                p->rows, &p->grid);
}

/* A layer of correlated inputs, its grid fitted by range. */
static problem open_problem(uint64_t seed, int64_t rows, int64_t n, double correlation)
{
    problem p = {.rows = rows, .n = n, .method = S24I_FIT_MINMAX};
    float *x = activations(&seed, 4 * n + 50, n, correlation);
    s24i_gram gram = gram_of(x, 4 * n + 50, n, S24_F32);
    s24i_layer layer = layer_of(rows, n, &gram);
    p.plain = normals(&seed, rows * n);
    p.w = GRAB(float, rows *n);
    memcpy(p.w, p.plain, (size_t)(rows * n) * sizeof(float));
    p.prepared = prepare(&layer, S24I_DAMP_RELATIVE, 0.05, p.w);
    s24i_gram_fini(&device, &gram);
    return p;
}

static float value(const problem *p, int64_t i, int64_t j)
{
    int64_t at =
        i * s24i_grid_groups(&p->grid.form, p->n) + j / s24i_grid_group(&p->grid.form, p->n);
    if (p->grid.free && p->grid.free[i * p->n + j])
        return p->grid.value[i * p->n + j];
    return p->mask[i * p->n + j] ? s24i_decode(&p->grid.form, p->grid.scale[at], p->grid.zero[at],
                                               p->codes[i * p->n + j])
                                 : 0;
}

/* (v - w) S (v - w)^T of one row in double. */
static double row_loss(const problem *p, int64_t i)
{
    int mark = naive_count;
    double loss = 0, *e = GRAB(double, p->n);
    for (int64_t j = 0; j < p->n; j++)
        e[j] = (double)value(p, i, j) * p->prepared.scale[j] - p->w[i * p->n + j];
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t k = 0; k < p->n; k++)
            loss += e[j] * e[k] * p->prepared.s[j * p->n + k];
    drop_to(mark);
    return loss;
}

static double whole_loss(const problem *p)
{
    double loss = 0;
    for (int64_t i = 0; i < p->rows; i++)
        loss += row_loss(p, i);
    return loss;
}

/* ---- descent ---- */

static const struct {
    int32_t n, m, bits, scheme, type;
    int64_t group;
} kinds[] = {{0, 1, 4, S24I_GRID_ASYM, S24_F32, 0},  {0, 1, 3, S24I_GRID_SYM, S24_F16, 24},
             {0, 1, 2, S24I_GRID_REAL, S24_F32, 16}, {2, 4, 4, S24I_GRID_ASYM, S24_F32, 0},
             {2, 4, 2, S24I_GRID_SYM, S24_BF16, 24}, {4, 8, 3, S24I_GRID_ASYM, S24_F32, 32},
             {3, 8, 2, S24I_GRID_REAL, S24_F32, 0}};

/* _i: the kind. One sweep a call, then scales; f is looked at after each. */
START_TEST(the_loss_never_rises)
{
    problem p = open_problem(7 + (uint64_t)_i, 37, 72, 0.6);
    p.pattern.n = kinds[_i].n;
    p.pattern.m = kinds[_i].m;
    take_grid(&p, kinds[_i].bits, kinds[_i].scheme, kinds[_i].group, kinds[_i].type);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    double first = whole_loss(&p), before = first;
    for (int k = 0; k < 24; k++) {
        p.limits = (s24i_descent_limits){k < 12 ? 1 : 3, k < 12 ? 0 : 1};
        ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_msg(now <= before * (1 + 1e-6), "call %d: %.9g after %.9g", k, now, before);
        before = now;
    }
    ck_assert_double_lt(before, 0.995 * first); /* it does something */
    for (int64_t i = 0; i < p.rows * p.n; i += p.pattern.m) {
        int kept = 0;
        for (int64_t j = i; p.pattern.n && j < i + p.pattern.m; j++)
            kept += p.mask[j];
        ck_assert_int_le(kept, p.pattern.n);
    }
}
END_TEST

START_TEST(whole_sweeps_never_raise_it)
{
    problem p = open_problem(3, 70, 140, 0.6);
    take_grid(&p, 3, S24I_GRID_ASYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 3 != 0;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, p.rows, p.codes), S24_OK);
    double before = whole_loss(&p), first = before;
    for (int k = 0; k < 8; k++, p.sweeps = 1) {
        p.sweeps = 1;
        ck_assert_int_eq(in_arena(relax_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_double_le(now, before * (1 + 1e-6));
        before = now;
    }
    ck_assert_double_lt(before, 0.9 * first);
    p.sweeps = 30;
    p.relaxed = true;
    ck_assert_int_eq(in_arena(relax_stage, &p), S24_OK);
    ck_assert_double_lt(whole_loss(&p), 0.9 * first); /* rounded in the end */
}
END_TEST

/* Blocks of inputs, from where no single code can gain; _i: with outliers. */
START_TEST(blocks_never_raise_it)
{
    problem p = open_problem(4, 70, 200, 0.8);
    take_grid(&p, 3, S24I_GRID_ASYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 7 != 0;
    p.pattern.mask = p.mask;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    if (_i) {
        p.grid.free = GRAB(uint8_t, p.rows * p.n);
        p.grid.value = GRAB(float, p.rows *p.n);
        p.outliers.count = 150;
        ck_assert_int_eq(in_arena(outlier_stage, &p), S24_OK);
    }
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    p.limits.sweeps = 100;
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    double before = whole_loss(&p), first = before;
    for (p.sweeps = 1; p.sweeps < 5; p.sweeps++) {
        ck_assert_int_eq(in_arena(babai_stage, &p), S24_OK);
        double now = whole_loss(&p);
        ck_assert_double_le(now, before * (1 + 1e-6));
        before = now;
    }
    ck_assert_double_lt(before, first);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        ck_assert(p.codes[i] < 8);
}
END_TEST

/* ---- outliers ---- */

static double slope(const problem *p, int64_t i, int64_t j)
{
    double g = 0;
    for (int64_t k = 0; k < p->n; k++)
        g += ((double)p->w[i * p->n + k] - (double)value(p, i, k) * p->prepared.scale[k]) *
             p->prepared.s[k * p->n + j];
    return g;
}

/* As many as asked for, where the mask allows, the worst by the rule; the sweep and the descent
 * leave them at their minima; less loss. */
START_TEST(outliers_are_free)
{
    problem p = open_problem(6, 20, 48, 0.6);
    take_grid(&p, 2, S24I_GRID_SYM, 0, S24_F32);
    for (int64_t i = 0; i < p.rows * p.n; i++)
        p.mask[i] = i % 5 != 0;
    p.pattern.mask = p.mask;
    p.limits.sweeps = 100;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    double without = whole_loss(&p), least = INFINITY, most = 0;
    p.grid.free = GRAB(uint8_t, p.rows * p.n);
    p.grid.value = GRAB(float, p.rows *p.n);
    p.outliers = (s24i_outliers){.count = 30, .by_magnitude = _i == 1, .inputs = _i == 2};
    if (_i == 2)
        p.outliers.count = 2;
    ck_assert_int_eq(in_arena(outlier_stage, &p), S24_OK);
    int64_t count = 0, columns = 0;
    for (int64_t i = 0; i < p.rows * p.n; i++) {
        ck_assert(!p.grid.free[i] || p.mask[i]);
        count += p.grid.free[i];
        if (_i == 1 && p.mask[i]) {
            least = p.grid.free[i] ? fmin(least, fabsf(p.plain[i])) : least;
            most = p.grid.free[i] ? most : fmax(most, fabsf(p.plain[i]));
        }
    }
    for (int64_t j = 0; j < p.n; j++) {
        int64_t here = 0;
        for (int64_t i = 0; i < p.rows; i++)
            here += p.grid.free[i * p.n + j];
        columns += here == p.rows * 4 / 5;
    }
    ck_assert_int_eq(_i == 2 ? columns : count, p.outliers.count);
    ck_assert(least >= most || _i != 1);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    ck_assert_double_lt(whole_loss(&p), 0.95 * without);
    p.limits.sweeps = 0;
    for (int64_t i = 0; i < p.rows * p.n; i++)
        if (p.grid.free[i])
            ck_assert_double_eq_tol(slope(&p, i / p.n, i % p.n), 0,
                                    1e-3 * p.prepared.scale[i % p.n]);
}
END_TEST

/* ---- against all there is ---- */

/* The least loss of row i, by trying every code (and every support of 2:4). */
static double least_loss(problem *p, int64_t i)
{
    uint8_t codes[8], mask[8];
    double least = INFINITY;
    memcpy(codes, p->codes + i * 8, 8);
    memcpy(mask, p->mask + i * 8, 8);
    for (int s = 0; s < (p->pattern.n ? 256 : 1); s++) {
        int left = __builtin_popcount(s & 15), right = __builtin_popcount(s >> 4);
        if (p->pattern.n && (left != 2 || right != 2))
            continue;
        for (int j = 0; j < 8; j++)
            p->mask[i * 8 + j] = !p->pattern.n || (s >> j & 1);
        for (int c = 0; c < (p->pattern.n ? 256 : 65536); c++) {
            int rest = c;
            for (int j = 0; j < 8; j++)
                if (p->mask[i * 8 + j]) {
                    p->codes[i * 8 + j] = rest & 3;
                    rest >>= 2;
                }
            least = fmin(least, row_loss(p, i));
        }
    }
    memcpy(p->codes + i * 8, codes, 8);
    memcpy(p->mask + i * 8, mask, 8);
    return least;
}

/* 8 inputs of 2 bits: most rows end within 5 % of the optimum. */
static void compare_with_all(int32_t n, int32_t m, int64_t rows, double share)
{
    problem p = open_problem(11, rows, 8, 0.3);
    int near = 0;
    p.pattern.n = n;
    p.pattern.m = m;
    take_grid(&p, 2, S24I_GRID_ASYM, 0, S24_F32);
    p.limits = (s24i_descent_limits){50, 0};
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(sweep_stage, &p), S24_OK);
    ck_assert_int_eq(in_arena(descend_stage, &p), S24_OK);
    p.sweeps = 2; /* all 8 inputs are one block */
    ck_assert_int_eq(in_arena(babai_stage, &p), S24_OK);
    for (int64_t i = 0; i < rows; i++) {
        double loss = row_loss(&p, i), least = least_loss(&p, i);
        ck_assert_double_ge(loss, least * (1 - 1e-9));
        near += loss <= 1.05 * least;
    }
    ck_assert_msg(near >= share * (double)rows, "%d:%d: %d of %d rows are near the optimum", n, m,
                  near, (int)rows);
}

START_TEST(near_the_optimum)
{
    compare_with_all(0, 1, 20, 0.75);
    compare_with_all(2, 4, 100, 0.85);
}
END_TEST

/* ---- fitters ---- */

START_TEST(groups_are_fitted_one_by_one)
{
    uint64_t seed = 5;
    problem p = {.rows = 6, .n = 40, .plain = normals(&seed, 240)};
    for (p.method = S24I_FIT_SEARCH; p.method <= S24I_FIT_MINMAX; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++) {
            take_grid(&p, 4, scheme, 16, S24_F32);
            ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
            for (int64_t g = 0; g < 3; g++) {
                problem q = {.rows = 6, .n = g < 2 ? 16 : 8, .method = p.method};
                q.plain = GRAB(float, 6 * q.n);
                for (int64_t i = 0; i < 6; i++)
                    memcpy(q.plain + i * q.n, p.plain + i * 40 + 16 * g, (size_t)q.n * 4);
                take_grid(&q, 4, scheme, 0, S24_F32);
                ck_assert_int_eq(in_arena(fit_stage, &q), S24_OK);
                for (int64_t i = 0; i < 6; i++)
                    ck_assert(q.grid.scale[i] == p.grid.scale[3 * i + g] &&
                              q.grid.zero[i] == p.grid.zero[3 * i + g]);
            }
        }
}
END_TEST

/* Rows of 16: zeros, positive, negative, one value, one huge value, denormal, all equal. Nothing
 * breaks, and what can be exact is. */
START_TEST(odd_groups)
{
    problem p = {.rows = 7, .n = 16, .plain = GRAB(float, 7 * 16)};
    uint64_t seed = 9;
    float *v = GRAB(float, 7 * 16);
    for (int64_t j = 0; j < 16; j++) {
        p.plain[16 + j] = (float)(1 + uniform(&seed));
        p.plain[32 + j] = (float)(-1 - uniform(&seed));
        p.plain[64 + j] = (float)uniform(&seed);
        p.plain[80 + j] = 1e-42f * (float)j;
        p.plain[96 + j] = 0.7f;
    }
    p.plain[48 + 3] = -2;
    p.plain[64 + 5] = 1e30f;
    for (p.method = S24I_FIT_SEARCH; p.method <= S24I_FIT_MINMAX; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++)
            for (int32_t bits = 2; bits <= 8; bits += 3) {
                take_grid(&p, bits, scheme, 0, S24_F32);
                ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
                ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 7, p.codes), S24_OK);
                ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 7, p.codes, v),
                                 S24_OK);
                for (int64_t i = 0; i < 7 * 16; i++) {
                    ck_assert(isfinite(v[i]) && fabsf(v[i]) <= 2.2f * fabsf(p.plain[64 + 5]));
                    ck_assert(i >= 16 || v[i] == 0);
                    ck_assert(p.grid.scale[i / 16] > 0 && p.codes[i] < 1 << bits);
                }
                ck_assert_float_eq_tol(v[48 + 3], -2, 0.7f); /* one level is near */
            }
}
END_TEST

START_TEST(scales_keep_to_their_type)
{
    uint64_t seed = 2;
    problem p = {.rows = 4, .n = 32, .method = S24I_FIT_SEARCH, .plain = normals(&seed, 128)};
    take_grid(&p, 4, S24I_GRID_ASYM, 8, S24_F16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    for (int64_t k = 0; k < 16; k++)
        ck_assert(p.grid.scale[k] == s24i_stored(S24_F16, p.grid.scale[k]));
    p.plain[70] = 1e30f;
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_E_NUMERIC);
    unit_check(strstr(s24i_error_text(), "row 2, group 0") != NULL);
    take_grid(&p, 4, S24I_GRID_ASYM, 8, S24_BF16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
}
END_TEST

/* Steps below the least number of their type: a group of nearly one value is that value, one of
 * nearly nothing beside others is zeros. */
START_TEST(finest_scales)
{
    uint64_t seed = 6;
    problem p = {.rows = 2, .n = 32, .method = S24I_FIT_SEARCH, .plain = normals(&seed, 64)};
    float *v = GRAB(float, 64);
    for (p.method = S24I_FIT_MINMAX; p.method <= S24I_FIT_SEARCH; p.method++)
        for (int32_t scheme = S24I_GRID_ASYM; scheme <= S24I_GRID_REAL; scheme++) {
            for (int64_t j = 0; j < 16; j++)
                p.plain[j] = scheme == S24I_GRID_REAL ? 1 + 1e-7f * (float)j : 1e-9f * (float)j;
            take_grid(&p, 4, scheme, 16, S24_F16);
            ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
            ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 2, p.codes), S24_OK);
            ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 2, p.codes, v), S24_OK);
            ck_assert(p.grid.scale[0] > 0 && p.grid.scale[0] <= 0x1p-23f);
            for (int64_t j = 0; j < 16; j++)
                ck_assert(fabsf(v[j] - p.plain[j]) <= 1e-6f);
        }
    for (int64_t i = 0; i < 64; i++) /* but a layer of nothing else has no grid */
        p.plain[i] = 1e-9f * (float)(i + 1);
    take_grid(&p, 4, S24I_GRID_SYM, 16, S24_F16);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_E_NUMERIC);
    unit_check(strstr(s24i_error_text(), "need a scale beyond the range") != NULL);
}
END_TEST

/* The first place is told, whichever thread found one. */
START_TEST(codes_are_checked)
{
    uint64_t seed = 8;
    problem p = {.rows = 40, .n = 20, .method = S24I_FIT_MINMAX, .plain = normals(&seed, 800)};
    uint8_t *outliers = GRAB(uint8_t, 800);
    float *v = GRAB(float, 800);
    take_grid(&p, 3, S24I_GRID_ASYM, 8, S24_F32);
    ck_assert_int_eq(in_arena(fit_stage, &p), S24_OK);
    ck_assert_int_eq(s24i_grid_round(&plainly, &p.grid, p.plain, 40, p.codes), S24_OK);
    ck_assert_int_eq(s24i_grid_decode(&plainly, &p.grid, p.mask, 40, p.codes, v), S24_OK);
#define CHECK_CODES(outlier) \
    (p.grid.free = (outlier), s24i_check_codes(&device, &p.grid, p.codes, p.mask, v, 40))
    ck_assert_int_eq(CHECK_CODES(NULL), S24_OK);
    v[39 * 20] += 1;
    v[17 * 20 + 11] += 1;
    ck_assert_int_eq(CHECK_CODES(NULL), S24_E_STATE);
    unit_check(strstr(s24i_error_text(), "weights: row 17, column 11 is") != NULL);
    outliers[17 * 20 + 11] = outliers[39 * 20] = 1;
    ck_assert_int_eq(CHECK_CODES(outliers), S24_OK);
    p.mask[39 * 20] = 0; /* pruned: neither a code nor an outlier */
    ck_assert_int_eq(CHECK_CODES(outliers), S24_E_STATE);
    p.codes[3 * 20 + 4] = 8;
    ck_assert_int_eq(CHECK_CODES(outliers), S24_E_STATE);
    unit_check(strstr(s24i_error_text(), "codes: row 3, column 4 is 8, beyond 3 bits") != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grid");
    TCase *tcase = new_case(suite, "grid");
    tcase_add_loop_test(tcase, the_loss_never_rises, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(tcase, whole_sweeps_never_raise_it);
    tcase_add_loop_test(tcase, blocks_never_raise_it, 0, 2);
    tcase_add_loop_test(tcase, outliers_are_free, 0, 3);
    tcase_add_test(tcase, near_the_optimum);
    tcase_add_test(tcase, groups_are_fitted_one_by_one);
    tcase_add_test(tcase, odd_groups);
    tcase_add_test(tcase, scales_keep_to_their_type);
    tcase_add_test(tcase, finest_scales);
    tcase_add_test(tcase, codes_are_checked);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
