/* lib/ops/linear/mat.c and gemm.c: any type and layout in, out and multiplied. */
#include "../ops_test.h"
#include <float.h>

static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
enum { TYPES = 4, LAYOUTS = 4 };

/* Rounded to nearest even in a type with `digits` bits and smallest exponent `least`; exact for
 * every double. */
static double round_to(double value, int digits, int least, double most)
{
    int exponent;
    if (value == 0 || !isfinite(value))
        return value;
    frexp(value, &exponent);
    exponent = exponent - 1 < least ? least : exponent - 1;
    double rounded = ldexp(nearbyint(ldexp(value, digits - 1 - exponent)), exponent - digits + 1);
    return fabs(rounded) > most ? copysign(INFINITY, value) : copysign(rounded, value);
}

static double in_type(double value, int32_t type)
{
    return type == S24_F16    ? round_to(value, 11, -14, 65504)
           : type == S24_BF16 ? round_to(value, 8, -126, ldexp(255, 120))
           : type == S24_F32  ? round_to(value, 24, -126, FLT_MAX)
                              : value;
}

static double half_value(uint16_t bits, int mantissa)
{
    int exponent = (bits & 0x7fff) >> mantissa, bias = mantissa == 10 ? 15 : 127;
    double fraction = bits & ((1 << mantissa) - 1), one = 1 << mantissa;
    double value = exponent ? ldexp(one + fraction, exponent - bias - mantissa)
                            : ldexp(fraction, 1 - bias - mantissa);
    if (exponent == 2 * bias + 1)
        value = fraction > 0 ? NAN : INFINITY;
    return bits & 0x8000 ? -value : value;
}

static uint16_t half_bits(double value, int mantissa)
{
    int low = 0, high = mantissa == 10 ? 0x7c00 : 0x7f80; /* values grow with bits */
    while (low < high) {
        int middle = (low + high) / 2;
        if (half_value((uint16_t)middle, mantissa) < fabs(value))
            low = middle + 1;
        else
            high = middle;
    }
    return (uint16_t)(low | (signbit(value) ? 0x8000 : 0));
}

static void *place(const s24_mat *mat, int64_t i, int64_t j)
{
    return (char *)mat->data +
           (i * mat->row_stride + j * mat->col_stride) * s24i_dtype_size(mat->dtype);
}

static double get(const s24_mat *mat, int64_t i, int64_t j)
{
    const void *p = place(mat, i, j);
    return mat->dtype == S24_F64 ? *(const double *)p
           : mat->dtype == S24_F32
               ? *(const float *)p
               : half_value(*(const uint16_t *)p, mat->dtype == S24_F16 ? 10 : 7);
}

/* `value` must be one of the type's. */
static void put(const s24_mat *mat, int64_t i, int64_t j, double value)
{
    void *p = place(mat, i, j);
    if (mat->dtype == S24_F64)
        *(double *)p = value;
    else if (mat->dtype == S24_F32)
        *(float *)p = (float)value;
    else
        *(uint16_t *)p = half_bits(value, mat->dtype == S24_F16 ? 10 : 7);
}

/* Contiguous; padded rows; column-major; gaps in both directions. Filled with 0x5a. */
static s24_mat new_mat(int64_t rows, int64_t cols, int32_t type, int layout)
{
    s24_mat mat = plain(NULL, rows, cols, type);
    if (layout == 1)
        mat.row_stride = cols + 3;
    if (layout == 2) {
        mat.row_stride = 1;
        mat.col_stride = rows + 5;
    }
    if (layout == 3) {
        mat.col_stride = 3;
        mat.row_stride = 3 * cols + 7;
    }
    int64_t size = (rows * mat.row_stride + cols * mat.col_stride) * s24i_dtype_size(type);
    mat.data = grab((size_t)size);
    memset(mat.data, 0x5a, (size_t)size);
    return mat;
}

