/* lib/ops/linear/loss.c: losses are residuals, in double. */
#include "../ops_test.h"

typedef struct {
    const s24i_gram *gram;
    const s24i_cross *cross;
    int which;
    double blend;
    const s24_mat *w, *v;
    const int64_t *row_of;
    double loss, norm;
} evaluation;

static s24_status quadratic_stage(void *arg, const s24i_run *run)
{
    evaluation *e = arg;
    return s24i_quadratic(run, e->gram, e->which, e->w, e->v, &e->loss);
}

static s24_status target_stage(void *arg, const s24i_run *run)
{
    evaluation *e = arg;
    return s24i_target_loss(run,
                            &(s24i_matrix){.gram = e->gram, .cross = e->cross, .blend = e->blend},
                            e->which, e->w, e->v, e->row_of, &e->loss, &e->norm);
}

/* ||X E^T||^2 over the rows of `which` halves. */
static double residual_norm2(const float *x, int64_t rows, int64_t cols, const double *e,
                             int64_t outs, int which)
{
    double total = 0, *row = GRAB(double, cols);
    for (int64_t i = 0; i < rows; i++) {
        if (!(which & (i / 128 % 2 ? S24I_SECOND : S24I_FIRST)))
            continue;
        for (int64_t j = 0; j < cols; j++)
            row[j] = x[i * cols + j];
        for (int64_t o = 0; o < outs; o++) {
            double y = naive_dot(row, e + o * cols, cols);
            total += y * y;
        }
    }
    return total;
}

static const int64_t shapes[][3] = {/* calibration rows, inputs, outputs */
                                    {1, 1, 1},     {200, 7, 3},     {300, 257, 20},
                                    {150, 530, 9}, {140, 40, 1050}, {260, 128, 17}};
enum { SHAPES = 6 };
static const int32_t types[] = {S24_F32, S24_F64};

