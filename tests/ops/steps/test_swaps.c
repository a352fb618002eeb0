/* Exchanges held to brute force: every single swap solved anew, and every support there is. */
#include "../published.h"
#include "../ops_test.h"

typedef struct {
    int64_t rows, n;
    s24i_prepared prepared;
    float *w, *v;
    uint8_t *mask;
    double *s; /* S in double */
    const s24i_constraints *constraints;
    s24i_swap_limits limits;
    int64_t swapped;
} trial;

static s24_status swap_stage(void *arg, const s24i_run *run)
{
    trial *t = arg;
    return s24i_swap(run, &(s24i_target){&t->prepared, t->constraints, t->w, t->rows}, t->limits,
                     t->v, t->mask, &t->swapped);
}

static s24_status project_stage(void *arg, const s24i_run *run)
{
    trial *t = arg;
    return s24i_project(run, t->constraints, t->w, NULL, t->rows, t->n, t->mask);
}

/* A correlated matrix, the largest weights kept and re-fitted. */
static trial new_trial(uint64_t seed, int64_t rows, int64_t n, const s24i_constraints *constraints)
{
    trial t = {.rows = rows, .n = n, .constraints = constraints, .w = normals(&seed, rows * n)};
    s24i_gram gram = gram_of(activations(&seed, 2 * n + 20, n, 0.8), 2 * n + 20, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    double *fitted = GRAB(double, rows *n);
    t.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0.02, t.w);
    t.s = doubles(t.prepared.s, n * n);
    t.mask = GRAB(uint8_t, rows * n);
    t.v = GRAB(float, rows *n);
    t.limits = (s24i_swap_limits){S24I_SWAP_EXACT, 1e-9, 1000};
    ck_assert_int_eq(in_arena(project_stage, &t), S24_OK);
    published_refit(t.s, doubles(t.w, rows * n), t.mask, rows, n, fitted);
    for (int64_t i = 0; i < rows * n; i++)
        t.v[i] = (float)fitted[i];
    s24i_gram_fini(&device, &gram);
    return t;
}

/* The same start again. */
static trial copy_of(const trial *t)
{
    trial c = *t;
    c.v = GRAB(float, t->rows * t->n);
    c.mask = GRAB(uint8_t, t->rows * t->n);
    memcpy(c.v, t->v, (size_t)(t->rows * t->n) * sizeof *c.v);
    memcpy(c.mask, t->mask, (size_t)(t->rows * t->n));
    return c;
}

static double row_loss(const trial *t, const float *v, int64_t row)
{
    int mark = naive_count;
    double *e = GRAB(double, t->n);
    for (int64_t j = 0; j < t->n; j++)
        e[j] = (double)v[row * t->n + j] - t->w[row * t->n + j];
    double loss = naive_quadratic(e, t->s, 1, t->n);
    drop_to(mark);
    return loss;
}

static double total_loss(const trial *t)
{
    double total = 0;
    for (int64_t i = 0; i < t->rows; i++)
        total += row_loss(t, t->v, i);
    return total;
}

/* The least loss of a row on a mask. */
static double best_on(const trial *t, int64_t row, const uint8_t *mask)
{
    int mark = naive_count;
    double *w = doubles(t->w + row * t->n, t->n), *v = GRAB(double, t->n);
    published_refit(t->s, w, mask, 1, t->n, v);
    for (int64_t j = 0; j < t->n; j++)
        v[j] -= w[j];
    double loss = naive_quadratic(v, t->s, 1, t->n);
    drop_to(mark);
    return loss;
}

/* As many kept as before everywhere, nothing beside the mask, no row worse. */
static void check_fair(const trial *t, const trial *before)
{
    int64_t part = t->constraints->n ? t->constraints->m : t->n;
    for (int64_t i = 0; i < t->rows * t->n; i += part) {
        int64_t change = 0;
        for (int64_t j = i; j < i + part; j++) {
            unit_check(t->mask[j] <= 1 && (t->mask[j] || t->v[j] == 0));
            change += t->mask[j] - before->mask[j];
        }
        unit_check(change == 0);
    }
    for (int64_t i = 0; i < t->rows; i++)
        unit_check(row_loss(t, t->v, i) <= row_loss(before, before->v, i) * (1 + 1e-5));
}

static const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                            {.n = 3, .m = 8},
                                            {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                            {.scope = S24I_SCOPE_LAYER, .sparsity = 0.7}};
enum { PATTERNS = 4 };

/* No exchange of one kept for one pruned weight would gain, and the values are the best of their
 * support. */