static const int64_t shapes[][2] = {{1, 1}, {1, 9}, {7, 1}, {3, 17}, {70, 131}};
enum { SHAPES = 5 };

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

/* Normal, tiny, huge, halfway between halves, signed zero. */
static double any_value(uint64_t *seed)
{
    switch (below(seed, 6)) {
    case 0:
        return normal(seed);
    case 1:
        return ldexp(normal(seed), (int)below(seed, 60) - 40);
    case 2:
        return ldexp((double)(below(seed, 4096) * 2 + 1), -12); /* ties of f16 and bf16 */
    case 3:
        return uniform(seed) < 0.5 ? 0.0 : -0.0;
    case 4:
        return ldexp(normal(seed), -(int)below(seed, 150));
    default:
        return ldexp(normal(seed), 16 * (int)below(seed, 2));
    }
}

START_TEST(loads_every_type_and_layout)
{
    uint64_t seed = 1;
    int32_t type = types[_i / LAYOUTS];
    for (int s = 0; s < SHAPES; s++) {
        int64_t rows = shapes[s][0], cols = shapes[s][1];
        s24_mat mat = new_mat(rows, cols, type, _i % LAYOUTS);
        for (int64_t k = 0; k < rows * cols; k++)
            put(&mat, k / cols, k % cols, in_type(any_value(&seed), type));
        int64_t first = rows / 3, count = rows - first;
        float *single = GRAB(float, count *cols);
        double *full = GRAB(double, count *cols);
        s24i_mat_load(&kernels, &mat, first, count, single);
        s24i_mat_load_f64(&kernels, &mat, first, count, full);
        for (int64_t k = 0; k < count * cols; k++) {
            double value = get(&mat, first + k / cols, k % cols);
            unit_check(same(full[k], value));
            unit_check(same(single[k], in_type(value, S24_F32)));
        }
    }
}
END_TEST

START_TEST(stores_every_type_and_layout)
{
    uint64_t seed = 2;
    int32_t type = types[_i / LAYOUTS];
    for (int s = 0; s < SHAPES; s++) {
        int64_t rows = shapes[s][0], cols = shapes[s][1], first = rows / 4, count = rows - first;
        s24_mat mat = new_mat(rows, cols, type, _i % LAYOUTS);
        float *in = GRAB(float, count *cols);
        for (int64_t k = 0; k < count * cols; k++)
            in[k] = (float)any_value(&seed);
        s24i_mat_store(&kernels, in, &mat, first, count);
        for (int64_t k = 0; k < count * cols; k++)
            unit_check(same(get(&mat, first + k / cols, k % cols), in_type(in[k], type)));
        for (int64_t j = 0; j < cols && first > 0; j++) /* the rows before stay */
            unit_check(((uint8_t *)place(&mat, 0, j))[0] == 0x5a);
        if (_i % LAYOUTS == 1 && rows > 1) /* and what lies between rows */
            unit_check(((uint8_t *)place(&mat, rows - 1, cols))[0] == 0x5a);
    }
}
END_TEST

/* Values so near the middle of two halves that rounding to f32 first would lose the side. */
static double near_tie(uint64_t *seed, int32_t type)
{
    int digits = type == S24_F16 ? 11 : 8;
    double odd = ldexp(1, digits) + 2 * (double)below(seed, 1 << (digits - 1)) + 1;
    double tie = ldexp(odd, (int)below(seed, 20) - 24 - digits);
    double side = (double)below(seed, 3) - 1;
    return copysign(tie * (1 + side * ldexp(1, -30 - (int)below(seed, 20))), uniform(seed) - 0.5);
}

