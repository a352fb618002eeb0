/* lib/pack/product.c, tiles.c, ri16*.c: layouts with the row as lane and their products, on every
 * instruction set, against sums in double. */
#include "kernels/kernels.h"
#include "test_pack.h"

static s24_ctx *ctx;
static unit_heap heap;

static void set_up(void)
{
    ctx = api_ctx(&heap, 2);
}

static void tear_down(void)
{
    api_done(ctx, &heap);
}

static const struct form {
    const char *layout, *grid; /* NULL: floats */
    int32_t dtype, activations;
    int64_t x_group; /* columns to a scale of activations */
    const char *kernel;
} forms[] = {
    {"ri16x32", NULL, S24_F32, 0, 0, "sparse_f32"},
    {"ri16x32", NULL, S24_BF16, 0, 0, "sparse_bf16"},
    {"ri16x32", NULL, S24_BF16, S24_BF16, 0, "sparse_bf16_dot"},
    {"ri16x32-f16", NULL, S24_F16, S24_F32, 0, "sparse_f16"},
    {"ri16", NULL, S24_F32, 0, 0, "dense_f32"},
    {"ri16", NULL, S24_BF16, S24_F32, 0, "dense_bf16"},
    {"ri16", NULL, S24_BF16, S24_BF16, 0, "dense_bf16_dot"},
    {"ri16", NULL, S24_F16, 0, 0, "dense_f16"},
    {"ri16x32-int8", "int8 sym", S24_F32, 0, 128, "sparse_int8"},
    {"ri16x32-int8", "int8 sym g32", S24_F32, S24_I8, 32, "sparse_int8"},
    {"ri16x32-int4", "int4 sym g32", S24_F32, 0, 32, "sparse_int4"},
    {"ri16x32-int4", "int4 sym g64", S24_F32, 0, 64, "sparse_int4"},
    {"ri16x32-int4", "int4 sym g128", S24_F32, 0, 128, "sparse_int4"},
    {"ri16x32-int4-zeros", "int4 g64", S24_F32, 0, 64, "sparse_int4_zeros"},
    {"ri16x32-int4-p6", "int4 sym g128", S24_F32, 0, 128, "sparse_int4_p6"},
    {"ri16x32-int4-p6", "int4 sym g32", S24_F32, 0, 32, "sparse_int4_p6"},
    {"ri16-int8", "int8 sym", S24_F32, 0, 128, "dense_int8"},
    {"ri16-int4", "int4 sym g32", S24_F32, 0, 32, "dense_int4"},
    {"ri16-int4", "int4 sym", S24_F32, 0, 128, "dense_int4"},
    {"ri16-int4-zeros", "int4 g128", S24_F32, 0, 128, "dense_int4_zeros"},
};
enum { FORMS = sizeof forms / sizeof *forms, MOST_ROWS = 50, MOST_COLS = 300, MOST_TOKENS = 35 };

static bool is_dense(const struct form *f)
{
    return !strstr(f->layout, "x32");
}

/* ---- Matrices ---- */

/* Which of a group of 4 are kept; a group in eight keeps fewer. */
static uint32_t kept_of(const struct form *f, uint64_t *seed)
{
    static const uint8_t pairs[6] = {3, 5, 6, 9, 10, 12};
    uint32_t pair = pairs[(int)((api_random(seed) + 1) * 3)];

    if (is_dense(f))
        return 15;
    return api_random(seed) > 0.75 ? pair & (pair - 1) : pair;
}

static s24_packed *pack_floats(const struct form *f, int64_t rows, int64_t cols, uint64_t seed)
{
    s24_mat w = api_empty(rows, cols, f->dtype, PADDED);
    s24_packed *packed;

    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0, kept = 0; j < cols; j++, kept >>= 1) {
            kept = j % 4 ? kept : kept_of(f, &seed);
            api_set(&w, i, j, kept & 1 ? api_random(&seed) * 3 : 0);
        }
    ok(s24_pack(ctx, &w, NULL, f->layout, &packed));
    free(w.data);
    return packed;
}