START_TEST(nothing_is_left_to_swap)
{
    trial t = new_trial(1 + (uint64_t)_i, 20, 24, &patterns[_i]), before = copy_of(&t);
    int64_t part = t.constraints->n ? t.constraints->m : t.n;
    ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
    ck_assert_int_gt(t.swapped, 0);
    check_fair(&t, &before);
    for (int64_t row = 0; row < t.rows; row++) {
        uint8_t *mask = t.mask + row * t.n;
        double loss = best_on(&t, row, mask);
        check_near(row_loss(&t, t.v, row), loss, 1e-5 * loss);
        for (int64_t p = 0; p < t.n; p++)
            for (int64_t q = p - p % part; mask[p] && q < p - p % part + part; q++) {
                if (mask[q])
                    continue;
                mask[p] = 0;
                mask[q] = 1;
                unit_check(best_on(&t, row, mask) >= loss * (1 - 1e-6));
                mask[p] = 1;
                mask[q] = 0;
            }
    }
}
END_TEST

/* ---- all supports of 2:4 with six groups, by a Cholesky factor that grows group by group ---- */

enum { SMALL = 24, KEPT = 12 };

typedef struct {
    const double *s;
    double c[SMALL]; /* w S */
    int64_t column[KEPT];
    double l[KEPT][KEPT], y[KEPT]; /* S on the columns = L L^T, y = L^-1 c */
    double best;                   /* largest |y|^2 */
} exhaustion;

static void append(exhaustion *e, int64_t k, int64_t column)
{
    e->column[k] = column;
    for (int64_t j = 0; j <= k; j++) {
        double rest = e->s[column * SMALL + e->column[j]];
        for (int64_t i = 0; i < j; i++)
            rest -= e->l[k][i] * e->l[j][i];
        e->l[k][j] = j < k ? rest / e->l[j][j] : sqrt(rest);
    }
    e->y[k] = e->c[column];
    for (int64_t i = 0; i < k; i++)
        e->y[k] -= e->l[k][i] * e->y[i];
    e->y[k] /= e->l[k][k];
}

static void descend(exhaustion *e, int64_t group, double gained)
{
    if (group == SMALL / 4) {
        e->best = fmax(e->best, gained);
        return;
    }
    for (int64_t p = 0; p < 4; p++)
        for (int64_t q = p + 1; q < 4; q++) {
            int64_t k = 2 * group;
            append(e, k, 4 * group + p);
            append(e, k + 1, 4 * group + q);
            descend(e, group + 1, gained + e->y[k] * e->y[k] + e->y[k + 1] * e->y[k + 1]);
        }
}

static double global_optimum(const trial *t, int64_t row)
{
    exhaustion e = {.s = t->s};
    double *w = doubles(t->w + row * SMALL, SMALL), all = 0;
    for (int64_t j = 0; j < SMALL; j++) {
        e.c[j] = naive_dot(t->s + j * SMALL, w, SMALL);
        all += e.c[j] * w[j];
    }
    descend(&e, 0, 0);
    return all - e.best;
}

START_TEST(most_rows_reach_the_global_optimum)
{
    double found = 0, optimum = 0;
    int64_t reached = 0, rows = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        trial t = new_trial(seed, 16, SMALL, &patterns[0]);
        ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
        for (int64_t row = 0; row < t.rows; row++, rows++) {
            double loss = row_loss(&t, t.v, row), least = global_optimum(&t, row);
            unit_check(loss >= least * (1 - 1e-5));
            reached += loss <= least * (1 + 1e-4);
            found += loss;
            optimum += least;
        }
    }
    ck_assert_int_ge(reached, rows * 3 / 4);
    ck_assert_double_le(found, 1.05 * optimum);
}
END_TEST

/* ---- the search for long rows ---- */

START_TEST(averaged_prices_do_nearly_as_well)
{
    trial t = new_trial(7 + (uint64_t)_i, 80, 128, &patterns[_i]), exact = copy_of(&t);
    trial before = copy_of(&t);
    t.limits.method = S24I_SWAP_SCHUR;
    ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
    ck_assert_int_eq(in_arena(swap_stage, &exact), S24_OK);
    check_fair(&t, &before);
    check_fair(&exact, &before);
    double start = total_loss(&before), reached = total_loss(&exact), here = total_loss(&t);
    ck_assert_double_lt(reached, 0.95 * start);
    ck_assert_msg(start - here >= 0.9 * (start - reached), "from %g to %g, exactly to %g", start,
                  here, reached);
}
END_TEST