START_TEST(copies_between_floats)
{
    uint64_t seed = 3;
    int32_t from = types[_i / TYPES], to = types[_i % TYPES];
    for (int s = 0; s < SHAPES; s++)
        for (int layouts = 0; layouts < LAYOUTS * LAYOUTS; layouts++) {
            int mark = naive_count;
            int64_t rows = shapes[s][0], cols = shapes[s][1];
            s24_mat src = new_mat(rows, cols, from, layouts / LAYOUTS);
            s24_mat dst = new_mat(rows, cols, to, layouts % LAYOUTS);
            for (int64_t k = 0; k < rows * cols; k++) {
                double value =
                    k % 3 || s24i_dtype_size(to) != 2 ? any_value(&seed) : near_tie(&seed, to);
                put(&src, k / cols, k % cols, in_type(value, from));
            }
            ck_assert_int_eq(s24i_mat_copy(&device, &src, &dst), S24_OK);
            for (int64_t k = 0; k < rows * cols; k++)
                unit_check(same(get(&dst, k / cols, k % cols),
                                in_type(get(&src, k / cols, k % cols), to)));
            drop_to(mark);
        }
}
END_TEST

START_TEST(doubles_round_once)
{
    static const struct {
        double value, f16, bf16;
    } rows[] = {
        {1 + 0x1p-11, 1, 1},
        {1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-10, 1},
        {1 + 3 * 0x1p-11 - 0x1p-45, 1 + 0x1p-10, 1},
        {1 + 0x1p-8 + 0x1p-50, 1 + 0x1p-8, 1 + 0x1p-7},
        {0x1p-25, 0, 0x1p-25},
        {0x1p-25 * (1 + 0x1p-40), 0x1p-24, 0x1p-25},
        {-0x1p-25 * (1 + 0x1p-52), -0x1p-24, -0x1p-25},
        {1e-300, 0, 0},
        {-1e-300, -0.0, -0.0},
        {0x1p-134, 0, 0},
        {0x1p-134 * (1 + 0x1p-40), 0, 0x1p-133},
        {65519.999999999, 65504, 65536},
        {65520, INFINITY, 65536},
        {1e300, INFINITY, INFINITY},
        {-1e300, -INFINITY, -INFINITY},
        {NAN, NAN, NAN},
    };
    enum { COUNT = sizeof rows / sizeof *rows };
    s24_mat src = new_mat(1, COUNT, S24_F64, 0), f16 = new_mat(1, COUNT, S24_F16, 0);
    s24_mat bf16 = new_mat(1, COUNT, S24_BF16, 3);
    for (int k = 0; k < COUNT; k++)
        ((double *)src.data)[k] = rows[k].value;
    ck_assert_int_eq(s24i_mat_copy(&device, &src, &f16), S24_OK);
    ck_assert_int_eq(s24i_mat_copy(&device, &src, &bf16), S24_OK);
    for (int k = 0; k < COUNT; k++) {
        ck_assert_msg(same(get(&f16, 0, k), rows[k].f16), "f16 %d: %g", k, get(&f16, 0, k));
        ck_assert_msg(same(get(&bf16, 0, k), rows[k].bf16), "bf16 %d: %g", k, get(&bf16, 0, k));
    }
}
END_TEST

START_TEST(copies_other_types_exactly)
{
    static const int32_t others[] = {S24_I8,  S24_I16, S24_I32,  S24_I64,    S24_U8,
                                     S24_U16, S24_U32, S24_BOOL, S24_E4M3FN, S24_E5M2};
    for (int t = 0; t < 10; t++)
        for (int layouts = 0; layouts < LAYOUTS * LAYOUTS; layouts++) {
            size_t size = (size_t)s24i_dtype_size(others[t]);
            s24_mat src = new_mat(9, 13, others[t], layouts / LAYOUTS);
            s24_mat dst = new_mat(9, 13, others[t], layouts % LAYOUTS);
            for (int64_t k = 0; k < 9 * 13; k++)
                memset(place(&src, k / 13, k % 13), (int)(k * 7 % 251), size);
            ck_assert_int_eq(s24i_mat_copy(&device, &src, &dst), S24_OK);
            for (int64_t k = 0; k < 9 * 13; k++)
                unit_check(!memcmp(place(&src, k / 13, k % 13), place(&dst, k / 13, k % 13), size));
        }
    ck_assert_ptr_null(s24i_element_by_dtype(0x1234));
    ck_assert(s24i_is_float(S24_BF16) && s24i_is_float(S24_F64));
    ck_assert(!s24i_is_float(S24_I32) && !s24i_is_float(S24_E5M2) && !s24i_is_float(S24_BOOL));
}
END_TEST

