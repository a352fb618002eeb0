/* lib/ops/linear/panels.c: products with a packed operand, against fp64 and against themselves. */
#include "../ops_test.h"

enum { SHAPES = 7 };
/* One row, one column, less than a tile, one more than whole tiles and blocks of terms. */
static const int64_t shapes[SHAPES][3] = {{1, 1, 1},     {1, 40, 300},  {5, 7, 3},    {73, 33, 257},
                                          {64, 96, 512}, {145, 65, 64}, {13, 31, 700}};

typedef struct {
    int64_t m, n, k;
    float *a, *a_turned, *b, *b_turned, *c;
    s24i_panels panels;
} product;

static float *turned(const float *x, int64_t rows, int64_t cols)
{
    float *t = GRAB(float, rows *cols);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            t[j * rows + i] = x[i * cols + j];
    return t;
}

static product random_product(const int64_t shape[3], float size)
{
    product p = {.m = shape[0], .n = shape[1], .k = shape[2]};
    uint64_t seed = 5;
    p.a = GRAB(float, p.m *p.k);
    p.b = GRAB(float, p.k *p.n);
    p.c = GRAB(float, p.m *p.n);
    for (int64_t i = 0; i < p.m * p.k; i++)
        p.a[i] = (float)normal(&seed) * size;
    for (int64_t i = 0; i < p.k * p.n; i++)
        p.b[i] = (float)normal(&seed);
    p.a_turned = turned(p.a, p.m, p.k);
    p.b_turned = turned(p.b, p.k, p.n);
    return p;
}

static void pack(product *p, bool turned_b)
{
    float *data = GRAB(float, s24i_panels_size(p->k, p->n));
    s24i_f32s b = turned_b ? s24i_f32_turned(p->b_turned, p->k) : s24i_f32(p->b, p->n);
    ck_assert_int_eq(s24i_pack_panels(&device, b, p->k, p->n, data, &p->panels), S24_OK);
}

/* Each sum within what its terms allow. */
static void expect_product(const product *p, s24i_slice part, double alpha, const float *before)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            double sum = 0, sizes = before ? fabs(before[i * p->n + j]) : 0;
            for (int64_t k = 0; k < part.terms; k++) {
                double term = (double)p->a[i * p->k + k] * p->b[(part.first + k) * p->n + j];
                sum += alpha * term;
                sizes += fabs(alpha * term);
            }
            sum += before ? before[i * p->n + j] : 0;
            ck_assert_double_le(fabs(p->c[i * p->n + j] - sum),
                                1e-6 * sqrt((double)part.terms) * sizes);
        }
}

START_TEST(products)
{
    static const float sizes[] = {1, 1e30f, 1e-30f};
    product p = random_product(shapes[_i / 3], sizes[_i % 3]);
    size_t size = (size_t)(p.m * p.n) * sizeof(float);
    float *first = GRAB(float, p.m *p.n);
    for (int way = 0; way < 4; way++) {
        pack(&p, way & 1);
        s24i_times_panels(&kernels, p.m, -1,
                          way & 2 ? s24i_f32_turned(p.a_turned, p.m) : s24i_f32(p.a, p.k),
                          s24i_whole(&p.panels), false, s24i_f32_out(p.c, p.n));
        if (way == 0)
            memcpy(first, p.c, size);
        ck_assert(!memcmp(first, p.c, size)); /* however the operands lie */
    }
    expect_product(&p, s24i_whole(&p.panels), -1, NULL);
    for (int64_t k = 0; k < p.k; k += 100) {
        s24i_slice part = {&p.panels, k, p.k - k < 100 ? p.k - k : 100};
        memcpy(p.c, first, size);
        s24i_times_panels(&kernels, p.m, 0.5f, s24i_f32(p.a, p.k), part, true,
                          s24i_f32_out(p.c, p.n));
        expect_product(&p, part, 0.5, first);
    }
}
END_TEST

/* Whatever rows stand beside it, whatever the instruction set, a row has the same bits. */
START_TEST(rows_alone)
{
    product p = random_product(shapes[_i], 1);
    float *row = GRAB(float, p.n);
    pack(&p, false);
    s24i_times_packed(&device, 1, p.a, &p.panels, row);
    s24i_times_panels(&kernels, p.m, 1, s24i_f32(p.a, p.k), s24i_whole(&p.panels), false,
                      s24i_f32_out(p.c, p.n));
    ck_assert(!memcmp(row, p.c, (size_t)p.n * sizeof(float)));
    for (int isa = 0; s24i_kernels_isa(isa); isa++) {
        s24i_kernels other;
        ck_assert_int_eq(s24i_kernels_dispatch(&other, s24i_kernels_isa(isa)), 1);
        for (int64_t i = 0; i < p.m; i++) {
            s24i_times_panels(&other, 1, 1, s24i_f32(p.a + i * p.k, p.k), s24i_whole(&p.panels),
                              false, s24i_f32_out(row, p.n));
            ck_assert_msg(!memcmp(row, p.c + i * p.n, (size_t)p.n * sizeof(float)), "%s, row %lld",
                          s24i_kernels_isa(isa), (long long)i);
        }
    }
}
END_TEST

/* A NaN spoils its own row and column, whether its other factor is zero or not. */
START_TEST(nan_stays)
{
    product p = random_product(shapes[3], 1);
    p.a[70 * p.k + 256] = NAN;
    p.b[9 * p.n + 32] = NAN;
    p.a[4 * p.k + 9] = 0;
    pack(&p, false);
    s24i_times_panels_exact(&kernels, p.m, 1, s24i_f32(p.a, p.k), s24i_whole(&p.panels), false,
                            s24i_f32_out(p.c, p.n));
    for (int64_t i = 0; i < p.m; i++)
        for (int64_t j = 0; j < p.n; j++)
            ck_assert_int_eq(isnan(p.c[i * p.n + j]) != 0, i == 70 || j == 32);
}
END_TEST

/* 1e-40 is a number to the exact product only. */
START_TEST(denormals)
{
    product p = random_product((int64_t[]){1, 1, 1}, 1);
    p.a[0] = 1e-40f;
    p.b[0] = 1;
    pack(&p, false);
    s24i_times_panels_exact(&kernels, 1, 1, s24i_f32(p.a, 1), s24i_whole(&p.panels), false,
                            s24i_f32_out(p.c, 1));
    ck_assert_float_eq(p.c[0], 1e-40f);
    s24i_times_packed(&device, 1, p.a, &p.panels, p.c);
#if defined __SSE__ || defined __aarch64__
    ck_assert_float_eq(p.c[0], 0);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("panels");
    TCase *tcase = new_case(suite, "panels");
    tcase_add_loop_test(tcase, products, 0, 3 * SHAPES);
    tcase_add_loop_test(tcase, rows_alone, 0, SHAPES);
    tcase_add_test(tcase, nan_stays);
    tcase_add_test(tcase, denormals);
    return unit_run(suite);
}