START_TEST(no_more_than_allowed)
{
    for (int method = S24I_SWAP_EXACT; method <= S24I_SWAP_SCHUR; method++)
        for (int64_t most = 0; most < 3; most++) {
            trial t = new_trial(11, 40, 64, &patterns[_i]), before = copy_of(&t);
            int64_t total = 0;
            t.limits = (s24i_swap_limits){method, 1e-9, most};
            ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
            check_fair(&t, &before);
            for (int64_t i = 0; i < t.rows; i++) {
                int64_t came = 0;
                for (int64_t j = i * t.n; j < (i + 1) * t.n; j++)
                    came += t.mask[j] && !before.mask[j];
                unit_check(came <= most);
                total += came;
            }
            ck_assert_int_le(total, t.swapped);
            ck_assert_int_le(t.swapped, most * t.rows);
            ck_assert(most == 0 || t.swapped > t.rows / 2);
        }
}
END_TEST

START_TEST(the_size_chooses)
{
    for (int64_t n = S24I_EXACT_COLS; n <= S24I_EXACT_COLS + 4; n += 4) {
        trial t = new_trial(13, 6, n, &patterns[0]), other = copy_of(&t);
        t.limits.method = S24I_SWAP_AUTO;
        other.limits.method = n == S24I_EXACT_COLS ? S24I_SWAP_EXACT : S24I_SWAP_SCHUR;
        ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
        ck_assert_int_eq(in_arena(swap_stage, &other), S24_OK);
        ck_assert(t.swapped == other.swapped && !memcmp(t.mask, other.mask, (size_t)(6 * n)) &&
                  !memcmp(t.v, other.v, (size_t)(6 * n) * sizeof *t.v));
    }
}
END_TEST

/* Rows with nothing to exchange: all kept, none kept, and inputs that have nothing to do with each
 * other. */
START_TEST(nothing_to_gain)
{
    for (int method = S24I_SWAP_EXACT; method <= S24I_SWAP_SCHUR; method++) {
        trial t = new_trial(17, 5, 32, &patterns[2]);
        memset(t.mask, 1, 32);
        memset(t.mask + 32, 0, 32);
        memcpy(t.v, t.w, 32 * sizeof *t.v);
        memset(t.v + 32, 0, 32 * sizeof *t.v);
        trial before = copy_of(&t);
        t.limits.method = method;
        ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
        ck_assert(!memcmp(t.v, before.v, 64 * sizeof *t.v) && !memcmp(t.mask, before.mask, 64));
        s24i_matrix matrix = matrix_of(5, 32, NULL);
        t.w = normals(&(uint64_t){19}, 5 * 32);
        t.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0, t.w);
        ck_assert_int_eq(in_arena(project_stage, &t), S24_OK);
        kernels.apply_mask(t.w, t.mask, t.v, 5 * 32);
        before = copy_of(&t);
        ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
        ck_assert_int_eq(t.swapped, 0);
        ck_assert(!memcmp(t.v, before.v, 160 * sizeof *t.v) && !memcmp(t.mask, before.mask, 160));
    }
}
END_TEST

START_TEST(stopped_before_it_began)
{
    _Atomic int32_t cancel = 1;
    for (int method = S24I_SWAP_EXACT; method <= S24I_SWAP_SCHUR; method++) {
        s24i_watch_init(&watch, NULL, NULL, NULL, 0);
        trial t = new_trial(23, 9, 32, &patterns[0]), before = copy_of(&t);
        t.limits.method = method;
        s24i_watch_init(&watch, NULL, NULL, &cancel, 0);
        ck_assert_int_eq(in_arena(swap_stage, &t), S24_OK);
        ck_assert_int_eq(t.swapped, 0);
        ck_assert(!memcmp(t.v, before.v, 9 * 32 * sizeof *t.v) &&
                  !memcmp(t.mask, before.mask, 9 * 32));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("swaps");
    TCase *tcase = new_case(suite, "swaps");
    tcase_add_loop_test(tcase, nothing_is_left_to_swap, 0, PATTERNS);
    tcase_add_test(tcase, most_rows_reach_the_global_optimum);
    tcase_add_loop_test(tcase, averaged_prices_do_nearly_as_well, 0, PATTERNS);
    tcase_add_loop_test(tcase, no_more_than_allowed, 0, PATTERNS);
    tcase_add_test(tcase, the_size_chooses);
    tcase_add_test(tcase, nothing_to_gain);
    tcase_add_test(tcase, stopped_before_it_began);
    return unit_run(suite);
}
