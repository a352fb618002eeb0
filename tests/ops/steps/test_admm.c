/* ADMM step by step against B, D and U in double. The supports are the library's: near ties may
 * fall either way, so they are judged instead of compared. */
#include "../ops_test.h"

enum { ROWS = 70, N = 40 };

typedef struct {
    s24i_prepared prepared;
    float *w;
    s24i_admm admm;
    const float *rho; /* of each iteration; NULL: `steps` more with the one in force */
    int32_t steps;
    double *big_b, *d, *u; /* the oracle */
} walk;

static void take(walk *r, const s24i_run *run, const s24i_constraints *constraints, uint8_t *mask,
                 float *b)
{
    r->admm = (s24i_admm){.run = run, .target = {&r->prepared, constraints, r->w, ROWS}};
    r->admm.mask = mask;
    r->admm.b = b;
    s24i_admm_take(run, &r->admm);
}

static walk new_walk(uint64_t seed)
{
    walk r = {.w = normals(&seed, ROWS * N)};
    s24i_gram gram = gram_of(activations(&seed, 300, N, 0.8), 300, N, S24_F32);
    s24i_matrix matrix = matrix_of(ROWS, N, &gram);
    r.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0.02, r.w);
    r.d = GRAB(double, ROWS *N);
    r.u = GRAB(double, ROWS *N);
    s24i_gram_fini(&device, &gram);
    return r;
}

/* Where `part` weights are chosen from together, the smallest kept is no smaller than the largest
 * pruned. */
static void judge_mask(const double *z, const uint8_t *mask, int64_t part, int64_t keep)
{
    for (int64_t i = 0; i < ROWS * N; i += part) {
        double least = INFINITY, most = 0;
        int64_t kept = 0;
        for (int64_t j = i; j < i + part; j++) {
            kept += mask[j];
            if (mask[j])
                least = fmin(least, fabs(z[j]));
            else
                most = fmax(most, fabs(z[j]));
        }
        ck_assert_int_eq(kept, keep);
        unit_check(least >= most * (1 - 1e-4));
    }
}

/* B = W + rho (D - U - W) (S + rho I)^-1 */
static double *unconstrained(const walk *r, double rho)
{
    double *shifted = doubles(r->prepared.s, N * N), *gap = GRAB(double, ROWS *N);
    double *b = GRAB(double, ROWS *N);
    for (int64_t i = 0; i < N; i++)
        shifted[i * N + i] += rho;
    for (int64_t i = 0; i < ROWS * N; i++)
        gap[i] = r->d[i] - r->u[i] - r->w[i];
    naive_multiply(false, false, ROWS, N, N, gap, naive_inverse(shifted, N), b);
    for (int64_t i = 0; i < ROWS * N; i++)
        b[i] = r->w[i] + rho * b[i];
    return b;
}

static void check_iteration(walk *r, double rho, const uint8_t *fixed, int64_t part, int64_t keep)
{
    double *b = unconstrained(r, rho), *z = GRAB(double, ROWS *N);
    const uint8_t *mask = r->admm.mask;
    for (int64_t i = 0; i < ROWS * N; i++)
        z[i] = b[i] + r->u[i];
    ck_assert_double_le(distance(doubles(r->admm.z, ROWS * N), z, ROWS * N), 2e-5);
    if (r->admm.b)
        ck_assert_double_le(distance(doubles(r->admm.b, ROWS * N), b, ROWS * N), 2e-5);
    if (fixed)
        ck_assert(!memcmp(mask, fixed, ROWS * N));
    else
        judge_mask(z, mask, part, keep);
    for (int64_t i = 0; i < ROWS * N; i++) {
        r->d[i] = mask[i] ? z[i] : 0;
        r->u[i] = z[i] - r->d[i];
    }
}

typedef struct {
    walk *r;
    const s24i_constraints *constraints;
    uint8_t *mask;
    float *b;
    int64_t part, keep;
    bool at_once; /* all iterations of a penalty in one call */
} course;

static const double penalties[] = {0.05, 0.05, 0.2, 0.7};

static s24_status course_stage(void *arg, const s24i_run *run)
{
    course *c = arg;
    walk *r = c->r;
    bool counting = s24i_counting(run);
    take(r, run, c->constraints, c->mask, c->b);
    s24_status status = counting ? S24_OK : s24i_admm_start(&plainly, &r->admm, r->w);
    for (int k = 0; k < 4 && !status; k++) {
        status = s24i_admm_penalty(run, &r->admm, penalties[k]);
        for (int64_t i = 0; k && i < ROWS * N && !counting; i++)
            r->u[i] *= penalties[k - 1] / penalties[k];
        for (int step = 0; step < (c->at_once ? 1 : 3) && !status; step++) {
            status = s24i_admm_iterate(run, &r->admm, c->at_once ? 3 : 1);
            if (!counting && !c->at_once && !status)
                check_iteration(r, penalties[k], c->constraints->mask, c->part, c->keep);
        }
    }
    return status;
}