static int64_t group_of(const struct form *f, int64_t cols)
{
    const char *g = strstr(f->grid, " g");
    int64_t group = g ? atoll(g + 2) : cols;

    return group < cols ? group : cols;
}

static s24_packed *pack_grid(const struct form *f, int64_t rows, int64_t cols, uint64_t seed)
{
    static uint8_t code[MOST_ROWS * MOST_COLS], zero[MOST_ROWS * MOST_COLS];
    static uint16_t scale[MOST_ROWS * MOST_COLS];
    int64_t group = group_of(f, cols), groups = (cols + group - 1) / group;
    int levels = strstr(f->grid, "int8") ? 256 : 16;
    s24_packed *packed;

    for (int64_t i = 0; i < rows * groups; i++) {
        zero[i] =
            strstr(f->grid, "sym") ? (uint8_t)(levels / 2) : (uint8_t)((api_random(&seed) + 1) * 8);
        scale[i] = (uint16_t)(0x2000 + (int)((api_random(&seed) + 1) * 2000));
        scale[i] |= i % 3 ? 0 : 0x8000; /* as GGUF has them */
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0, kept = 0; j < cols; j++, kept >>= 1) {
            kept = j % 4 ? kept : kept_of(f, &seed);
            code[i * cols + j] = kept & 1 ? (uint8_t)((api_random(&seed) + 1) * levels / 2)
                                          : zero[i * groups + j / group];
        }
    s24_mat codes = api_view(code, rows, cols, S24_U8);
    s24_mat scales = api_view(scale, rows, groups, S24_F16);
    s24_mat zeros = api_view(zero, rows, groups, S24_U8);
    ok(s24_pack_codes(ctx, f->grid, &codes, &scales, &zeros, f->layout, &packed));
    return packed;
}

static s24_packed *pack_form(const struct form *f, int64_t rows, int64_t cols, uint64_t seed)
{
    return (f->grid ? pack_grid : pack_floats)(f, rows, cols, seed);
}

/* ---- Products ---- */

static float dense[MOST_ROWS * MOST_COLS];

static void unpack_dense(const s24_packed *packed, int64_t rows, int64_t cols)
{
    s24_mat w = api_view(dense, rows, cols, S24_F32);

    ok(s24_unpack(packed, &w));
}

static double largest(const s24_mat *x, int64_t token, int64_t first, int64_t end)
{
    double most = 0;

    for (int64_t j = first; j < end; j++)
        most = fmax(most, fabs(api_get(x, token, j)));
    return most;
}

/* The sum in double, and what the header allows a fast product to differ from it. */
static double sum_of(const struct form *f, const float *w, const s24_mat *x, int64_t token,
                     double *allowed)
{
    double sum = 0, size = 0, steps = 0, u = 0x1p-24, m = 0;
    int64_t cols = x->cols, group = f->x_group ? f->x_group : cols;

    for (int64_t j = 0; j < cols; j++) {
        double value = api_get(x, token, j), weight = (double)w[j];
        if (j % group == 0)
            m = largest(x, token, j, j + group < cols ? j + group : cols);
        sum += weight * value;
        size += fabs(weight * value);
        steps += fabs(weight) * m;
    }
    *allowed = f->x_group                   ? steps / 253 + (double)cols * u * steps
               : f->activations == S24_BF16 ? (0x1p-8 + 2 * (double)cols * u) * size
                                            : (double)cols * u * size;
    return sum;
}

static void expect_sums(const struct form *f, const s24_mat *x, const s24_mat *y, const char *isa)
{
    for (int64_t t = 0; t < x->rows; t++)
        for (int64_t r = 0; r < y->cols; r++) {
            double allowed, sum = sum_of(f, dense + r * x->cols, x, t, &allowed);
            double stored = y->dtype == S24_BF16 ? fabs(sum) * 0x1p-8 : 0;
            if (!(fabs(api_get(y, t, r) - sum) <= allowed + stored))
                ck_abort_msg("%s %s on %s, %lld x %lld, token %lld of %lld, row %lld: %g, not %g "
                             "+- %g",
                             f->layout, f->grid ? f->grid : "", isa, (long long)y->cols,
                             (long long)x->cols, (long long)t, (long long)x->rows, (long long)r,
                             api_get(y, t, r), sum, allowed);
        }
}

