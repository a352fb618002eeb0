/* lib/ops/steps/sweep.c: the published column sweep in fp64. */
#include "../published.h"
#include "../ops_test.h"

typedef struct {
    const s24i_prepared *prepared;
    const s24i_constraints *constraints;
    const float *w;
    int64_t rows;
    float *v;
    uint8_t *mask;
} sweep;

static s24_status sweep_stage(void *arg, const s24i_run *run)
{
    sweep *s = arg;
    return s24i_sweep(run, &(s24i_target){s->prepared, s->constraints, s->w, s->rows}, s->v,
                      s->mask);
}

/*
 * Against the published algorithm in fp64. It is led along our masks, and each of our selections
 * must be its own but where scores tie within 1e-4; then all values must agree.
 */
static int64_t check_sweep(const s24i_prepared *p, const s24i_constraints *constraints,
                           const float *w, int64_t rows)
{
    int64_t n = p->dim;
    sweep s = {p, constraints, w, rows, GRAB(float, rows *n), GRAB(uint8_t, rows * n)};
    memset(s.v, 0xff, (size_t)(rows * n) * sizeof *s.v);
    memset(s.mask, 9, (size_t)(rows * n));
    ck_assert_int_eq(in_arena(sweep_stage, &s), S24_OK);
    published reference = {.constraints = constraints, .rows = rows, .cols = n, .guide = s.mask};
    reference.w = doubles(w, rows * n);
    reference.mask = GRAB(uint8_t, rows * n);
    published_sweep(&reference, doubles(p->s, n * n));
    ck_assert_int_eq(reference.miscounts, 0);
    ck_assert_double_le(reference.worst, 1 + 2e-4); /* of squares */
    double size = norm_of(doubles(w, rows * n), rows * n) / sqrt((double)(rows * n));
    for (int64_t i = 0; i < rows * n; i++) {
        unit_check(s.mask[i] == reference.mask[i]);
        unit_check(s.mask[i] || s.v[i] == 0);
        unit_check(fabs(s.v[i] - reference.w[i]) <= 1e-4 * fmax(size, fabs(reference.w[i])));
    }
    ck_assert_double_le(distance(doubles(s.v, rows * n), reference.w, rows * n), 2e-5);
    return reference.differences;
}

static const int64_t shapes[][2] = {/* rows, columns */
                                    {1, 4},    {3, 8},     {17, 128}, {64, 192},
                                    {65, 127}, {130, 264}, {70, 385}};
enum { SHAPES = 7 };

