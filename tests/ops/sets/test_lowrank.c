/* The nearest product of low rank against the eigenvectors of M S M^T in double, and ADMM beside
 * one against its own equations. */
#include "../ops_test.h"
#include "ops/ops.h"

enum { ROWS = 26, N = 36 };

/* Eigenvalues of the symmetric a (n x n, destroyed), largest first: Jacobi's rotations. */
static double *eigenvalues(double *a, int64_t n)
{
    double *value = GRAB(double, n);
    for (int sweep = 0; sweep < 30; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]);
                double c = cos(angle), s = sin(angle);
                for (int64_t k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (int64_t k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
            }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i;
        double x = a[i * n + i];
        for (; at > 0 && value[at - 1] < x; at--)
            value[at] = value[at - 1];
        value[at] = x;
    }
    return value;
}

typedef struct {
    s24i_prepared prepared;
    float *m;
    s24i_lowrank low;
    double total, left;
} fit;

/* tr(E S E^T) */
static double form(const s24i_prepared *p, const double *e, int64_t rows)
{
    double *es = GRAB(double, rows * p->dim);
    naive_multiply(false, false, rows, p->dim, p->dim, e, doubles(p->s, p->dim * p->dim), es);
    return naive_dot(es, e, rows * p->dim);
}

static s24_status fit_stage(void *arg, const s24i_run *run)
{
    fit *f = arg;
    f->low.run = run;
    f->low.p = &f->prepared;
    f->low.rows = ROWS;
    s24i_lowrank_take(run, &f->low);
    if (s24i_counting(run))
        return S24_OK;
    s24_status status = s24i_lowrank_start(run, &f->low, f->m);
    if (!status)
        status = s24i_lowrank_fit(run, &f->low, f->m, f->total, 1e-5, 100);
    if (!status)
        status = s24i_lowrank_left(run, &f->low, f->total, &f->left);
    double *e = doubles(f->m, ROWS * N);
    for (int64_t i = 0; i < ROWS * N; i++)
        for (int64_t k = 0; k < f->low.rank; k++)
            e[i] -= (double)f->low.q[i / N * f->low.width + k] * f->low.c[k * N + i % N];
    double real = form(&f->prepared, e, ROWS);
    ck_assert_double_le(fabs(real - f->left), 1e-5 * f->total);
    for (int64_t a = 0; a < f->low.width; a++) /* Q has orthonormal columns */
        for (int64_t b = 0; b <= a; b++) {
            double dot = 0;
            for (int64_t i = 0; i < ROWS; i++)
                dot += (double)f->low.q[i * f->low.width + a] * f->low.q[i * f->low.width + b];
            ck_assert_double_le(fabs(dot - (a == b)), 1e-5);
        }
    f->left = real;
    return status;
}

static fit new_fit(uint64_t seed, int64_t calibration, int64_t rank)
{
    fit f = {.m = normals(&seed, ROWS * N), .low.rank = rank};
    s24i_gram gram = gram_of(activations(&seed, calibration, N, 0.9), calibration, N, S24_F32);
    s24i_matrix matrix = matrix_of(ROWS, N, &gram);
    f.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 1e-4, f.m);
    s24i_gram_fini(&device, &gram);
    return f;
}

static void run_fit(fit *f)
{
    f->total = form(&f->prepared, doubles(f->m, ROWS * N), ROWS);
    ck_assert_int_eq(in_arena(fit_stage, f), S24_OK);
}

/* What no product of that rank can take. */
static double least_left(const fit *f)
{
    double *m = doubles(f->m, ROWS * N), *ms = GRAB(double, ROWS *N);
    double *a = GRAB(double, ROWS *ROWS), *transposed = GRAB(double, N *ROWS), left = 0;
    naive_multiply(false, false, ROWS, N, N, m, doubles(f->prepared.s, N * N), ms);
    for (int64_t i = 0; i < ROWS * N; i++)
        transposed[i % N * ROWS + i / N] = m[i];
    naive_multiply(false, false, ROWS, ROWS, N, ms, transposed, a);
    double *value = eigenvalues(a, ROWS);
    for (int64_t k = f->low.rank; k < ROWS; k++)
        left += value[k];
    return left;
}

START_TEST(the_step_is_exact)
{
    static const int64_t ranks[] = {1, 3, 10, 20};
    for (int k = 0; k < 4; k++)
        for (int64_t calibration = 12; calibration <= 300; calibration += 144) {
            fit f = new_fit(3, calibration, ranks[k]); /* 12: S is singular but for its damping */
            run_fit(&f);
            ck_assert_double_le(f.left, least_left(&f) * 1.001 + 1e-6 * f.total);
        }
}
END_TEST

START_TEST(a_product_is_found_again)
{
    uint64_t seed = 8;
    fit f = new_fit(4, 300, 3);
    float *u = normals(&seed, ROWS * 2), *v = normals(&seed, 2 * N);
    for (int64_t i = 0; i < ROWS * N; i++)
        f.m[i] = u[i / N * 2] * v[i % N] + u[i / N * 2 + 1] * v[N + i % N];
    run_fit(&f);
    ck_assert_double_le(f.left, 1e-9 * f.total);
}
END_TEST

START_TEST(nothing_is_left_by_a_full_rank)
{
    fit f = new_fit(5, 300, 1000);
    run_fit(&f);
    ck_assert_int_eq(f.low.rank, ROWS);
    ck_assert_int_eq(f.low.width, ROWS);
    ck_assert_double_le(f.left, 1e-9 * f.total);
}
END_TEST