START_TEST(iterations_are_those_of_the_paper)
{
    uint64_t seed = 5;
    uint8_t *fixed = GRAB(uint8_t, ROWS * N), *mask[2];
    float *z[2];
    const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                         {.n = 5, .m = 8},
                                         {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                         {.scope = S24I_SCOPE_LAYER, .sparsity = 0.7},
                                         {.mask = fixed}};
    const int64_t parts[][2] = {{4, 2}, {8, 5}, {N, N * 4 / 10}, {ROWS * N, ROWS * N * 3 / 10}};
    for (int64_t i = 0; i < ROWS * N; i++)
        fixed[i] = below(&seed, 2) == 1;
    for (int way = 0; way < 2; way++) {
        walk r = new_walk(7);
        course c = {.r = &r, .constraints = &patterns[_i], .at_once = way};
        c.mask = mask[way] = GRAB(uint8_t, ROWS * N);
        c.b = way ? NULL : GRAB(float, ROWS *N);
        c.part = _i < 4 ? parts[_i][0] : 0;
        c.keep = _i < 4 ? parts[_i][1] : 0;
        for (int64_t i = 0; i < ROWS * N; i++) {
            c.mask[i] = _i == 4 ? fixed[i] : i % 2 == 0;
            r.d[i] = c.mask[i] ? r.w[i] : 0;
        }
        ck_assert_int_eq(in_arena(course_stage, &c), S24_OK);
        z[way] = r.admm.z;
    }
    ck_assert(!memcmp(mask[0], mask[1], ROWS * N));
    ck_assert(!memcmp(z[0], z[1], ROWS * N * sizeof(float)));
}
END_TEST

/* ---- the shifted inverse ---- */

typedef struct {
    const s24i_prepared *p;
    double rho;
    float *f;
} shifted;

static s24_status shifted_stage(void *arg, const s24i_run *run)
{
    shifted *s = arg;
    return s24i_shifted_inverse(run, s->p, s->rho, s->f);
}

START_TEST(inverts_with_a_shift)
{
    static const int64_t dims[] = {1, 3, 128, 129, 300};
    for (int k = 0; k < 5; k++) {
        uint64_t seed = (uint64_t)k;
        int64_t n = dims[k];
        float *w = normals(&seed, n);
        s24i_gram gram = gram_of(activations(&seed, 2 * n, n, 0.9), 2 * n, n, S24_F32);
        s24i_matrix matrix = matrix_of(1, n, &gram);
        s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, w);
        for (double rho = 0.02; rho < 10; rho *= 7) {
            double *wanted = doubles(p.s, n * n);
            shifted s = {&p, rho, GRAB(float, n *n)};
            for (int64_t i = 0; i < n; i++)
                wanted[i * n + i] += rho;
            ck_assert_int_eq(in_arena(shifted_stage, &s), S24_OK);
            double *f = doubles(s.f, n * n);
            ck_assert_double_le(distance(f, naive_inverse(wanted, n), n * n), 2e-5);
        }
        s24i_gram_fini(&device, &gram);
    }
}
END_TEST

START_TEST(refuses_what_stays_indefinite)
{
    float s[4] = {1, 3, 3, 1}, f[4];
    s24i_prepared p = {.dim = 2, .s = s};
    shifted t = {&p, 1, f};
    ck_assert_int_eq(in_arena(shifted_stage, &t), S24_E_NUMERIC);
    unit_check_text("S + 1 I is not positive definite");
    t.rho = 3;
    ck_assert_int_eq(in_arena(shifted_stage, &t), S24_OK);
}
END_TEST

/* Stopped, it leaves what it had. */
START_TEST(stops_when_told)
{
    static const s24i_constraints constraints = {.n = 2, .m = 4};
    walk r = new_walk(11);
    course c = {
        .r = &r, .constraints = &constraints, .mask = GRAB(uint8_t, ROWS * N), .at_once = true};
    _Atomic int32_t cancel = 1;
    for (int64_t i = 0; i < ROWS * N; i++)
        c.mask[i] = i % 2 == 0;
    s24i_watch_init(&watch, NULL, NULL, &cancel, 0);
    ck_assert_int_eq(in_arena(course_stage, &c), S24_OK);
    for (int64_t i = 0; i < ROWS * N; i++)
        unit_check(c.mask[i] == (i % 2 == 0) && r.admm.z[i] == (i % 2 == 0 ? r.w[i] : 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admm");
    TCase *tcase = new_case(suite, "admm");
    tcase_add_loop_test(tcase, iterations_are_those_of_the_paper, 0, 5);
    tcase_add_test(tcase, inverts_with_a_shift);
    tcase_add_test(tcase, refuses_what_stays_indefinite);
    tcase_add_test(tcase, stops_when_told);
    return unit_run(suite);
}
