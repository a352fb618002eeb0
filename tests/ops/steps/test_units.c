/* lib/ops/steps/units.c: whole columns removed and the rest fitted again, against enumeration in
 * double. */
#include "../ops_test.h"

/* Weights and inputs of another program's run; integers and halves. */
static const float given_x[12 * 6] = {
    3, 3,  3, -5, -4, 3, -4, -3, -3, 3, -1, -4, -5, 0,  -1, 1,  2, -3, -5, 3,  3,  -1, -2, 3,
    3, -3, 3, -4, -1, 2, -3, -1, 1,  3, 1,  -5, 4,  2,  -3, -1, 4, 5,  4,  0,  -5, -3, 2,  -5,
    0, -5, 5, 3,  3,  4, -1, 4,  4,  5, 4,  0,  0,  -1, -4, -5, 4, -2, -1, -5, -1, -5, 4,  2};
static const float given_w[3 * 6] = {2.5f,  3.5f,  0.5f, 4.5f, 0.5f,  -2.5f, -1.5f, 1.5f,  0.5f,
                                     -0.5f, -1.5f, 4.5f, 4.5f, -3.5f, -2.5f, -3.5f, -1.5f, 4.5f};

/* ---- naive ---- */

/* What is left of |X (W - V)^T|^2 when V may use the columns of the set alone. */
static double left_over(const double *h, const float *w, int64_t rows, int64_t n, unsigned set)
{
    int mark = naive_count;
    double *a = GRAB(double, n *n), *b = GRAB(double, n), loss = 0;
    int64_t at[32], k = 0;
    for (int64_t j = 0; j < n; j++)
        if (set >> j & 1)
            at[k++] = j;
    for (int64_t o = 0; o < rows; o++) {
        for (int64_t i = 0; i < k; i++) {
            b[i] = 0;
            for (int64_t j = 0; j < n; j++)
                b[i] += h[at[i] * n + j] * (double)w[o * n + j];
            for (int64_t j = 0; j < k; j++)
                a[i * k + j] = h[at[i] * n + at[j]];
        }
        double used = 0, all = 0;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                all += (double)w[o * n + i] * h[i * n + j] * (double)w[o * n + j];
        for (int64_t i = 0; i < k; i++) { /* elimination: b^T A^-1 b falls out of the pivots */
            used += b[i] * b[i] / a[i * k + i];
            for (int64_t r = i + 1; r < k; r++) {
                double f = a[r * k + i] / a[i * k + i];
                for (int64_t c = i; c < k; c++)
                    a[r * k + c] -= f * a[i * k + c];
                b[r] -= f * b[i];
            }
        }
        loss += all - used;
    }
    drop_to(mark);
    return loss;
}

static unsigned columns_of(int64_t units, int64_t n, unsigned kept)
{
    unsigned set = 0;
    for (int64_t j = 0; j < n; j++)
        set |= (kept >> j / (n / units) & 1) << j;
    return set;
}

static double best_of_all(const double *h, const float *w, int64_t rows, int64_t n, int64_t units,
                          int64_t keep)
{
    double best = INFINITY;
    for (unsigned kept = 0; kept < 1u << units; kept++)
        if (__builtin_popcount(kept) == keep)
            best = fmin(best, left_over(h, w, rows, n, columns_of(units, n, kept)));
    return best;
}

/* ---- one removal ---- */

typedef struct {
    const s24i_matrix *matrix;
    const float *w;
    s24i_damping damping;
    s24i_removal how;
    float *v;
    uint8_t *mask;
    int32_t *kept;
    int64_t swapped;
} removal;

static s24_status stage(void *arg, const s24i_run *run)
{
    removal *r = arg;
    const s24i_matrix *matrix = r->matrix;
    size_t size = (size_t)(matrix->rows * matrix->cols) * sizeof(float);
    float *aim = s24i_arena_take(run->arena, size, 1);
    s24i_prepared prepared;
    s24i_target target = {&prepared, &matrix->constraints, aim, matrix->rows};
    s24_status status = s24i_counting(run) ? S24_OK : s24i_copy(run, r->w, size, aim);
    if (!status)
        status = s24i_prepare(run, matrix, r->damping, aim, &prepared);
    if (!status)
        status = s24i_remove_units(run, &target, r->how, r->mask, r->kept, &r->swapped);
    if (!status)
        status = s24i_refit_columns(run, &target, r->mask, r->v);
    return status ? status : s24i_unscale(run, &prepared, r->v, matrix->rows);
}