static s24_product *prepare(const s24_packed *packed, const struct form *f, int64_t tokens)
{
    s24_product *product;

    ok(s24_packed_prepare(packed, S24_FAST, f->activations, tokens, NULL, &product));
    return product;
}

static const int64_t shapes[][2] = {{16, 32}, {33, 68}, {1, 4}, {50, 300}, {17, 132}};
static const int64_t tokens_of[] = {0, 1, 2, 3, 4, 7, 8, 13, 16, 17, 35};

/* All numbers of tokens, with strides and types of all kinds. */
static void try_tokens(const struct form *f, s24_product *product, int64_t rows, int64_t cols,
                       const char *isa)
{
    for (size_t i = 0; i < sizeof tokens_of / sizeof *tokens_of; i++) {
        int layout = (int)(i % LAYOUTS);
        api_mat x = api_filled(tokens_of[i], cols, i % 4 == 3 ? S24_F16 : S24_F32, layout, i + 7);
        s24_mat y =
            api_empty(tokens_of[i], rows, i % 5 == 4 ? S24_BF16 : S24_F32, (layout + 1) % 2);
        ok(s24_product_run(product, &x.mat, &y));
        expect_sums(f, &x.mat, &y, isa);
        free(y.data);
        api_free(&x);
    }
}

START_TEST(sums_are_within_the_bound)
{
    const struct form *f = &forms[_i];

    for (int isa = 0; s24i_kernels_isa(isa); isa++) {
        ok(s24_ctx_set_str(ctx, "isa", s24i_kernels_isa(isa)));
        for (int s = 0; s < 5; s++) {
            int64_t rows = shapes[s][0], cols = shapes[s][1];
            s24_packed *packed = pack_form(f, rows, cols, (uint64_t)(s + 1));
            s24_product *product = prepare(packed, f, s % 2 ? 16 : 11);
            unpack_dense(packed, rows, cols);
            s24_packed_destroy(packed); /* the product keeps it */
            try_tokens(f, product, rows, cols, s24i_kernels_isa(isa));
            s24_product_destroy(product);
        }
    }
}
END_TEST

static void run_plain(const struct form *f, const s24_packed *packed, const float *x,
                      int64_t tokens, float *y)
{
    int64_t rows, cols;
    s24_product *product = prepare(packed, f, tokens);

    ok(s24_packed_info(packed, NULL, &rows, &cols, NULL));
    s24_mat from = api_view((void *)(uintptr_t)x, tokens, cols, S24_F32);
    s24_mat to = api_view(y, tokens, rows, S24_F32);
    ok(s24_product_run(product, &from, &to));
    s24_product_destroy(product);
}

static float x_plain[MOST_TOKENS * MOST_COLS], y_plain[2][MOST_TOKENS * MOST_ROWS];

static void fill_x(uint64_t seed)
{
    for (int i = 0; i < MOST_TOKENS * MOST_COLS; i++)
        x_plain[i] = (float)api_random(&seed);
}

START_TEST(bits_are_equal_for_any_threads_and_sets)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 50, 300, 3);
    bool dots = strstr(f->kernel, "dot") != NULL;

    fill_x(5);
    for (int isa = 0; s24i_kernels_isa(isa); isa++) {
        for (int threads = 1; threads <= 5; threads += 2) {
            bool first = threads == 1 && (isa == 0 || dots);
            ok(s24_ctx_set_str(ctx, "isa", s24i_kernels_isa(isa)));
            ok(s24_ctx_set_int(ctx, "threads", threads));
            run_plain(f, packed, x_plain, MOST_TOKENS, y_plain[!first]);
            ck_assert_msg(first || !memcmp(y_plain[0], y_plain[1], MOST_TOKENS * 50 * 4),
                          "%s on %s with %d threads", f->kernel, s24i_kernels_isa(isa), threads);
        }
    }
    s24_packed_destroy(packed);
}
END_TEST