START_TEST(nothing_to_take)
{
    fit f = new_fit(6, 300, 4);
    memset(f.m, 0, ROWS * N * sizeof(float));
    run_fit(&f); /* Q is orthonormal all the same */
    ck_assert_double_eq(f.left, 0);
}
END_TEST

/* ---- ADMM beside a product ---- */

typedef struct {
    s24i_prepared prepared;
    float *w;
    s24i_split split;
    double *big_b, *d, *u; /* the oracle */
} walk;

static void take(walk *r, const s24i_run *run, const s24i_constraints *constraints, bool apart)
{
    r->split.target = (s24i_target){&r->prepared, constraints, r->w, ROWS};
    r->split.apart = apart;
    r->split.low.rank = 3;
    s24i_split_take(run, &r->split);
}

/* B = Z + G - U_r U_r^T G with Z = D - U, G = E - rho E F, E = W - Z; of three blocks Z + G for W -
 * L in place of W. */
static double *wanted(const walk *r, double rho)
{
    const s24i_lowrank *low = &r->split.low;
    double *shifted = doubles(r->prepared.s, N * N), *e = GRAB(double, ROWS *N);
    double *b = GRAB(double, ROWS *N), *g = GRAB(double, ROWS *N);
    for (int64_t i = 0; i < N; i++)
        shifted[i * N + i] += rho;
    for (int64_t i = 0; i < ROWS * N; i++) {
        e[i] = r->w[i] - (r->d[i] - r->u[i]);
        for (int64_t k = 0; r->split.apart && k < low->rank; k++)
            e[i] -= (double)low->q[i / N * low->width + k] * low->c[k * N + i % N];
    }
    naive_multiply(false, false, ROWS, N, N, e, naive_inverse(shifted, N), g);
    for (int64_t i = 0; i < ROWS * N; i++)
        g[i] = e[i] - rho * g[i];
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < N; j++) {
            double projected = 0;
            for (int64_t k = 0; k < low->rank && !r->split.apart; k++)
                for (int64_t o = 0; o < ROWS; o++)
                    projected += (double)low->q[i * low->width + k] * low->q[o * low->width + k] *
                                 g[o * N + j];
            b[i * N + j] = r->d[i * N + j] - r->u[i * N + j] + g[i * N + j] - projected;
        }
    return b;
}

static const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                            {.n = 4, .m = 9},
                                            {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                            {.scope = S24I_SCOPE_LAYER, .sparsity = 0.5}};

typedef struct {
    walk *r;
    const s24i_constraints *constraints;
    bool apart;
} course;

static s24_status course_stage(void *arg, const s24i_run *run)
{
    static const double penalties[] = {0.05, 0.05, 0.2};
    course *c = arg;
    walk *r = c->r;
    take(r, run, c->constraints, c->apart);
    if (s24i_counting(run)) {
        s24i_split_penalty(run, &r->split, 1);
        return s24i_split_iterate(run, &r->split, true);
    }
    s24_status status = s24i_project(run, c->constraints, r->w, NULL, ROWS, N, r->split.mask);
    memcpy(r->split.z, r->w, ROWS * N * sizeof(float));
    if (!status)
        status = s24i_split_start(run, &r->split);
    for (int64_t i = 0; i < ROWS * N; i++)
        r->d[i] = r->split.mask[i] ? r->w[i] : 0;
    for (int k = 0; k < 3 && !status; k++) {
        status = s24i_split_penalty(run, &r->split, penalties[k]);
        for (int64_t i = 0; k && i < ROWS * N; i++)
            r->u[i] *= penalties[k - 1] / penalties[k];
        double *b = wanted(r, penalties[k]), *z = GRAB(double, ROWS *N);
        if (!status)
            status = s24i_split_iterate(run, &r->split, k == 1);
        for (int64_t i = 0; i < ROWS * N; i++)
            z[i] = b[i] + r->u[i];
        ck_assert_double_le(distance(doubles(r->split.z, ROWS * N), z, ROWS * N), 2e-5);
        for (int64_t i = 0; i < ROWS * N; i++) {
            r->d[i] = r->split.mask[i] ? z[i] : 0;
            r->u[i] = z[i] - r->d[i];
            double rest = r->w[i] - (c->apart ? b[i] : (b[i] + r->d[i]) / 2);
            ck_assert_double_le(fabs(r->split.h[i] - rest), 1e-4);
        }
    }
    return status;
}

START_TEST(iterations_solve_their_equations)
{
    for (int apart = 0; apart < 2; apart++) {
        uint64_t seed = 21;
        walk r = {.w = normals(&seed, ROWS * N)};
        s24i_gram gram = gram_of(activations(&seed, 300, N, 0.8), 300, N, S24_F32);
        s24i_matrix matrix = matrix_of(ROWS, N, &gram);
        r.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0.02, r.w);
        r.d = GRAB(double, ROWS *N);
        r.u = GRAB(double, ROWS *N);
        r.split.mask = GRAB(uint8_t, ROWS * N);
        r.split.z = GRAB(float, ROWS *N);
        r.split.h = GRAB(float, ROWS *N);
        r.split.low.momentum = apart ? 0 : 0.9f;
        s24i_gram_fini(&device, &gram);
        course c = {&r, &patterns[_i], apart};
        ck_assert_int_eq(in_arena(course_stage, &c), S24_OK);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lowrank");
    TCase *tcase = new_case(suite, "lowrank");
    tcase_add_test(tcase, the_step_is_exact);
    tcase_add_test(tcase, a_product_is_found_again);
    tcase_add_test(tcase, nothing_is_left_by_a_full_rank);
    tcase_add_test(tcase, nothing_to_take);
    tcase_add_loop_test(tcase, iterations_solve_their_equations, 0, 4);
    return unit_run(suite);
}