typedef struct {
    int64_t rows, n, tokens, units, keep;
    float *w, *x;
    double *h;
} matrix;

/* The kept units as bits; every row has their columns, and they are listed in order. */
static unsigned run_removal(const matrix *l, s24i_damping damping, s24i_removal how, float *v)
{
    s24i_gram gram = gram_of(l->x, l->tokens, l->n, S24_F64);
    s24i_matrix problem = {.rows = l->rows, .cols = l->n, .gram = &gram};
    problem.constraints.units = (s24i_units){S24I_UNIT_HEAD, l->units, l->keep};
    removal r = {
        &problem, l->w, damping, how, v, GRAB(uint8_t, l->rows * l->n), GRAB(int32_t, l->keep), 0};
    ck_assert_int_eq(in_arena(stage, &r), S24_OK);
    unsigned kept = 0;
    for (int64_t k = 0; k < l->keep; k++) {
        unit_check(k == 0 || r.kept[k] > r.kept[k - 1]);
        kept |= 1u << r.kept[k];
    }
    for (int64_t i = 0; i < l->rows * l->n; i++) {
        unit_check(r.mask[i] == (kept >> i % l->n / (l->n / l->units) & 1));
        unit_check(r.mask[i] || v[i] == 0);
    }
    s24i_gram_fini(&device, &gram);
    return kept;
}

static void sum_products(matrix *l)
{
    l->h = GRAB(double, l->n * l->n);
    for (int64_t t = 0; t < l->tokens; t++)
        for (int64_t i = 0; i < l->n; i++)
            for (int64_t j = 0; j < l->n; j++)
                l->h[i * l->n + j] += (double)l->x[t * l->n + i] * (double)l->x[t * l->n + j];
}

static double loss_of(const matrix *l, const float *v)
{
    double loss = 0;
    for (int64_t o = 0; o < l->rows; o++)
        for (int64_t t = 0; t < l->tokens; t++) {
            double e = 0;
            for (int64_t j = 0; j < l->n; j++)
                e += (double)l->x[t * l->n + j] *
                     ((double)l->w[o * l->n + j] - (double)v[o * l->n + j]);
            loss += e * e;
        }
    return loss;
}

static matrix random_matrix(uint64_t *seed, int64_t rows, int64_t n, int64_t units, int64_t keep)
{
    matrix l = {rows, n, 4 * n + 8, units, keep, normals(seed, rows * n), NULL, NULL};
    l.x = normals(seed, l.tokens * n);
    for (int64_t t = 0; t < l.tokens; t++) /* inputs that tell of each other */
        for (int64_t j = 1; j < n; j++)
            l.x[t * n + j] += 0.7f * l.x[t * n + j - 1];
    sum_products(&l);
    return l;
}

static const s24i_damping none = {S24I_DAMP_RELATIVE, 1e-9, 0};

/* ---- tests ---- */

/* By another program: kept sets, losses, and the published code's weights for k = 1 .. 5. */
START_TEST(published_vectors)
{
    static const unsigned sets[] = {
        0, 1u << 3, 1u << 3 | 1u << 5, 1u | 1u << 3 | 1u << 5, 1u | 2u | 1u << 3 | 1u << 5, 0x2fu};
    static const double losses[] = {0,           11314.1870968, 6149.7327000, 3300.5874264,
                                    743.4042025, 397.3265351};
    static const float weights[3][6] = {{2.50925f, 3.36406f, 0.30392f, 4.61462f, 0, -2.38993f},
                                        {-1.52775f, 1.90783f, 1.08824f, -0.84385f, 0, 4.1698f},
                                        {4.47225f, -3.09217f, -1.91176f, -3.84385f, 0, 4.1698f}};
    matrix l = {3, 6, 12, 6, 1, (float *)(uintptr_t)given_w, (float *)(uintptr_t)given_x, NULL};
    float *v = GRAB(float, 18);
    sum_products(&l);
    for (l.keep = 1; l.keep <= 5; l.keep++)
        for (int all = 0; all < 2; all++) {
            s24i_removal how = {1, all, 0};
            ck_assert_uint_eq(run_removal(&l, none, how, v), sets[l.keep]);
            check_near(loss_of(&l, v), losses[l.keep], 1e-4 * losses[l.keep]);
        }
    l.keep = 5;
    run_removal(&l, (s24i_damping){S24I_DAMP_MEAN, 0.01, 0}, (s24i_removal){1, false, 0}, v);
    for (int i = 0; i < 18; i++)
        check_near((double)v[i], (double)weights[i / 6][i % 6], 2e-5);
}
END_TEST