/* Blocks of 16 rows by themselves: a part of the rows in bytes that lie anywhere. */
START_TEST(rows_may_be_split_and_lie_anywhere)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 50, 300, 4), *half;
    parts p = pack_parts(packed);
    size_t block = p.size[0] / 4, size = 2 * block;
    char *room = malloc(size + 3);
    const void *data = room + 3;

    memcpy(room + 3, (const char *)p.data[0] + block, size);
    ok(s24_packed_wrap(ctx, f->layout, 32, 300, f->dtype, &data, &size, 1, &half));
    fill_x(6);
    run_plain(f, packed, x_plain, 5, y_plain[0]);
    run_plain(f, half, x_plain, 5, y_plain[1]);
    for (int t = 0; t < 5; t++)
        ck_assert_mem_eq(y_plain[0] + t * 50 + 16, y_plain[1] + t * 32, 32 * 4);
    s24_packed_destroy(half);
    s24_packed_destroy(packed);
    free(room);
}
END_TEST

/* As the dense product gives it, and the other tokens as without it. */
START_TEST(what_is_not_finite_stays_in_its_row)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 50, 300, 8);
    float exact[MOST_TOKENS * 50];
    s24_mat x = api_view(x_plain, 6, 300, S24_F32), y = api_view(exact, 6, 50, S24_F32);

    fill_x(9);
    run_plain(f, packed, x_plain, 6, y_plain[0]);
    x_plain[1 * 300 + 7] = NAN;
    x_plain[3 * 300 + 299] = INFINITY;
    x_plain[4 * 300 + 0] = -INFINITY;
    x_plain[4 * 300 + 150] = INFINITY;
    run_plain(f, packed, x_plain, 6, y_plain[1]);
    ok(s24_packed_multiply(packed, &x, &y));
    for (int i = 0; i < 6 * 50; i++) {
        float got = y_plain[1][i];
        bool broken = i / 50 == 1 || i / 50 == 3 || i / 50 == 4;
        ck_assert(broken ? got == exact[i] || (isnan(got) && isnan(exact[i]))
                         : got == y_plain[0][i]);
        ck_assert(!broken || !isfinite(got));
    }
    s24_packed_destroy(packed);
}
END_TEST

/* ---- Exact ---- */

START_TEST(exact_is_what_multiply_gives)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 33, 68, 2);
    s24_product *product;
    s24_mat out = api_empty(7, 33, S24_F16, COL_MAJOR), x = api_view(x_plain, 7, 68, S24_F32);
    s24_mat y = api_view(y_plain[0], 7, 33, S24_F32), z = api_view(y_plain[1], 7, 33, S24_F32);

    fill_x(3);
    ok(s24_packed_multiply(packed, &x, &y));
    ok(s24_packed_prepare(packed, S24_EXACT, 0, 3, NULL, &product));
    ok(s24_product_run(product, &x, &z));
    ck_assert_mem_eq(y_plain[0], y_plain[1], 7 * 33 * 4);
    ok(s24_product_run(product, &x, &out));
    for (int i = 0; i < 7 * 33; i++)
        ck_assert(api_get(&out, i / 33, i % 33) ==
                  (double)s24i_f16_to_f32(s24i_f32_to_f16(y_plain[0][i])));
    s24_product_destroy(product);
    s24_packed_destroy(packed);
    free(out.data);
}
END_TEST

/* ---- What runs ---- */

/* The strongest set up to the one asked for that has the row; nothing is guessed from flags. */
static const char *expected_set(const char *kernel, const char *isa)
{
    bool bf16 = strstr(kernel, "dot") != NULL, codes = strstr(kernel, "int") != NULL;

    if (!strcmp(isa, "avx512bf16"))
        return bf16 ? isa : codes ? "avx512vnni" : "avx512";
    if (!strcmp(isa, "avx512vnni"))
        return codes ? isa : "avx512";
    return !strcmp(isa, "avxvnni") && !codes ? "avx2" : isa;
}

