/* lib/ops/linear/{gram,cross,rows}.c: sums in two halves against sums in double. */
#include "../ops_test.h"

/* Largest relative Frobenius error of the two halves. */
static double gram_error(const s24i_gram *gram, const float *x, int64_t rows, const double *weight)
{
    double worst = 0;
    for (int half = 0; half < 2; half++) {
        double *h = naive_gram(x, rows, gram->dim, weight, half);
        worst = fmax(worst, distance(whole_gram(gram, half), h, gram->dim * gram->dim));
    }
    return worst;
}

static double tolerance(int32_t type)
{
    return type == S24_F32 ? 1e-6 : 1e-13;
}

static const int32_t types[] = {S24_F32, S24_F64};
static const int64_t shapes[][2] = {{1, 1},    {1, 5},     {127, 3},   {128, 64},
                                    {129, 65}, {300, 257}, {5000, 40}, {400, 530}};
enum { SHAPES = 8 };

START_TEST(gram_sums_in_two_halves)
{
    uint64_t seed = (uint64_t)_i;
    int64_t rows = shapes[_i / 2][0], n = shapes[_i / 2][1];
    float *x = activations(&seed, rows, n, 0.5);
    s24i_gram gram = gram_of(x, rows, n, types[_i % 2]);
    ck_assert_double_le(gram_error(&gram, x, rows, NULL), tolerance(types[_i % 2]));
    double *h = naive_gram(x, rows, n, NULL, -1);
    for (int64_t j = 0; j < n; j++) {
        double first = s24i_gram_row(&gram, 0, j)[j], second = s24i_gram_row(&gram, 1, j)[j];
        unit_check(s24i_gram_diagonal(&gram, S24I_FIRST, j) == first);
        unit_check(s24i_gram_diagonal(&gram, S24I_SECOND, j) == second);
        unit_check(s24i_gram_diagonal(&gram, S24I_BOTH, j) == first + second);
        unit_check(fabs(first + second - h[j * n + j]) <= 1e-5 * h[j * n + j]);
    }
    int64_t in_first = rows / 256 * 128 + (rows % 256 < 128 ? rows % 256 : 128);
    ck_assert_double_eq(gram.rows.x.weight[0], (double)in_first);
    ck_assert_double_eq(gram.rows.x.weight[1], (double)(rows - in_first));
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(strips_lie_one_after_another)
{
    static const int64_t dims[] = {1, 255, 256, 257, 512, 800};
    for (int d = 0; d < 6; d++) {
        int64_t n = dims[d], strips = (n + S24I_STRIP - 1) / S24I_STRIP, at = 0;
        for (int64_t strip = 0; strip < strips; strip++) {
            int64_t end = (strip + 1) * S24I_STRIP < n ? (strip + 1) * S24I_STRIP : n;
            ck_assert_int_eq(s24i_strip_width(n, strip), end);
            ck_assert_int_eq(s24i_strip_offset(n, strip), at);
            at += (end - strip * S24I_STRIP) * end;
        }
        ck_assert_uint_eq(s24i_gram_half_bytes(n), (size_t)at * sizeof(double));
    }
}
END_TEST

START_TEST(nothing_above_the_diagonal)
{
    uint64_t seed = 5;
    float *x = activations(&seed, 600, 300, 0.5);
    s24i_gram gram = gram_of(x, 600, 300, S24_F32);
    for (int64_t i = 0; i < 300; i++)
        for (int64_t j = i + 1; j < s24i_strip_width(300, i / S24I_STRIP); j++)
            unit_check(s24i_gram_row(&gram, 0, i)[j] == 0 && s24i_gram_row(&gram, 1, i)[j] == 0);
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* Weights, some 0; where they are, x is not even finite. */
START_TEST(gram_weights_rows)
{
    uint64_t seed = 7;
    int64_t rows = 700, n = 60;
    float *x = activations(&seed, rows, n, 0.5);
    double *weight = GRAB(double, rows), sum[2] = {0, 0};
    for (int64_t i = 0; i < rows; i++) {
        weight[i] = below(&seed, 3) ? (double)(float)uniform(&seed) * 4 : 0;
        if (weight[i] == 0)
            x[i * n + i % n] = i % 2 ? NAN : -INFINITY;
        sum[i / 128 % 2] += weight[i];
    }
    s24_mat view = s24i_view(x, rows, n), column = plain(weight, rows, 1, S24_F64);
    s24i_gram gram;
    ck_assert_int_eq(s24i_gram_init(&device, &gram, n, types[_i]), S24_OK);
    ck_assert_int_eq(add_rows(&gram, &view, &column), S24_OK);
    ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
    ck_assert_double_le(gram_error(&gram, x, rows, weight), tolerance(types[_i]));
    for (int half = 0; half < 2; half++)
        check_near(gram.rows.x.weight[half], sum[half], 1e-9);
    s24i_gram_fini(&device, &gram);
}
END_TEST

static void check_equal_grams(const s24i_gram *a, const s24i_gram *b)
{
    for (int half = 0; half < 2; half++) {
        ck_assert_double_eq(a->rows.x.weight[half], b->rows.x.weight[half]);
        ck_assert(!memcmp(a->half[half], b->half[half], s24i_gram_half_bytes(a->dim)));
    }
}

START_TEST(batches_do_not_matter)
{
    uint64_t seed = 11;
    int64_t rows = 4500, n = 33;
    float *x = activations(&seed, rows, n, 0.5);
    s24i_gram once = gram_of(x, rows, n, types[_i]);
    for (int trial = 0; trial < 4; trial++) {
        s24i_gram gram;
        ck_assert_int_eq(s24i_gram_init(&device, &gram, n, types[_i]), S24_OK);
        for (int64_t at = 0, count; at < rows; at += count) {
            count = trial ? 1 + below(&seed, trial == 1 ? 3000 : 150 * trial) : 1000;
            if (count > rows - at)
                count = rows - at;
            s24_mat part = s24i_view(x + at * n, count, n), none = s24i_view(x, 0, n);
            ck_assert_int_eq(add_rows(&gram, &part, NULL), S24_OK);
            ck_assert_int_eq(add_rows(&gram, &none, NULL), S24_OK);
        }
        ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
        ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
        check_equal_grams(&gram, &once);
        s24i_gram_fini(&device, &gram);
    }
    s24i_gram_fini(&device, &once);
}
END_TEST

/* Reading the sums in the middle changes their last bits at most. */
START_TEST(flushing_in_the_middle)
{
    uint64_t seed = 12;
    int64_t rows = 900, n = 50;
    float *x = activations(&seed, rows, n, 0.5);
    s24i_gram gram;
    ck_assert_int_eq(s24i_gram_init(&device, &gram, n, types[_i]), S24_OK);
    for (int64_t at = 0; at < rows; at += 300) {
        s24_mat part = s24i_view(x + at * n, 300, n);
        ck_assert_int_eq(add_rows(&gram, &part, NULL), S24_OK);
        ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
        ck_assert_double_le(gram_error(&gram, x, at + 300, NULL), tolerance(types[_i]));
    }
    s24i_gram_fini(&device, &gram);
}
END_TEST

/* The same values, exact in every type, in every layout: the same bits. */
START_TEST(types_and_layouts_do_not_matter)
{
    static const int32_t of_x[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    uint64_t seed = 13;
    int64_t rows = 300, n = 70;
    float *x = GRAB(float, rows *n), *column_major = GRAB(float, rows *n);
    for (int64_t i = 0; i < rows * n; i++) {
        x[i] = ldexpf((float)(below(&seed, 255) - 127), (int)below(&seed, 5) - 8);
        column_major[i % n * rows + i / n] = x[i];
    }
    s24_mat src = plain(column_major, rows, n, S24_F32);
    src.row_stride = 1;
    src.col_stride = rows;
    s24i_gram wanted = gram_of(x, rows, n, types[_i]);
    for (int t = 0; t < 5; t++) {
        s24i_gram gram;
        s24_mat mat = t < 4 ? plain(grab((size_t)(rows * n * 8)), rows, n, of_x[t]) : src;
        if (t < 4)
            ck_assert_int_eq(s24i_mat_copy(&device, &src, &mat), S24_OK);
        ck_assert_int_eq(s24i_gram_init(&device, &gram, n, types[_i]), S24_OK);
        ck_assert_int_eq(add_rows(&gram, &mat, NULL), S24_OK);
        ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
        check_equal_grams(&gram, &wanted);
        s24i_gram_fini(&device, &gram);
    }
    s24i_gram_fini(&device, &wanted);
}
END_TEST

/* A refused batch leaves the sums, the waiting rows and the running index as they were. */
START_TEST(bad_rows_are_named_and_not_taken)
{
    uint64_t seed = 17;
    int64_t rows = 500, n = 20;
    float *x = activations(&seed, rows, n, 0.5), *bad = GRAB(float, rows *n);
    s24i_gram gram, wanted = gram_of(x, rows, n, S24_F32);
    s24_mat first = s24i_view(x, 200, n), rest = s24i_view(x + 200 * n, 300, n);
    s24_mat spoilt = s24i_view(bad, rows, n);
    memcpy(bad, x, (size_t)(rows * n) * sizeof *x);
    bad[321 * n + 7] = NAN;
    bad[400 * n + 1] = INFINITY;
    ck_assert_int_eq(s24i_gram_init(&device, &gram, n, S24_F32), S24_OK);
    ck_assert_int_eq(add_rows(&gram, &first, NULL), S24_OK);
    ck_assert_int_eq(add_rows(&gram, &spoilt, NULL), S24_E_NONFINITE);
    unit_check_text("x: row 321, column 7 is nan");
    bad[321 * n + 7] = 1e18f; /* its square would leave what f32 can sum */
    ck_assert_int_eq(add_rows(&gram, &spoilt, NULL), S24_E_NONFINITE);
    unit_check_text("x: row 321, column 7 is 1e+18: its square leaves the range");
    float weight[500] = {0};
    s24_mat weights = plain(weight, rows, 1, S24_F32);
    weight[99] = -1;
    ck_assert_int_eq(add_rows(&gram, &spoilt, &weights), S24_E_ARG);
    unit_check_text("row_weight: row 99 is -1");
    weight[99] = INFINITY;
    ck_assert_int_eq(add_rows(&gram, &spoilt, &weights), S24_E_NONFINITE);
    ck_assert_int_eq(add_rows(&gram, &rest, NULL), S24_OK);
    ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
    check_equal_grams(&gram, &wanted);
    s24i_gram_fini(&device, &gram);
    s24i_gram_fini(&device, &wanted);
}
END_TEST

START_TEST(doubles_reach_further)
{
    float x[3 * 2] = {1e19f, 1, 2, 1e-19f, 3e18f, 4};
    s24i_gram gram = gram_of(x, 3, 2, S24_F64);
    check_near(s24i_gram_row(&gram, 0, 0)[0] / 1.09e38, 1, 1e-6);
    check_near(s24i_gram_row(&gram, 0, 1)[0] / 2.2e19, 1, 1e-6);
    s24i_gram_fini(&device, &gram);
}
END_TEST

START_TEST(refused_memory_leaks_nothing)
{
    uint64_t seed = 19;
    int64_t rows = 300, n = 40, outs = 20;
    s24i_gram gram;
    s24i_cross cross;
    s24_mat x = s24i_view(activations(&seed, rows, n, 0.5), rows, n);
    s24_mat t = s24i_view(normals(&seed, rows * outs), rows, outs);
    s24i_addition all = {.x = &x, .targets = &t};
    int failures = 0;
    for (heap.refuse = 1; heap.refuse < 40; heap.refuse++) {
        heap.calls = 0;
        use_threads(2);
        if (s24i_gram_init(&device, &gram, n, S24_F32)) {
            failures++;
        } else {
            bool crossed = !s24i_cross_init(&device, &cross, &gram, outs);
            failures += !crossed;
            cross.t.target = 0;
            failures += s24i_gram_add(&device, &gram, &all) == S24_E_MEMORY;
            failures += s24i_gram_flush(&device, &gram, S24I_BOTH) == S24_E_MEMORY;
            if (crossed)
                s24i_cross_fini(&device, &cross);
            s24i_gram_fini(&device, &gram);
        }
        use_threads(2);
        unit_check_heap(&memory, &heap);
    }
    ck_assert_int_ge(failures, 10);
}
END_TEST

/* ---- cross ---- */

static void check_cross(const s24i_cross *cross, const float *x, const float *t, int64_t rows,
                        const double *weight)
{
    int64_t n = cross->in, outs = cross->out;
    double error = tolerance(cross->t.type);
    for (int half = 0; half < 2; half++) {
        double *c = naive_cross(x, t, rows, n, outs, weight, half);
        double *squares = GRAB(double, outs);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t o = 0; o < outs && i / 128 % 2 == half; o++)
                if (!weight || weight[i] > 0)
                    squares[o] += (weight ? weight[i] : 1) * t[i * outs + o] * t[i * outs + o];
        /* relative to what the sums were made of, not to what cancelled */
        double size = norm_of(squares, outs);
        double *h = naive_gram(x, rows, n, weight, half);
        double scale = 0;
        for (int64_t j = 0; j < n; j++)
            scale += h[j * n + j];
        double *got = GRAB(double, outs *n);
        memcpy(got, cross->half[half], (size_t)(outs * n) * sizeof *got);
        for (int64_t k = 0; k < outs * n; k++)
            got[k] -= c[k];
        ck_assert_double_le(norm_of(got, outs * n), error * sqrt(size * scale));
        ck_assert_double_le(distance(cross->norm2[half], squares, outs), error);
    }
}

static const int64_t cross_shapes[][3] = {{1, 1, 1},      {130, 3, 5},    {300, 64, 257},
                                          {2500, 20, 11}, {600, 600, 30}, {150, 70, 513}};
enum { CROSS_SHAPES = 6 };

START_TEST(cross_sums_in_two_halves)
{
    uint64_t seed = (uint64_t)_i + 100;
    int64_t rows = cross_shapes[_i / 2][0], n = cross_shapes[_i / 2][1],
            outs = cross_shapes[_i / 2][2];
    float *x = activations(&seed, rows, n, 0.5), *t = activations(&seed, rows, outs, 0.3);
    s24i_cross cross = cross_of(x, t, rows, n, outs, types[_i % 2]);
    check_cross(&cross, x, t, rows, NULL);
    s24i_cross_fini(&device, &cross);
}
END_TEST

START_TEST(cross_weights_and_batches)
{
    uint64_t seed = 23;
    int64_t rows = 2700, n = 30, outs = 40;
    float *x = activations(&seed, rows, n, 0.5), *t = activations(&seed, rows, outs, 0.3);
    double *weight = GRAB(double, rows);
    for (int64_t i = 0; i < rows; i++)
        weight[i] = below(&seed, 4) ? uniform(&seed) : 0;
    for (int64_t i = 0; i < rows; i++)
        if (weight[i] == 0)
            t[i * outs + 3] = NAN;
    s24i_gram gram[2];
    s24i_cross cross[2];
    for (int c = 0; c < 2; c++) {
        ck_assert_int_eq(s24i_gram_init(&device, &gram[c], n, types[_i]), S24_OK);
        ck_assert_int_eq(s24i_cross_init(&device, &cross[c], &gram[c], outs), S24_OK);
        cross[c].t.target = 0;
        for (int64_t at = 0, count; at < rows; at += count) {
            count = c ? 1 + below(&seed, 500) : rows;
            if (count > rows - at)
                count = rows - at;
            s24_mat xs = s24i_view(x + at * n, count, n),
                    ts = s24i_view(t + at * outs, count, outs);
            s24_mat ws = plain(weight + at, count, 1, S24_F64);
            s24i_addition part = {.x = &xs, .row_weight = &ws, .targets = &ts};
            ck_assert_int_eq(s24i_gram_add(&device, &gram[c], &part), S24_OK);
        }
        ck_assert_int_eq(s24i_gram_flush(&device, &gram[c], S24I_BOTH), S24_OK);
    }
    for (int half = 0; half < 2; half++) {
        ck_assert(
            !memcmp(cross[0].half[half], cross[1].half[half], (size_t)(outs * n) * sizeof(double)));
        ck_assert(
            !memcmp(cross[0].norm2[half], cross[1].norm2[half], (size_t)outs * sizeof(double)));
        ck_assert_double_eq(cross[0].t.weight[half], cross[1].t.weight[half]);
    }
    check_cross(&cross[0], x, t, rows, weight);
    for (int c = 0; c < 2; c++) {
        s24i_cross_fini(&device, &cross[c]);
        s24i_gram_fini(&device, &gram[c]);
    }
}
END_TEST

START_TEST(cross_names_bad_rows)
{
    uint64_t seed = 29;
    int64_t rows = 100, n = 10, outs = 12;
    float *x = activations(&seed, rows, n, 0.5), *t = activations(&seed, rows, outs, 0.3);
    s24_mat xs = s24i_view(x, rows, n), ts = s24i_view(t, rows, outs);
    s24i_addition all = {.x = &xs, .targets = &ts};
    s24i_gram gram;
    s24i_cross cross, wanted = cross_of(x, t, rows, n, outs, S24_F32);
    ck_assert_int_eq(s24i_gram_init(&device, &gram, n, S24_F32), S24_OK);
    ck_assert_int_eq(s24i_cross_init(&device, &cross, &gram, outs), S24_OK);
    cross.t.target = 0;
    float kept = t[64 * outs + 11], kept_x = x[70 * n];
    t[64 * outs + 11] = INFINITY;
    x[70 * n] = NAN;
    ck_assert_int_eq(s24i_gram_add(&device, &gram, &all), S24_E_NONFINITE);
    unit_check_text("targets[0]: row 64, column 11 is inf");
    t[64 * outs + 11] = kept;
    ck_assert_int_eq(s24i_gram_add(&device, &gram, &all), S24_E_NONFINITE);
    unit_check_text("x: row 70, column 0 is nan");
    x[70 * n] = kept_x;
    ck_assert_int_eq(s24i_gram_add(&device, &gram, &all), S24_OK);
    ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
    for (int half = 0; half < 2; half++)
        ck_assert(
            !memcmp(cross.half[half], wanted.half[half], (size_t)(outs * n) * sizeof(double)));
    s24i_cross_fini(&device, &cross);
    s24i_cross_fini(&device, &wanted);
    s24i_gram_fini(&device, &gram);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gram");
    TCase *gram = new_case(suite, "gram");
    tcase_add_loop_test(gram, gram_sums_in_two_halves, 0, 2 * SHAPES);
    tcase_add_test(gram, strips_lie_one_after_another);
    tcase_add_test(gram, nothing_above_the_diagonal);
    tcase_add_loop_test(gram, gram_weights_rows, 0, 2);
    tcase_add_loop_test(gram, batches_do_not_matter, 0, 2);
    tcase_add_loop_test(gram, flushing_in_the_middle, 0, 2);
    tcase_add_loop_test(gram, types_and_layouts_do_not_matter, 0, 2);
    tcase_add_test(gram, bad_rows_are_named_and_not_taken);
    tcase_add_test(gram, doubles_reach_further);
    tcase_add_test(gram, refused_memory_leaks_nothing);
    TCase *cross = new_case(suite, "cross");
    tcase_add_loop_test(cross, cross_sums_in_two_halves, 0, 2 * CROSS_SHAPES);
    tcase_add_loop_test(cross, cross_weights_and_batches, 0, 2);
    tcase_add_test(cross, cross_names_bad_rows);
    return unit_run(suite);
}