/* Trying all finds the best set; what is fitted on it is the least squares solution. */
START_TEST(all_choices_find_the_best)
{
    static const int64_t cases[][4] = {{3, 8, 8, 5}, {2, 10, 10, 2}, {4, 12, 6, 3},
                                       {1, 9, 3, 1}, {5, 12, 4, 3},  {3, 7, 7, 7}};
    uint64_t seed = 3;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int trial = 0; trial < 5; trial++) {
            int mark = naive_count;
            const int64_t *c = cases[k];
            matrix l = random_matrix(&seed, c[0], c[1], c[2], c[3]);
            float *v = GRAB(float, l.rows *l.n);
            unsigned kept = run_removal(&l, none, (s24i_removal){1, true, 0}, v);
            double best = best_of_all(l.h, l.w, l.rows, l.n, l.units, l.keep);
            double all = left_over(l.h, l.w, l.rows, l.n, 0);
            double found = left_over(l.h, l.w, l.rows, l.n, columns_of(l.units, l.n, kept));
            check_near(found, best, 1e-5 * all);
            check_near(loss_of(&l, v), found, 1e-5 * all);
            drop_to(mark);
        }
}
END_TEST

/* One at a time: each removal is the one of least loss, as enumeration says. */
START_TEST(greedy_takes_the_cheapest)
{
    uint64_t seed = 5;
    for (int trial = 0; trial < 20; trial++) {
        int mark = naive_count;
        matrix l = random_matrix(&seed, 3, 10, trial % 2 ? 10 : 5, 0);
        unsigned left = (1u << l.units) - 1;
        float *v = GRAB(float, l.rows *l.n);
        for (l.keep = l.units - 1; l.keep >= 1; l.keep--) {
            unsigned best = 0;
            double least = INFINITY;
            for (int64_t u = 0; u < l.units; u++) {
                unsigned next = left & ~(1u << u);
                double loss = left_over(l.h, l.w, l.rows, l.n, columns_of(l.units, l.n, next));
                if (left >> u & 1 && loss < least) {
                    least = loss;
                    best = next;
                }
            }
            left = best;
            ck_assert_uint_eq(run_removal(&l, none, (s24i_removal){1, false, 0}, v), left);
        }
        drop_to(mark);
    }
}
END_TEST

/* Rounds of any size keep the right number, and the fit is that of the set. */
START_TEST(batches)
{
    uint64_t seed = 7;
    for (int64_t batch = 1; batch <= 12; batch++)
        for (int64_t keep = 1; keep <= 20; keep += 3) {
            int mark = naive_count;
            matrix l = random_matrix(&seed, 2, 20, 20, keep);
            float *v = GRAB(float, l.rows *l.n);
            unsigned kept = run_removal(&l, none, (s24i_removal){batch, false, 0}, v);
            double all = left_over(l.h, l.w, l.rows, l.n, 0);
            ck_assert_int_eq(__builtin_popcount(kept), keep);
            check_near(loss_of(&l, v), left_over(l.h, l.w, l.rows, l.n, kept), 1e-5 * all);
            drop_to(mark);
        }
}
END_TEST

/* A twin of an input goes for nothing, dead inputs first of all, and a first output without weights
 * or a unit that cancels mean nothing special. */