START_TEST(the_kernel_is_the_one_of_the_set)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 16, 32, 1);
    s24_product *product = prepare(packed, f, 1);
    const char *kernel, *isa;
    int32_t activations;
    int64_t bytes;

    for (int i = 0; s24i_kernels_isa(i); i++) {
        const char *asked = s24i_kernels_isa(i);
        ck_assert_ptr_nonnull(strstr(s24_build_info("kernels"), asked));
        ok(s24_ctx_set_str(ctx, "isa", asked));
        ok(s24_product_info(product, &kernel, &isa, &activations, &bytes));
        ck_assert_str_eq(kernel, f->kernel);
        ck_assert_str_eq(isa, expected_set(kernel, asked));
        ck_assert_int_eq(activations, f->x_group                   ? S24_I8
                                      : f->activations == S24_BF16 ? S24_BF16
                                                                   : S24_F32);
        ck_assert_int_gt(bytes, 0);
    }
    ok(s24_product_info(product, NULL, NULL, NULL, NULL));
    s24_product_destroy(product);
    s24_packed_destroy(packed);
}
END_TEST

/* ---- Memory, threads, refusals ---- */

START_TEST(a_run_allocates_nothing)
{
    const struct form *f = &forms[_i];
    s24_packed *packed = pack_form(f, 50, 300, 1);
    s24_product *fast = prepare(packed, f, 4), *exact;
    s24_mat x = api_empty(9, 300, S24_F16, PADDED), y = api_empty(9, 50, S24_BF16, COL_MAJOR);

    ok(s24_packed_prepare(packed, S24_EXACT, S24_F32, 4, fast, &exact));
    api_set(&x, 5, 5, NAN);
    int64_t calls = heap.calls;
    ok(s24_product_run(fast, &x, &y));
    ok(s24_product_run(exact, &x, &y));
    ck_assert_int_eq(heap.calls, calls);
    s24_product_destroy(fast);
    ok(s24_product_run(exact, &x, &y)); /* the scratch was shared, not lent */
    s24_product_destroy(exact);
    s24_packed_destroy(packed);
    free(x.data);
    free(y.data);
}
END_TEST