START_TEST(reads_and_names_the_first_bad_place)
{
    for (int t = 0; t < TYPES; t++)
        for (int layout = 0; layout < LAYOUTS; layout++) {
            s24_mat mat = new_mat(200, 11, types[t], layout);
            float *out = GRAB(float, 200 * 11);
            for (int64_t k = 0; k < 200 * 11; k++)
                put(&mat, k / 11, k % 11, (double)(k % 128));
            ck_assert_int_eq(s24i_mat_read(&plainly, &mat, "w", out), S24_OK);
            for (int64_t k = 0; k < 200 * 11; k++)
                unit_check(out[k] == (float)(k % 128));
            put(&mat, 199, 0, -INFINITY);
            put(&mat, 131, 7, INFINITY);
            put(&mat, 131, 9, INFINITY);
            ck_assert_int_eq(s24i_mat_read(&plainly, &mat, "w", out), S24_E_NONFINITE);
            ck_assert_str_eq(s24i_error_text(), "w: row 131, column 7 is inf");
        }
}
END_TEST

static void check_product(int64_t tokens, int64_t outs, int64_t k, int x_kind, int w_kind,
                          int y_kind)
{
    uint64_t seed = (uint64_t)(tokens * 7 + outs);
    s24_mat x = new_mat(tokens, k, types[x_kind % TYPES], x_kind / TYPES);
    s24_mat w = new_mat(outs, k, types[w_kind % TYPES], w_kind / TYPES);
    s24_mat y = new_mat(tokens, outs, types[y_kind % TYPES], y_kind / TYPES);
    for (int64_t i = 0; i < tokens * k; i++)
        put(&x, i / k, i % k, in_type(normal(&seed), x.dtype));
    for (int64_t i = 0; i < outs * k; i++)
        put(&w, i / k, i % k, in_type(normal(&seed), w.dtype));
    ck_assert_int_eq(s24i_mat_multiply(&device, &x, &w, &y), S24_OK);
    double rounding = y.dtype == S24_F16 ? 0x1p-10 : y.dtype == S24_BF16 ? 0x1p-7 : 0;
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t o = 0; o < outs; o++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++)
                sum += get(&x, i, j) * get(&w, o, j);
            unit_check(fabs(get(&y, i, o) - sum) <=
                       rounding * fabs(sum) + 2e-6 * sqrt((double)k + 1));
        }
}

START_TEST(multiplies)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},   {130, 259, 33},
                                       {257, 2, 64}, {5, 300, 1}, {2, 3, 0}};
    for (int s = 0; s < 6; s++)
        for (int kind = 0; kind < TYPES * LAYOUTS; kind++) {
            int mark = naive_count;
            check_product(sizes[s][0], sizes[s][1], sizes[s][2], kind, (kind * 5 + 3) % 16,
                          (kind * 7 + 6) % 16);
            drop_to(mark);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mat");
    TCase *views = new_case(suite, "views");
    tcase_add_loop_test(views, loads_every_type_and_layout, 0, TYPES * LAYOUTS);
    tcase_add_loop_test(views, stores_every_type_and_layout, 0, TYPES * LAYOUTS);
    tcase_add_loop_test(views, copies_between_floats, 0, TYPES * TYPES);
    tcase_add_test(views, doubles_round_once);
    tcase_add_test(views, copies_other_types_exactly);
    tcase_add_test(views, reads_and_names_the_first_bad_place);
    tcase_add_test(views, multiplies);
    return unit_run(suite);
}