START_TEST(what_costs_nothing_goes)
{
    uint64_t seed = 11;
    matrix l = random_matrix(&seed, 3, 8, 8, 6);
    float *v = GRAB(float, 24);
    for (int64_t t = 0; t < l.tokens; t++) {
        l.x[t * 8 + 6] = 0;
        l.x[t * 8 + 2] = l.x[t * 8 + 4];
    }
    for (int j = 0; j < 8; j++)
        l.w[j] = 0;
    sum_products(&l);
    unsigned kept = run_removal(&l, (s24i_damping){S24I_DAMP_RELATIVE, 1e-5, 0},
                                (s24i_removal){1, false, 0}, v);
    ck_assert(!(kept >> 6 & 1) && (kept >> 2 & 1) + (kept >> 4 & 1) == 1);
    check_near(loss_of(&l, v), 0, 1e-4 * left_over(l.h, l.w, 3, 8, 0));
}
END_TEST

START_TEST(the_same_for_any_threads)
{
    uint64_t seed = 13;
    enum { ROWS = 70, N = 260 };
    matrix l = random_matrix(&seed, ROWS, N, 20, 13);
    float *first = NULL;
    for (int way = 0; use_way(way, &seed); way++) {
        float *v = GRAB(float, ROWS *N);
        run_removal(&l, (s24i_damping){S24I_DAMP_RELATIVE, 0.1, 0}, (s24i_removal){2, false, 0}, v);
        first = first ? first : v;
        ck_assert(!memcmp(first, v, ROWS * N * sizeof *v));
    }
}
END_TEST

/* Relabelled inputs are removed under their new names; one in other units is the same input. */
START_TEST(names_and_units_do_not_matter)
{
    uint64_t seed = 17;
    matrix l = random_matrix(&seed, 3, 12, 12, 7), m = l;
    float *v = GRAB(float, 36);
    m.w = GRAB(float, 36);
    m.x = GRAB(float, l.tokens * 12);
    for (int64_t j = 0; j < 12; j++) {
        float unit = ldexpf(1, (int)(j % 5) - 2);
        for (int64_t o = 0; o < 3; o++)
            m.w[o * 12 + (j * 5 + 3) % 12] = l.w[o * 12 + j] / unit;
        for (int64_t t = 0; t < l.tokens; t++)
            m.x[t * 12 + (j * 5 + 3) % 12] = l.x[t * 12 + j] * unit;
    }
    s24i_damping damping = {S24I_DAMP_RELATIVE, 0.1, 0};
    unsigned kept = run_removal(&l, damping, (s24i_removal){1, false, 0}, v), moved = 0;
    for (unsigned j = 0; j < 12; j++)
        moved |= (kept >> j & 1) << (j * 5 + 3) % 12;
    ck_assert_uint_eq(run_removal(&m, damping, (s24i_removal){1, false, 0}, v), moved);
}
END_TEST

/* At the end no exchange of single columns gains; the loss is what is left over of the set. */
START_TEST(exchanges_end_where_none_helps)
{
    uint64_t seed = 21;
    for (int trial = 0; trial < 30; trial++) {
        int mark = naive_count;
        matrix l = random_matrix(&seed, 3, 12, 12, 3 + trial % 7);
        float *v = GRAB(float, l.rows *l.n);
        unsigned greedy = run_removal(&l, none, (s24i_removal){6, false, 0}, v);
        unsigned kept = run_removal(&l, none, (s24i_removal){6, false, 100}, v);
        double all = left_over(l.h, l.w, l.rows, l.n, 0);
        double found = left_over(l.h, l.w, l.rows, l.n, kept);
        unit_check(found <= left_over(l.h, l.w, l.rows, l.n, greedy) + 1e-9 * all);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++)
                if (kept >> i & 1 && !(kept >> j & 1)) {
                    unsigned other = (kept & ~(1u << i)) | 1u << j;
                    unit_check(left_over(l.h, l.w, l.rows, l.n, other) >= found - 2e-6 * all);
                }
        check_near(loss_of(&l, v), found, 1e-5 * all);
        drop_to(mark);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tcase = new_case(suite, "units");
    tcase_add_test(tcase, published_vectors);
    tcase_add_test(tcase, all_choices_find_the_best);
    tcase_add_test(tcase, greedy_takes_the_cheapest);
    tcase_add_test(tcase, batches);
    tcase_add_test(tcase, exchanges_end_where_none_helps);
    tcase_add_test(tcase, what_costs_nothing_goes);
    tcase_add_test(tcase, the_same_for_any_threads);
    tcase_add_test(tcase, names_and_units_do_not_matter);
    return unit_run(suite);
}
