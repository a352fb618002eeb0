/* Both shrinking searches against the same iterations in double (the operators themselves have
 * tests of their own). */
#include "../ops_test.h"

enum { ROWS = 150, N = 32 };

typedef struct {
    s24i_prepared prepared;
    const s24i_constraints *constraints;
    float *w, *v;
    uint8_t *mask;
    s24i_shrinking how;
    _Atomic int64_t taken;
    double *s, *target; /* S and w in double */
} search;

static s24_status shrink_stage(void *arg, const s24i_run *run)
{
    search *s = arg;
    s->how.taken = &s->taken;
    return s24i_shrink(run, &(s24i_target){&s->prepared, s->constraints, s->w, ROWS}, s->how, s->v,
                       s->mask);
}

static search new_search(uint64_t seed, const s24i_constraints *constraints)
{
    search s = {.constraints = constraints, .w = normals(&seed, ROWS * N)};
    s24i_gram gram = gram_of(activations(&seed, 200, N, 0.7), 200, N, S24_F32);
    s24i_matrix matrix = matrix_of(ROWS, N, &gram);
    s.prepared = prepare(&matrix, S24I_DAMP_RELATIVE, 0.05, s.w);
    s.s = doubles(s.prepared.s, N * N);
    s.target = doubles(s.w, ROWS * N);
    s.v = GRAB(float, ROWS *N);
    s.mask = GRAB(uint8_t, ROWS * N);
    s24i_gram_fini(&device, &gram);
    return s;
}

/* The operator of lambda (or strength) in double; `relative`: 2:m's lambda over the group's
 * largest. */
static void operate(const search *s, double lambda, bool relative, const double *z, double *v)
{
    s24i_kernels ref;
    int32_t n = s->constraints->n, m = s->constraints->m;
    s24i_kernels_ref(&ref);
    if (n == 1)
        ref.prox_1m_f64(z, v, ROWS * N, m, fmin(1, lambda));
    else if (n == 2)
        ref.prox_2m_f64(z, v, ROWS * N, m, lambda, relative);
    else
        ref.prox_firm_f64(z, v, ROWS * N, n, m, fmin(1, lambda));
}

/* Rows whose masks agree must have these weights; nearly all must agree. `score` is what the mask
 * was chosen from. */
static void check_end(const search *s, const double *score, const double *weights)
{
    int32_t n = s->constraints->n, m = s->constraints->m;
    int64_t agree = 0;
    for (int64_t i = 0; i < ROWS * N; i += N) {
        bool same = true;
        double error = 0, norm = 0;
        for (int64_t j = i; j < i + N; j++) {
            int64_t before = 0, kept = 0;
            for (int64_t k = j - j % m; k < j - j % m + m; k++) {
                before += fabs(score[k]) > fabs(score[j]);
                kept += s->mask[k];
            }
            ck_assert_int_eq(kept, n);
            unit_check(s->mask[j] || s->v[j] == 0);
            same &= s->mask[j] == (before < n);
            error += pow(s->v[j] - (s->mask[j] ? weights[j] : 0), 2);
            norm += pow(weights[j], 2);
        }
        agree += same;
        unit_check(!same || error <= 1e-8 * norm);
    }
    ck_assert_int_ge(agree, ROWS * 95 / 100);
}

static const s24i_constraints patterns[] = {
    {.n = 2, .m = 4}, {.n = 1, .m = 4}, {.n = 2, .m = 8}, {.n = 4, .m = 8}};
enum { PATTERNS = 4 };

START_TEST(admm_is_admm)
{
    enum { STEPS = 12 };
    double rho = 0.8, *shifted, *gap = GRAB(double, ROWS *N), *x = GRAB(double, ROWS *N);
    double *u = GRAB(double, ROWS *N), *z = GRAB(double, ROWS *N), *v;
    search s = new_search(3 + (uint64_t)_i, &patterns[_i]);
    s.how = (s24i_shrinking){.iterations = STEPS, .rho = rho};
    ck_assert_int_eq(in_arena(shrink_stage, &s), S24_OK);
    ck_assert_int_eq(atomic_load(&s.taken), STEPS);
    shifted = doubles(s.prepared.s, N * N);
    v = doubles(s.w, ROWS * N);
    for (int64_t i = 0; i < N; i++)
        shifted[i * N + i] += rho;
    shifted = naive_inverse(shifted, N);
    for (int t = 1; t <= STEPS; t++) { /* x = w + rho (v - u - w) F, v = prox(x + u), u += x - v */
        double way = t / (0.85 * STEPS), strength = fmin(2.1, 0.1 * pow(21, way));
        strength = s.constraints->n == 1   ? 0.01 + way
                   : s.constraints->n == 2 ? strength
                                           : 0.1 + 0.9 * way;
        for (int64_t i = 0; i < ROWS * N; i++)
            gap[i] = v[i] - u[i] - s.target[i];
        naive_multiply(false, false, ROWS, N, N, gap, shifted, x);
        for (int64_t i = 0; i < ROWS * N; i++)
            z[i] = s.target[i] + rho * x[i] + u[i];
        operate(&s, strength, true, z, v);
        for (int64_t i = 0; i < ROWS * N; i++)
            u[i] = z[i] - v[i];
    }
    check_end(&s, z, z);
}
END_TEST

/* It stops when every group obeys; then the masked gradient leads to the least loss of that
 * support. */
START_TEST(gradient_ends_on_the_pattern)
{
    search s = new_search(13 + (uint64_t)_i, &patterns[_i]);
    double *r = GRAB(double, N);
    s.how = (s24i_shrinking){
        .gradient = true, .iterations = 3000, .lambda = 0.01, .growth = 1.02, .refit_steps = 4000};
    ck_assert_int_eq(in_arena(shrink_stage, &s), S24_OK);
    ck_assert_int_gt(atomic_load(&s.taken), 50);
    ck_assert_int_lt(atomic_load(&s.taken), 3000);
    for (int64_t i = 0; i < ROWS * N; i += N) { /* the gradient on the support has gone */
        double left = 0, whole = 0;
        for (int64_t k = 0; k < N; k++)
            r[k] = s.target[i + k] - s.v[i + k];
        for (int64_t j = 0; j < N; j++) {
            double g = naive_dot(s.s + j * N, r, N);
            left += s.mask[i + j] ? g * g : 0;
            whole += g * g;
        }
        unit_check(left <= 1e-4 * whole);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shrink");
    TCase *tcase = new_case(suite, "shrink");
    tcase_add_loop_test(tcase, admm_is_admm, 0, PATTERNS);
    tcase_add_loop_test(tcase, gradient_ends_on_the_pattern, 0, PATTERNS);
    return unit_run(suite);
}