START_TEST(quadratic_is_the_residual)
{
    uint64_t seed = (uint64_t)_i + 1;
    int64_t rows = shapes[_i / 2][0], n = shapes[_i / 2][1], outs = shapes[_i / 2][2];
    double error = _i % 2 ? 1e-12 : 1e-6;
    float *x = activations(&seed, rows, n, 0.7), *w = normals(&seed, outs * n);
    float *v = GRAB(float, outs *n);
    double *wd = doubles(w, outs * n), *e = GRAB(double, outs *n);
    for (int64_t i = 0; i < outs * n; i++) {
        v[i] = below(&seed, 2) ? w[i] * (1 + 0.01f * (float)normal(&seed)) : 0;
        e[i] = (double)w[i] - v[i];
    }
    s24i_gram gram = gram_of(x, rows, n, types[_i % 2]);
    s24_mat ws = s24i_view(w, outs, n), vs = s24i_view(v, outs, n);
    evaluation q = {.gram = &gram, .w = &ws};
    for (q.which = S24I_FIRST; q.which <= S24I_BOTH; q.which++) {
        q.v = &vs;
        ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
        check_near(q.loss, residual_norm2(x, rows, n, e, outs, q.which), error * q.loss);
        q.v = NULL;
        ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
        check_near(q.loss, residual_norm2(x, rows, n, wd, outs, q.which), error * q.loss);
        q.v = &ws;
        ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
        ck_assert_double_eq(q.loss, 0);
    }
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(without_a_gram_it_is_the_frobenius_norm)
{
    uint64_t seed = 3;
    float *w = normals(&seed, 70 * 33), *v = normals(&seed, 70 * 33);
    double *e = GRAB(double, 70 * 33);
    for (int64_t i = 0; i < 70 * 33; i++)
        e[i] = (double)w[i] - v[i];
    s24_mat ws = s24i_view(w, 70, 33), vs = s24i_view(v, 70, 33);
    evaluation q = {.which = S24I_BOTH, .w = &ws, .v = &vs};
    ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
    check_near(q.loss, pow(norm_of(e, 70 * 33), 2), 1e-12 * q.loss);
}
END_TEST

/* A loss of nearly nothing keeps its digits: the difference is taken before anything is summed. */
START_TEST(small_losses_keep_their_digits)
{
    uint64_t seed = 5;
    int64_t rows = 300, n = 200, outs = 12;
    float *x = activations(&seed, rows, n, 0.7), *w = normals(&seed, outs * n);
    float *v = GRAB(float, outs *n);
    double *e = GRAB(double, outs *n);
    for (int64_t i = 0; i < outs * n; i++) {
        v[i] = nextafterf(w[i], 9);
        e[i] = (double)w[i] - v[i];
    }
    for (int t = 0; t < 2; t++) {
        s24i_gram gram = gram_of(x, rows, n, types[t]);
        s24_mat ws = s24i_view(w, outs, n), vs = s24i_view(v, outs, n);
        evaluation q = {.gram = &gram, .which = S24I_BOTH, .w = &ws, .v = &vs};
        ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
        double wanted = residual_norm2(x, rows, n, e, outs, S24I_BOTH);
        check_near(q.loss, wanted, (t ? 1e-12 : 1e-6) * wanted);
        s24i_gram_fini(&device, &gram);
    }
}
END_TEST

/* Candidates may be halves, doubles, column-major. */
START_TEST(any_type_and_layout)
{
    uint64_t seed = 7;
    int64_t n = 40, outs = 21;
    float *x = activations(&seed, 200, n, 0.5), *w = normals(&seed, outs * n);
    s24i_gram gram = gram_of(x, 200, n, S24_F64);
    s24_mat ws = s24i_view(w, outs, n), v = plain(GRAB(double, outs *n), outs, n, S24_F64);
    v.row_stride = 1;
    v.col_stride = outs;
    double *e = GRAB(double, outs *n);
    for (int64_t i = 0; i < outs * n; i++) {
        double value = normal(&seed);
        ((double *)v.data)[i % n * outs + i / n] = value;
        e[i] = w[i] - value;
    }
    evaluation q = {.gram = &gram, .which = S24I_BOTH, .w = &ws, .v = &v};
    ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
    check_near(q.loss, residual_norm2(x, 200, n, e, outs, S24I_BOTH), 1e-12 * q.loss);
    uint16_t *halves = GRAB(uint16_t, outs * n);
    s24_mat h = plain(halves, outs, n, S24_BF16);
    ck_assert_int_eq(s24i_mat_copy(&device, &v, &h), S24_OK);
    float *back = GRAB(float, outs *n);
    s24i_mat_load(&kernels, &h, 0, outs, back);
    s24_mat backs = s24i_view(back, outs, n);
    q.v = &h;
    ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
    double from_halves = q.loss;
    q.v = &backs;
    ck_assert_int_eq(in_arena(quadratic_stage, &q), S24_OK);
    ck_assert_double_eq(q.loss, from_halves);
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* ||X V^T - ((1 - b) X W^T + b T)||^2 and the square of what is in brackets, from X and T
 * themselves. */
static void naive_target(const evaluation *e, const float *x, const float *t, int64_t rows,
                         double *loss, double *norm)
{
    int64_t n = e->w->cols, all = e->cross->out;
    const float *w = e->w->data, *v = e->v->data;
    *loss = *norm = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t o = 0; o < e->w->rows && (e->which & (i / 128 % 2 ? 2 : 1)); o++) {
            double xw = 0, xv = 0;
            for (int64_t j = 0; j < n; j++) {
                xw += (double)x[i * n + j] * w[o * n + j];
                xv += (double)x[i * n + j] * v[o * n + j];
            }
            double aim =
                (1 - e->blend) * xw + e->blend * t[i * all + (e->row_of ? e->row_of[o] : o)];
            *loss += (xv - aim) * (xv - aim);
            *norm += aim * aim;
        }
}

START_TEST(target_loss_is_the_residual)
{
    static const double blends[] = {0, 0.3, 1};
    uint64_t seed = (uint64_t)_i + 11;
    int64_t rows = 300, n = 90, outs = 25;
    float *x = activations(&seed, rows, n, 0.7), *w = normals(&seed, outs * n);
    float *v = GRAB(float, outs *n), *t = activations(&seed, rows, outs, 0.2);
    for (int64_t i = 0; i < outs * n; i++)
        v[i] = below(&seed, 2) ? w[i] : 0;
    s24i_gram gram = gram_of(x, rows, n, types[_i % 2]);
    s24i_cross cross = cross_of(x, t, rows, n, outs, types[_i % 2]);
    int64_t row_of[] = {3, 0, 24, 7};
    s24_mat ws = s24i_view(w, outs, n), vs = s24i_view(v, outs, n);
    s24_mat some_w = s24i_view(w + 5 * n, 4, n), some_v = s24i_view(v + 5 * n, 4, n);
    for (int b = 0; b < 18; b++) {
        double loss, norm;
        evaluation e = {
            .gram = &gram, .cross = &cross, .which = b % 3 + 1, .blend = blends[b / 3 % 3]};
        e.w = b < 9 ? &ws : &some_w;
        e.v = b < 9 ? &vs : &some_v;
        e.row_of = b < 9 ? NULL : row_of;
        ck_assert_int_eq(in_arena(target_stage, &e), S24_OK);
        naive_target(&e, x, t, rows, &loss, &norm);
        double size = norm + residual_norm2(x, rows, n, doubles(e.w->data, e.w->rows * n),
                                            e.w->rows, e.which);
        double error = _i % 2 ? 1e-12 : 1e-6;
        check_near(e.norm, norm, error * size);
        check_near(e.loss, loss, error * size);
    }
    s24i_gram_fini(&device, &gram);
    s24i_cross_fini(&device, &cross);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss");
    TCase *tcase = new_case(suite, "loss");
    tcase_add_loop_test(tcase, quadratic_is_the_residual, 0, 2 * SHAPES);
    tcase_add_test(tcase, without_a_gram_it_is_the_frobenius_norm);
    tcase_add_test(tcase, small_losses_keep_their_digits);
    tcase_add_test(tcase, any_type_and_layout);
    tcase_add_loop_test(tcase, target_loss_is_the_residual, 0, 2);
    return unit_run(suite);
}