START_TEST(scratch_is_that_of_the_largest)
{
    s24_packed *packed = pack_form(&forms[0], 50, 300, 1);
    s24_product *one = prepare(packed, &forms[0], 1), *two;
    int64_t before, after, both;

    ok(s24_product_info(one, NULL, NULL, NULL, &before));
    ok(s24_packed_prepare(packed, S24_FAST, 0, 100, one, &two));
    ok(s24_product_info(one, NULL, NULL, NULL, &after));
    ok(s24_product_info(two, NULL, NULL, NULL, &both));
    ck_assert(after > before && after == both);
    s24_product_destroy(two);
    s24_product_destroy(one);
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(memory_runs_out_while_preparing)
{
    s24_packed *packed = pack_form(&forms[0], 50, 300, 1);
    s24_status status = S24_E_MEMORY;
    s24_product *product;

    s24_product_destroy(prepare(packed, &forms[0], 4)); /* the pool is there now */
    int64_t k, blocks = heap.blocks;
    for (k = 1; status; k++) {
        product = NULL;
        heap.refuse = heap.calls + k;
        status = s24_packed_prepare(packed, S24_FAST, 0, 4, NULL, &product);
        ck_assert(status == S24_OK || (status == S24_E_MEMORY && !product));
        ck_assert(!status || heap.blocks == blocks);
    }
    ck_assert_int_ge(k, 4); /* handle, scratch and its bytes */
    heap.refuse = 0;
    s24_product_destroy(product);
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(misuse_is_refused)
{
    s24_packed *packed = pack_form(&forms[0], 16, 32, 1), *other;
    s24_product *product = prepare(packed, &forms[0], 2), *none = NULL;
    s24_mat x = api_view(x_plain, 2, 32, S24_F32), y = api_view(y_plain[0], 2, 16, S24_F32);
    s24_mat narrow = api_view(x_plain, 2, 28, S24_F32), same = api_view(x_plain, 2, 16, S24_F32);
    s24_ctx *ctx2;

    fails(s24_packed_prepare(packed, 2, 0, 1, NULL, &none), S24_E_ARG, "promise is 2");
    fails(s24_packed_prepare(packed, S24_FAST, 0, 0, NULL, &none), S24_E_SHAPE, "tokens");
    fails(s24_packed_prepare(packed, S24_FAST, S24_I8, 1, NULL, &none), S24_E_DTYPE,
          "takes activations as F32, not");
    fails(s24_packed_prepare(packed, S24_EXACT, S24_BF16, 1, NULL, &none), S24_E_DTYPE, "exact");
    fails(s24_packed_prepare(packed, S24_FAST, 0, 1, NULL, NULL), S24_E_ARG, "out is NULL");
    fails(s24_packed_prepare(NULL, S24_FAST, 0, 1, NULL, &none), S24_E_ARG, "packed is NULL");
    fails(s24_product_run(product, &narrow, &y), S24_E_SHAPE, "x");
    fails(s24_product_run(product, &x, &narrow), S24_E_SHAPE, "y");
    fails(s24_product_run(product, &x, &same), S24_E_ARG, "y");
    ok(s24_ctx_set_int(ctx, "threads", 3));
    fails(s24_product_run(product, &x, &y), S24_E_STATE, "3 threads now, but");
    ok(s24_ctx_set_int(ctx, "threads", 1));
    ok(s24_product_run(product, &x, &y));

    s24_mat dense_mat = api_view(calloc(16 * 32, 4), 16, 32, S24_F32);
    ok(s24_pack(ctx, &dense_mat, NULL, "nibble", &other));
    fails(s24_packed_prepare(other, S24_FAST, 0, 1, NULL, &none), S24_E_UNSUPPORTED,
          "nibble has no fast product");
    s24_packed_destroy(other);
    ok(s24_pack(ctx, &dense_mat, NULL, "ri16x32:f16", &other));
    fails(s24_packed_prepare(other, S24_FAST, 0, 1, NULL, &none), S24_E_UNSUPPORTED,
          "use ri16x32-f16");
    s24_packed_destroy(other);
    ok(s24_ctx_create(&ctx2));
    ok(s24_pack(ctx2, &dense_mat, NULL, "ri16", &other));
    fails(s24_packed_prepare(other, S24_FAST, 0, 1, product, &none), S24_E_ARG, "another context");
    s24_packed_destroy(other);
    s24_ctx_destroy(ctx2);
    free(dense_mat.data);
    ck_assert_ptr_null(none);
    s24_product_destroy(product);
    fails(s24_product_run(NULL, &x, &y), S24_E_ARG, "product is NULL, expected a product");
    s24_packed_destroy(packed);
}
END_TEST

void products_tests(Suite *suite)
{
    TCase *tc = tcase_create("products");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, sums_are_within_the_bound, 0, FORMS);
    tcase_add_loop_test(tc, bits_are_equal_for_any_threads_and_sets, 0, FORMS);
    tcase_add_loop_test(tc, rows_may_be_split_and_lie_anywhere, 0, FORMS);
    tcase_add_loop_test(tc, what_is_not_finite_stays_in_its_row, 0, FORMS);
    tcase_add_loop_test(tc, exact_is_what_multiply_gives, 0, FORMS);
    tcase_add_loop_test(tc, the_kernel_is_the_one_of_the_set, 0, FORMS);
    tcase_add_loop_test(tc, a_run_allocates_nothing, 0, FORMS);
    tcase_add_test(tc, scratch_is_that_of_the_largest);
    tcase_add_test(tc, memory_runs_out_while_preparing);
    tcase_add_test(tc, misuse_is_refused);
    suite_add_tcase(suite, tc);
}
