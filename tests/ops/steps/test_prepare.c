/* lib/ops/prepare.c and lib/ops/linear/scaled.c: coordinates, dead inputs, aims, in fp64. */
#include "../ops_test.h"

/* ---- what preparation promises, in fp64 ---- */

typedef struct {
    int64_t n;
    double *h, *delta, *scale; /* scale 0: dead */
    double *s;
} truth;

static truth truth_of(const double *h, int64_t n, int32_t rule, double damp)
{
    truth t = {n, GRAB(double, n *n), GRAB(double, n), GRAB(double, n), GRAB(double, n *n)};
    double largest = 0, mean = 0;
    memcpy(t.h, h, (size_t)(n * n) * sizeof *h);
    for (int64_t j = 0; j < n; j++) {
        largest = fmax(largest, h[j * n + j]);
        mean += h[j * n + j] / (double)n;
    }
    for (int64_t j = 0; j < n; j++) {
        double own = h[j * n + j];
        bool dead = own <= 1e-12 * largest;
        t.delta[j] = dead ? 0 : damp * (rule == S24I_DAMP_MEAN ? mean : own);
        t.scale[j] = dead ? 0 : sqrt(own + t.delta[j]);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            t.s[i * n + j] = i == j ? 1
                             : t.scale[i] * t.scale[j] == 0
                                 ? 0
                                 : h[i * n + j] / (t.scale[i] * t.scale[j]);
    return t;
}

static void check_factor(const s24i_prepared *p)
{
    int64_t n = p->dim;
    double *r = GRAB(double, n *n), *product = GRAB(double, n *n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            r[i * n + j] = p->r[i * n + j];
    naive_multiply(false, true, n, n, n, r, r, product);
    ck_assert_double_le(distance(product, doubles(p->s, n * n), n * n), 1e-6);
}

static void check_prepared(const s24i_prepared *p, const truth *t, double error)
{
    int64_t n = t->n;
    ck_assert_int_eq(p->dim, n);
    for (int64_t j = 0; j < n; j++) {
        bool dead = t->scale[j] == 0;
        unit_check(p->dead[j] == dead);
        check_near(p->scale[j] / p->unit, dead ? 1 : t->scale[j], error * t->scale[j]);
        check_near(p->inverse[j], dead ? 0 : 1 / t->scale[j], dead ? 0 : error / t->scale[j]);
        double size = t->h[j * n + j] + t->delta[j];
        check_near(p->share[j], dead ? 0 : t->delta[j] / size, error);
        for (int64_t i = 0; i < n; i++)
            unit_check(fabs(p->s[i * n + j] - t->s[i * n + j]) <= error);
        for (int64_t i = 0; i < n; i++)
            unit_check(p->s[i * n + j] == p->s[j * n + i]);
        unit_check(p->s[j * n + j] == 1);
    }
    check_factor(p);
}

static void check_scaled(const float *got, const float *w, const truth *t, int64_t rows)
{
    for (int64_t i = 0; i < rows * t->n; i++) {
        double wanted = w[i] * t->scale[i % t->n];
        unit_check(fabs(got[i] - wanted) <= 1e-6 * fabs(wanted));
    }
}

static const int64_t dims[] = {1, 2, 64, 65, 130, 300};
enum { DIMS = 6 };

START_TEST(unit_diagonal_coordinates)
{
    static const struct {
        int32_t rule;
        double damp;
    } dampings[] = {{S24I_DAMP_RELATIVE, 0.01}, {S24I_DAMP_RELATIVE, 1}, {S24I_DAMP_MEAN, 0.01},
                    {S24I_DAMP_MEAN, 100},      {S24I_DAMP_RELATIVE, 0}, {S24I_DAMP_MEAN, 1e-4}};
    uint64_t seed = (uint64_t)_i;
    int64_t n = dims[_i], rows = 3 * n + 300;
    float *x = activations(&seed, rows, n, 0.5), *w = normals(&seed, 5 * n);
    for (int type = 0; type < 2; type++) {
        s24i_gram gram = gram_of(x, rows, n, type ? S24_F64 : S24_F32);
        s24i_matrix matrix = matrix_of(5, n, &gram);
        for (int d = 0; d < 6; d++) {
            float *aim = GRAB(float, 5 * n);
            memcpy(aim, w, (size_t)(5 * n) * sizeof *w);
            s24i_prepared p = prepare(&matrix, dampings[d].rule, dampings[d].damp, aim);
            truth t =
                truth_of(naive_gram(x, rows, n, NULL, -1), n, dampings[d].rule, dampings[d].damp);
            check_prepared(&p, &t, type ? 2e-7 : 3e-6);
            check_scaled(aim, w, &t, 5);
            ck_assert_double_eq(p.damp, dampings[d].damp);
            ck_assert_int_eq(p.climbs, 0);
            ck_assert(isnan(p.heldout));
        }
        s24i_gram_fini(&device, &gram);
    }
}
END_TEST

START_TEST(back_from_unit_diagonal)
{
    uint64_t seed = 3;
    int64_t n = 40, rows = 33;
    float *x = activations(&seed, 200, n, 0.5), *w = normals(&seed, rows * n);
    for (int64_t i = 0; i < 200; i++)
        x[i * n + 11] = 0;
    s24i_gram gram = gram_of(x, 200, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    float *v = GRAB(float, rows *n);
    memcpy(v, w, (size_t)(rows * n) * sizeof *w);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.1, v);
    ck_assert_int_eq(s24i_unscale(&plainly, &p, v, rows), S24_OK);
    for (int64_t i = 0; i < rows * n; i++)
        unit_check(i % n == 11 ? v[i] == 0 : fabsf(v[i] - w[i]) <= 3e-7f * fabsf(w[i]));
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(dead_inputs)
{
    uint64_t seed = 5;
    int64_t n = 150, rows = 400;
    float *x = activations(&seed, rows, n, 0.5), *w = normals(&seed, 3 * n);
    for (int64_t i = 0; i < rows; i++) {
        x[i * n] = x[i * n + 64] = x[i * n + 149] = 0;
        x[i * n + 70] = i ? 0 : 10000;   /* the largest, so that... */
        x[i * n + 71] = i ? 0 : 0.0099f; /* ...this is dead, just below 1e-12 of it... */
        x[i * n + 72] = i ? 0 : 0.0101f; /* ...and this is not */
    }
    s24i_gram gram = gram_of(x, rows, n, S24_F64);
    s24i_matrix matrix = matrix_of(3, n, &gram);
    float *aim = GRAB(float, 3 * n);
    memcpy(aim, w, (size_t)(3 * n) * sizeof *w);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, aim);
    ck_assert(p.dead[0] && p.dead[64] && p.dead[149] && p.dead[71] && !p.dead[72] && !p.dead[70]);
    truth t = truth_of(naive_gram(x, rows, n, NULL, -1), n, S24I_DAMP_RELATIVE, 0.01);
    check_prepared(&p, &t, 2e-7);
    check_scaled(aim, w, &t, 3);
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(no_live_input_at_all)
{
    float *x = GRAB(float, 10 * 4), w[4] = {1, 2, 3, 4};
    s24i_gram gram = gram_of(x, 10, 4, S24_F32);
    s24i_matrix matrix = matrix_of(1, 4, &gram);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, w);
    for (int j = 0; j < 4; j++)
        ck_assert(p.dead[j] && w[j] == 0 && p.r[5 * j] == 1);
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(identity)
{
    uint64_t seed = 7;
    int64_t n = 140;
    float *w = normals(&seed, 2 * n), *aim = GRAB(float, 2 * n);
    memcpy(aim, w, (size_t)(2 * n) * sizeof *w);
    s24i_matrix matrix = matrix_of(2, n, NULL);
    s24i_prepared p = prepare(&matrix, _i, 0.5, aim);
    ck_assert(!memcmp(aim, w, (size_t)(2 * n) * sizeof *w));
    for (int64_t i = 0; i < n; i++) {
        unit_check(p.scale[i] == 1 && p.inverse[i] == 1 && p.share[i] == 0 && !p.dead[i]);
        for (int64_t j = 0; j < n; j++)
            unit_check(p.s[i * n + j] == (i == j) && p.r[i * n + j] == (i == j));
        for (int64_t j = 0; j < S24I_BLOCK; j++)
            unit_check(p.inv_diag[i * S24I_BLOCK + j] == (i % S24I_BLOCK == j));
    }
    ck_assert_double_eq(p.damp, 0);
}
END_TEST

/* ---- the ladder ---- */

START_TEST(rank_deficient_climbs)
{
    static const double starts[] = {0, 1e-9, 1e-7};
    uint64_t seed = 9;
    int64_t n = 200, rows = 50;
    float *x = activations(&seed, rows, n, 0.9), *w = normals(&seed, n);
    s24i_gram gram = gram_of(x, rows, n, S24_F32);
    s24i_matrix matrix = matrix_of(1, n, &gram);
    for (int k = 0; k < 6; k++) {
        int32_t rule = k % 2 ? S24I_DAMP_MEAN : S24I_DAMP_RELATIVE;
        double start = starts[k / 2];
        s24i_prepared p = prepare(&matrix, rule, start, w);
        ck_assert_int_ge(p.climbs,
                         k % 2 && start > 0 ? 0 : 1); /* the mean is much to small inputs */
        ck_assert_int_le(p.climbs, 6);
        check_near(p.damp, start > 0 ? start * pow(10, p.climbs) : 1e-6 * pow(10, p.climbs - 1),
                   1e-12 * p.damp);
        truth t = truth_of(naive_gram(x, rows, n, NULL, -1), n, rule, p.damp);
        check_prepared(&p, &t, 3e-6);
    }
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(indefinite_sums_are_refused)
{
    uint64_t seed = 11;
    float *x = activations(&seed, 40, 8, 0.1), w[8] = {1};
    s24i_gram gram = gram_of(x, 40, 8, S24_F64);
    double *row = (double *)(uintptr_t)s24i_gram_row(&gram, 0, 5);
    row[3] = 1.5 * sqrt(row[5] * s24i_gram_diagonal(&gram, S24I_FIRST, 3));
    s24i_matrix matrix = matrix_of(1, 8, &gram);
    preparation p = {.matrix = &matrix, .damping = {S24I_DAMP_RELATIVE, 0}, .w = w};
    ck_assert_int_eq(in_arena(prepare_stage, &p), S24_E_NUMERIC);
    unit_check_text("H is not positive definite even with damping 0.1 of the diagonal");
    p.damping.value = 0.1; /* one climb is enough from here */
    ck_assert_int_eq(in_arena(prepare_stage, &p), S24_OK);
    ck_assert_double_eq(p.prepared.damp, 1);
    ck_assert_int_eq(p.prepared.climbs, 1);
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* ---- the aim ---- */

/* ((1 - b) W H + b C + W Delta)(H + Delta)^-1 diag(scale), where dead inputs stay 0. */
static double *wanted_aim(const truth *t, const double *c, const float *w, double blend,
                          int64_t rows)
{
    int64_t n = t->n;
    double *system = GRAB(double, n *n), *aim = GRAB(double, rows *n);
    memcpy(system, t->h, (size_t)(n * n) * sizeof *system);
    for (int64_t j = 0; j < n; j++)
        system[j * n + j] += t->scale[j] == 0 ? 1 : t->delta[j];
    ck_assert(naive_cholesky(system, n));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) {
            double wh = 0;
            for (int64_t k = 0; k < n; k++)
                wh += t->scale[k] == 0 ? 0 : w[i * n + k] * t->h[k * n + j];
            aim[i * n + j] = t->scale[j] == 0 ? 0
                                              : (1 - blend) * wh + blend * c[i * n + j] +
                                                    w[i * n + j] * t->delta[j];
        }
    naive_solve(system, n, aim, rows);
    for (int64_t i = 0; i < rows * n; i++)
        aim[i] *= t->scale[i % n];
    return aim;
}

typedef struct {
    int64_t calibration, n, rows;
    float *x, *t, *w;
    s24i_gram gram;
    s24i_cross cross;
    s24i_matrix matrix;
} aimed;

/* A matrix whose wanted outputs are X W^T plus `noise`. */
static aimed new_aimed(uint64_t *seed, int64_t calibration, int64_t n, int64_t rows, double noise,
                       int32_t type)
{
    aimed a = {.calibration = calibration, .n = n, .rows = rows};
    a.x = activations(seed, calibration, n, 0.6);
    a.w = normals(seed, rows * n);
    a.t = GRAB(float, calibration *rows);
    for (int64_t i = 0; i < calibration; i++)
        for (int64_t o = 0; o < rows; o++) {
            double y = 0;
            for (int64_t j = 0; j < n; j++)
                y += (double)a.x[i * n + j] * a.w[o * n + j];
            a.t[i * rows + o] = (float)(y + noise * normal(seed));
        }
    a.gram = gram_of(a.x, calibration, n, type);
    a.cross = cross_of(a.x, a.t, calibration, n, rows, type);
    return a;
}

static void free_aimed(aimed *a)
{
    s24i_gram_fini(&device, &a->gram);
    s24i_cross_fini(&device, &a->cross);
}

static s24i_matrix aimed_matrix(const aimed *a, double blend)
{
    return (s24i_matrix){
        .rows = a->rows, .cols = a->n, .gram = &a->gram, .cross = &a->cross, .blend = blend};
}

START_TEST(aims_at_the_target)
{
    static const double blends[] = {0, 0.5, 1};
    static const double damps[] = {0.01, 0.3};
    uint64_t seed = 13;
    aimed a = new_aimed(&seed, 500, 150, 37, 3, _i ? S24_F64 : S24_F32);
    for (int64_t i = 0; i < 500; i++) /* a dead input too */
        a.x[i * 150 + 40] = 0;
    free_aimed(&a);
    a.gram = gram_of(a.x, 500, 150, _i ? S24_F64 : S24_F32);
    a.cross = cross_of(a.x, a.t, 500, 150, 37, _i ? S24_F64 : S24_F32);
    double *h = naive_gram(a.x, 500, 150, NULL, -1);
    double *c = naive_cross(a.x, a.t, 500, 150, 37, NULL, -1);
    for (int k = 0; k < 12; k++) {
        s24i_matrix matrix = aimed_matrix(&a, blends[k % 3]);
        int32_t rule = k / 6 ? S24I_DAMP_MEAN : S24I_DAMP_RELATIVE;
        float *aim = GRAB(float, 37 * 150);
        memcpy(aim, a.w, 37 * 150 * sizeof *aim);
        prepare(&matrix, rule, damps[k / 3 % 2], aim);
        truth t = truth_of(h, 150, rule, damps[k / 3 % 2]);
        double *wanted = wanted_aim(&t, c, a.w, blends[k % 3], 37);
        ck_assert_double_le(distance(doubles(aim, 37 * 150), wanted, 37 * 150), 2e-5);
        if (k % 3 == 0)
            check_scaled(aim, a.w, &t, 37);
    }
    free_aimed(&a);
}
END_TEST

START_TEST(own_outputs_are_no_target)
{
    uint64_t seed = 17;
    aimed a = new_aimed(&seed, 400, 140, 20, 0, S24_F32);
    for (int b = 1; b <= 2; b++) {
        s24i_matrix matrix = aimed_matrix(&a, b / 2.0);
        float *aim = GRAB(float, 20 * 140), *scaled = GRAB(float, 20 * 140);
        memcpy(aim, a.w, 20 * 140 * sizeof *aim);
        s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, aim);
        for (int64_t i = 0; i < 20 * 140; i++)
            scaled[i] = a.w[i] * p.scale[i % 140];
        ck_assert_double_le(distance(doubles(aim, 2800), doubles(scaled, 2800), 2800), 1e-5);
    }
    free_aimed(&a);
}
END_TEST

typedef struct {
    const s24i_matrix *matrix;
    int which;
    s24i_damping damping;
    s24i_prepared *prepared;
    float *w;
    const int64_t *row_of;
    int64_t rows;
} half_aim;

static s24_status half_stage(void *arg, const s24i_run *run)
{
    half_aim *h = arg;
    s24_status status =
        s24i_prepare_factor(run, h->matrix->gram, h->which, h->damping, h->prepared);
    if (!status)
        status = s24i_prepare_aim(run, h->matrix, h->which, h->prepared, h->w, h->row_of, h->rows);
    return status;
}

/* From one half of the calibration rows, for some rows of the matrix in any order. */
START_TEST(halves_and_samples)
{
    uint64_t seed = 19;
    int64_t n = 90, row_of[] = {20, 3, 0, 11};
    aimed a = new_aimed(&seed, 700, n, 21, 2, S24_F64);
    s24i_matrix matrix = aimed_matrix(&a, 0.7);
    s24i_prepared prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 1, GRAB(float, 21 * n));
    for (int which = S24I_FIRST; which <= S24I_BOTH; which++) {
        int half = which == S24I_BOTH ? -1 : which - 1;
        float *w = GRAB(float, 4 * n), *given = GRAB(float, 4 * n);
        double *all = naive_cross(a.x, a.t, 700, n, 21, NULL, half), *c = GRAB(double, 4 * n);
        for (int r = 0; r < 4; r++) {
            memcpy(w + r * n, a.w + row_of[r] * n, (size_t)n * sizeof *w);
            memcpy(c + r * n, all + row_of[r] * n, (size_t)n * sizeof *c);
        }
        memcpy(given, w, (size_t)(4 * n) * sizeof *w);
        half_aim h = {&matrix, which, {S24I_DAMP_RELATIVE, 0.1, 1}, &prepared, w, row_of, 4};
        ck_assert_int_eq(in_arena(half_stage, &h), S24_OK);
        truth t = truth_of(naive_gram(a.x, 700, n, NULL, half), n, S24I_DAMP_RELATIVE, 0.1);
        check_prepared(&prepared, &t, 2e-7);
        ck_assert_double_le(distance(doubles(w, 4 * n), wanted_aim(&t, c, given, 0.7, 4), 4 * n),
                            1e-5);
    }
    free_aimed(&a);
}
END_TEST

typedef struct {
    const s24i_matrix *matrix;
    float *w;
} plain_aim;

static s24_status plain_stage(void *arg, const s24i_run *run)
{
    plain_aim *p = arg;
    return s24i_aim(run, p->matrix, p->w);
}

/* For methods without damping: W* in the matrix's own coordinates, damped by a tenth of the
 * diagonal; w to the bit without a target. */
START_TEST(aim_alone)
{
    uint64_t seed = 23;
    int64_t n = 90, size = 21 * n;
    aimed a = new_aimed(&seed, 700, n, 21, 2, S24_F64);
    s24i_matrix layers[4] = {aimed_matrix(&a, 0.7), aimed_matrix(&a, 0), aimed_matrix(&a, 0.7),
                             aimed_matrix(&a, 0.7)};
    layers[2].cross = NULL;
    layers[3].gram = NULL;
    for (int k = 0; k < 4; k++) {
        float *w = GRAB(float, size);
        plain_aim p = {&layers[k], w};
        memcpy(w, a.w, (size_t)size * sizeof *w);
        ck_assert_int_eq(in_arena(plain_stage, &p), S24_OK);
        ck_assert((memcmp(w, a.w, (size_t)size * sizeof *w) == 0) == (k > 0));
        if (k > 0)
            continue;
        truth t = truth_of(naive_gram(a.x, 700, n, NULL, -1), n, S24I_DAMP_RELATIVE, 0.1);
        double *wanted = wanted_aim(&t, naive_cross(a.x, a.t, 700, n, 21, NULL, -1), a.w, 0.7, 21);
        for (int64_t i = 0; i < size; i++)
            wanted[i] /= t.scale[i % n];
        ck_assert_double_le(distance(doubles(w, size), wanted, size), 1e-5);
    }
    free_aimed(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prepare");
    TCase *tcase = new_case(suite, "prepare");
    tcase_add_loop_test(tcase, unit_diagonal_coordinates, 0, DIMS);
    tcase_add_test(tcase, back_from_unit_diagonal);
    tcase_add_test(tcase, dead_inputs);
    tcase_add_test(tcase, no_live_input_at_all);
    tcase_add_loop_test(tcase, identity, S24I_DAMP_AUTO, S24I_DAMP_MEAN + 1);
    tcase_add_test(tcase, rank_deficient_climbs);
    tcase_add_test(tcase, indefinite_sums_are_refused);
    TCase *aim = new_case(suite, "aim");
    tcase_add_loop_test(aim, aims_at_the_target, 0, 2);
    tcase_add_test(aim, own_outputs_are_no_target);
    tcase_add_test(aim, halves_and_samples);
    tcase_add_test(aim, aim_alone);
    return unit_run(suite);
}