static const struct {
    int32_t n, m, scope;
    double sparsity;
    bool mask;
} kinds[] = {
    {2, 4, 0, 0, false},
    {4, 8, 0, 0, false},
    {1, 4, 0, 0, false},
    {3, 7, 0, 0, false},
    {5, 11, 0, 0, false},
    {17, 64, 0, 0, false},
    {4, 4, 0, 0, false},
    {0, 0, 0, 0, true},
    {2, 4, 0, 0, true}, /* the mask alone counts */
    {0, 0, S24I_SCOPE_ROW, 0.5, false},
    {0, 0, S24I_SCOPE_ROW, 0.83, false},
    {0, 0, S24I_SCOPE_LAYER, 0.5, false},
    {0, 0, S24I_SCOPE_LAYER, 0.7, false},
    {0, 0, S24I_SCOPE_LAYER, 0.97, false},
    {0, 0, S24I_SCOPE_ROW, 0, false},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

START_TEST(is_the_published_sweep)
{
    uint64_t seed = (uint64_t)_i + 1;
    int64_t rows = shapes[_i][0], n = shapes[_i][1], differences = 0;
    float *x = activations(&seed, 3 * n + 20, n, 0.8), *w = normals(&seed, rows * n);
    uint8_t *mask = GRAB(uint8_t, rows * n);
    s24i_gram gram = gram_of(x, 3 * n + 20, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, w);
    for (int64_t i = 0; i < rows * n; i++)
        mask[i] = below(&seed, 5) < 2;
    for (int k = 0; k < KINDS; k++) {
        int mark = naive_count;
        s24i_constraints constraints = {.n = kinds[k].n, .m = kinds[k].m, .scope = kinds[k].scope};
        constraints.sparsity = kinds[k].sparsity;
        if (kinds[k].mask)
            constraints.mask = mask;
        if (!constraints.n || n % constraints.m == 0)
            differences += check_sweep(&p, &constraints, w, rows);
        drop_to(mark);
    }
    ck_assert_int_le(differences, rows * n / 1000 + 2);
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* Without coupling nothing is compensated: the largest weights stay as they are. */
START_TEST(identity_keeps_the_largest)
{
    static const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                                {.n = 3, .m = 8},
                                                {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                                {.scope = S24I_SCOPE_LAYER, .sparsity = 0.6}};
    uint64_t seed = 7;
    int64_t rows = 70, n = 120;
    float *w = normals(&seed, rows * n), *v = GRAB(float, rows *n);
    uint8_t *mask = GRAB(uint8_t, rows * n), *wanted = GRAB(uint8_t, rows * n);
    s24i_matrix matrix = matrix_of(rows, n, NULL);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0, w);
    s24i_arena arena = {.base = grab(1 << 20), .size = 1 << 20};
    s24i_run run = {&device, &arena, &watch};
    for (int k = 0; k < 4; k++) {
        sweep s = {&p, &patterns[k], w, rows, v, mask};
        ck_assert_int_eq(in_arena(sweep_stage, &s), S24_OK);
        ck_assert_int_eq(s24i_project(&run, &patterns[k], w, NULL, rows, n, wanted), S24_OK);
        ck_assert(!memcmp(mask, wanted, (size_t)(rows * n)));
        for (int64_t i = 0; i < rows * n; i++)
            unit_check(v[i] == (mask[i] ? w[i] : 0));
    }
}
END_TEST

/* Weights that obey the pattern lose nothing. */
START_TEST(fixed_points)
{
    uint64_t seed = 9;
    int64_t rows = 66, n = 120;
    float *x = activations(&seed, 400, n, 0.8), *w = normals(&seed, rows * n);
    s24i_gram gram = gram_of(x, 400, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    for (int64_t i = 0; i < rows * n; i++)
        if (i % 4 == i / n % 4 || i % 4 == (i / n + 1) % 4)
            w[i] = 0;
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, w);
    s24i_constraints constraints = {.n = 2, .m = 4};
    sweep s = {&p, &constraints, w, rows, GRAB(float, rows *n), GRAB(uint8_t, rows * n)};
    ck_assert_int_eq(in_arena(sweep_stage, &s), S24_OK);
    for (int64_t i = 0; i < rows * n; i++)
        unit_check(s.v[i] == w[i] && s.mask[i] == (w[i] != 0));
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* Dead inputs go first and take no part. */
START_TEST(dead_inputs_go_first)
{
    uint64_t seed = 11;
    int64_t rows = 10, n = 16;
    float *x = activations(&seed, 100, n, 0.5), *w = normals(&seed, rows * n);
    for (int64_t i = 0; i < 100; i++)
        x[i * n + 2] = x[i * n + 3] = x[i * n + 5] = 0;
    for (int64_t i = 0; i < rows; i++)
        w[i * n + 2] = w[i * n + 5] = 100;
    s24i_gram gram = gram_of(x, 100, n, S24_F32);
    s24i_matrix matrix = matrix_of(rows, n, &gram);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0.01, w);
    s24i_constraints constraints = {.n = 2, .m = 4};
    sweep s = {&p, &constraints, w, rows, GRAB(float, rows *n), GRAB(uint8_t, rows * n)};
    ck_assert_int_eq(in_arena(sweep_stage, &s), S24_OK);
    for (int64_t i = 0; i < rows; i++) {
        const uint8_t *mask = s.mask + i * n;
        unit_check(mask[0] && mask[1] && !mask[2] && !mask[3] && !mask[5]);
        unit_check(s.v[i * n + 2] == 0 && s.v[i * n + 3] == 0 && s.v[i * n + 5] == 0);
    }
    s24i_gram_fini(&device, &gram);
}
END_TEST

static int32_t stop_at(void *user, const char *phase, int64_t step, int64_t total, double objective,
                       double residual)
{
    int64_t *at = user;
    unit_check(isnan(objective) && isnan(residual));
    unit_check(!strcmp(phase, "sweep") && step >= 0 && step <= total);
    return step >= *at;
}

/* Stopped in the middle there is nothing to use; stopped after the last step there is. */
START_TEST(stops_when_told)
{
    static const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                                {.scope = S24I_SCOPE_LAYER, .sparsity = 0.5}};
    uint64_t seed = 13;
    int64_t rows = 300, n = 264;
    float *w = normals(&seed, rows * n);
    s24i_matrix matrix = matrix_of(rows, n, NULL);
    s24i_prepared p = prepare(&matrix, S24I_DAMP_RELATIVE, 0, w);
    use_threads(1);
    for (int k = 0; k < 2; k++) {
        int64_t total = k ? n : rows, at;
        sweep s = {&p, &patterns[k], w, rows, GRAB(float, rows *n), GRAB(uint8_t, rows * n)};
        for (at = 0; at <= total; at += k ? 132 : 100) {
            s24i_watch_init(&watch, stop_at, &at, NULL, 0);
            ck_assert_int_eq(in_arena(sweep_stage, &s), at < total ? S24_E_CANCELLED : S24_OK);
        }
        at = INT64_MAX;
        s24i_watch_init(&watch, stop_at, &at, NULL, 1e-9);
        ck_assert_int_eq(in_arena(sweep_stage, &s), S24_E_CANCELLED);
        unit_check_text("stopped before the sweep");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sweep");
    TCase *tcase = new_case(suite, "sweep");
    tcase_add_loop_test(tcase, is_the_published_sweep, 0, SHAPES);
    tcase_add_test(tcase, identity_keeps_the_largest);
    tcase_add_test(tcase, fixed_points);
    tcase_add_test(tcase, dead_inputs_go_first);
    tcase_add_test(tcase, stops_when_told);
    return unit_run(suite);
}
