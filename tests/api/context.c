/* lib/api/context.c and log.c: options, threads, memory, runners, log. */
#include "api_test.h"

#ifndef S24_PACKAGE_VERSION
#define S24_PACKAGE_VERSION "0.1.0"
#endif

int openblas_get_num_threads(void);
void openblas_set_num_threads(int count);

START_TEST(build)
{
    static const char *const keys[] = {"blas", "compiler", "kernels", "solvers"};

    ck_assert_uint_eq(s24_api_version(), S24_API_VERSION);
    ck_assert_str_eq(s24_version(), S24_PACKAGE_VERSION);
    for (int i = 0; i < 4; i++)
        ck_assert_int_gt(strlen(s24_build_info(keys[i])), 2);
    ck_assert_ptr_nonnull(strstr(s24_build_info("kernels"), "ref"));
    for (int i = 0; i < s24_solver_count(); i++)
        ck_assert_ptr_nonnull(strstr(s24_build_info("solvers"), s24_solver_name(i)));
    ck_assert_ptr_null(s24_build_info("colour"));
    ck_assert_ptr_null(s24_build_info(NULL));
    ck_assert_str_eq(s24_status_name(S24_OK), "S24_OK");
    ck_assert_str_eq(s24_status_name(S24_E_NUMERIC), "S24_E_NUMERIC");
    ck_assert_str_eq(s24_status_name(S24_E_INTERNAL), "S24_E_INTERNAL");
    ck_assert_str_eq(s24_status_name(-107), "S24_E_USER");
    ck_assert_str_eq(s24_status_name(5), "S24_E_?");
    ck_assert_ptr_nonnull(s24_last_error());
}
END_TEST

START_TEST(options)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 0);
    const char *text = NULL;
    int64_t value = -1;

    ok(s24_ctx_get_int(ctx, "threads", &value));
    ck_assert_int_eq(value, 0);
    ok(s24_ctx_set_int(ctx, "threads", 1024));
    fails(s24_ctx_set_int(ctx, "threads", 1025), S24_E_OPTION, "1025 is not in 0 .. 1024");
    fails(s24_ctx_set_int(ctx, "threads", -1), S24_E_OPTION, "threads");
    ok(s24_ctx_get_int(ctx, "threads", &value));
    ck_assert_int_eq(value, 1024);
    fails(s24_ctx_set_int(ctx, "thread", 1), S24_E_OPTION,
          "s24_ctx_set_int: context: unknown option 'thread'; nearest: threads");
    fails(s24_ctx_set_str(ctx, "threads", "4"), S24_E_OPTION, "threads is an integer");
    fails(s24_ctx_get_str(ctx, "log_level", &text), S24_E_OPTION, "log_level is an integer");
    ck_assert_ptr_null(text);
    ok(s24_ctx_set_str(ctx, "isa", "ref"));
    ok(s24_ctx_get_str(ctx, "isa", &text));
    ck_assert_str_eq(text, "ref");
    fails(s24_ctx_set_str(ctx, "isa", "neon"), S24_E_OPTION,
          "neon is not in auto|ref|avx2|avxvnni|avx512|avx512vnni|avx512bf16");
    ok(s24_ctx_get_str(ctx, "isa", &text));
    ck_assert_str_eq(text, "ref");
    ok(s24_ctx_set_str(ctx, "isa", "auto"));
    for (int i = 0; i < 2; i++) {
        s24_status status = s24_ctx_set_str(ctx, "isa", i ? "avx512" : "avx2");
        ck_assert(status == S24_OK || status == S24_E_UNSUPPORTED);
        if (status)
            ck_assert_ptr_nonnull(strstr(s24_last_error(), "which have: auto, ref"));
    }
    ok(s24_ctx_get_int(ctx, "hold_blas", &value));
    ck_assert_int_eq(value, 1);
    ok(s24_ctx_get_int(ctx, "memory_limit", &value));
    ck_assert_int_eq(value, 0);
    api_done(ctx, &heap);
}
END_TEST

/* What cannot be had leaves the context on the CPU. A device that works: tests/gpu. */
START_TEST(devices)
{
    static const struct {
        const char *text;
        s24_status status;
        const char *says;
    } bad[] = {{"", S24_E_OPTION, "PATH:INDEX"},
               {"gpu", S24_E_OPTION, "PATH:INDEX"},
               {":0", S24_E_OPTION, "PATH:INDEX"},
               {"libm.so.6:", S24_E_OPTION, "PATH:INDEX"},
               {"libm.so.6:x", S24_E_OPTION, "PATH:INDEX"},
               {"libm.so.6:1x", S24_E_OPTION, "no index"},
               {"libm.so.6:99999", S24_E_OPTION, "no index"},
               {"/nowhere/libsparse24-cuda.so:0", S24_E_BACKEND, "/nowhere/libsparse24-cuda.so"},
               {"libm.so.6:0", S24_E_BACKEND, "has no symbol s24_backend"}};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 0);
    char longest[2000];
    const char *text = NULL;
    s24_gram *gram;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(s24_ctx_set_str(ctx, "device", bad[i].text), bad[i].status);
        ck_assert_msg(strstr(s24_last_error(), bad[i].says) != NULL, "%s", s24_last_error());
        ok(s24_ctx_get_str(ctx, "device", &text));
        ck_assert_str_eq(text, "cpu");
    }
    memset(longest, 'x', sizeof longest);
    memcpy(longest + sizeof longest - 3, ":0", 3);
    ck_assert_int_eq(s24_ctx_set_str(ctx, "device", longest), S24_E_OPTION);
    ok(s24_ctx_set_str(ctx, "device", "cpu"));
    ok(s24_gram_create(ctx, 4, S24_F32, &gram));
    ck_assert_int_eq(s24_ctx_set_str(ctx, "device", "cpu"), S24_E_STATE);
    s24_gram_destroy(gram);
    ok(s24_ctx_set_str(ctx, "device", "cpu"));
    api_done(ctx, &heap);
}
END_TEST

START_TEST(environment)
{
    s24_ctx *ctx = NULL;
    const char *text;

    setenv("SPARSE24_ISA", "ref", 1);
    ok(s24_ctx_create(&ctx));
    setenv("SPARSE24_ISA", "auto", 1);
    ok(s24_ctx_get_str(ctx, "isa", &text));
    ck_assert_str_eq(text, "ref");
    s24_ctx_destroy(ctx);
    ctx = NULL;
    setenv("SPARSE24_ISA", "sse9", 1);
    fails(s24_ctx_create(&ctx), S24_E_OPTION, "s24_ctx_create: environment variable SPARSE24_ISA");
    ck_assert_ptr_null(ctx);
    unsetenv("SPARSE24_ISA");
}
END_TEST

START_TEST(memory)
{
    unit_heap heap = {0};
    s24_ctx *ctx = NULL;
    s24_gram *gram = NULL;
    uint64_t before, current, peak;

    fails(s24_ctx_create_with(unit_alloc, NULL, &heap, &ctx), S24_E_ARG, "free_fn is NULL");
    fails(s24_ctx_create_with(NULL, unit_free, &heap, &ctx), S24_E_ARG, "alloc_fn is NULL");
    fails(s24_ctx_create(NULL), S24_E_ARG, "out is NULL");
    heap.refuse = 1;
    fails(s24_ctx_create_with(unit_alloc, unit_free, &heap, &ctx), S24_E_MEMORY,
          "s24_ctx_create_with: memory");
    ck_assert_ptr_null(ctx);
    ctx = api_ctx(&heap, 2);
    ok(s24_ctx_memory(ctx, &before, &peak));
    ck_assert_uint_gt(before, 0);
    ok(s24_ctx_set_int(ctx, "memory_limit", 100000));
    fails(s24_gram_create(ctx, 500, S24_F32, &gram), S24_E_MEMORY, "limit 100000");
    ck_assert_ptr_null(gram);
    ok(s24_ctx_set_int(ctx, "memory_limit", 0));
    ok(s24_gram_create(ctx, 500, S24_F32, &gram));
    ok(s24_ctx_memory(ctx, &current, NULL));
    ck_assert_uint_gt(current, before + 2 * 4 * 500 * 500);
    s24_gram_destroy(gram);
    ok(s24_ctx_memory(ctx, &current, NULL));
    ck_assert_uint_eq(current, before);
    api_done(ctx, &heap);
}
END_TEST

typedef struct misaligner {
    char *block;
    int freed;
} misaligner;

static void *misaligned(void *user, size_t size, size_t align)
{
    misaligner *m = user;

    m->block = aligned_alloc(align, (size / align + 2) * align);
    return m->block ? m->block + align / 2 : NULL;
}

static void free_misaligned(void *user, void *block, size_t size)
{
    misaligner *m = user;

    m->freed += (char *)block - m->block == 32;
    free(m->block);
}

START_TEST(allocator_must_align)
{
    misaligner m = {0};
    s24_ctx *ctx = NULL;

    fails(s24_ctx_create_with(misaligned, free_misaligned, &m, &ctx), S24_E_MEMORY,
          "bytes aligned to 64, but the allocator gave another address");
    ck_assert_int_eq(m.freed, 1);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* ---- Threads and BLAS ---- */

typedef struct loop {
    s24_ctx *ctx;
    s24_status from_inside, inner_loop;
    int blas_threads;
    _Atomic int64_t sum, inner;
} loop;

static void count_inner(void *arg, int64_t index, int32_t worker)
{
    ((loop *)arg)->inner += index + worker * 1000;
}

static void count_outer(void *arg, int64_t index, int32_t worker)
{
    loop *l = arg;

    l->sum += index;
    if (index == 3) {
        l->from_inside = s24_ctx_set_int(l->ctx, "threads", 1);
        l->inner_loop = s24_ctx_parallel(l->ctx, count_inner, l, 10);
        l->blas_threads = openblas_get_num_threads();
    }
}

START_TEST(parallel)
{
    unit_heap heap;
    loop l = {.ctx = api_ctx(&heap, 3)};
    const int wanted = 2;

    openblas_set_num_threads(wanted);
    int before = openblas_get_num_threads();
    ok(s24_ctx_parallel(l.ctx, count_outer, &l, 100));
    ck_assert_int_eq(l.sum, 4950);
    ck_assert_int_eq(l.inner, 45);
    ck_assert_int_eq(l.from_inside, S24_E_STATE);
    ck_assert_int_eq(l.inner_loop, S24_OK);
    ck_assert_int_eq(l.blas_threads, 1);
    ck_assert_int_eq(openblas_get_num_threads(), before);
    ok(s24_ctx_set_int(l.ctx, "hold_blas", 0));
    ok(s24_ctx_parallel(l.ctx, count_outer, &l, 5));
    ck_assert_int_eq(l.blas_threads, before);
    fails(s24_ctx_parallel(l.ctx, NULL, &l, 5), S24_E_ARG, "task is NULL");
    fails(s24_ctx_parallel(l.ctx, count_outer, &l, -5), S24_E_ARG, "count is -5");
    ok(s24_ctx_parallel(l.ctx, count_outer, &l, 0));
    api_done(l.ctx, &heap);
}
END_TEST

/* As another copy of the library does that ends its hold, or the host. */
static void set_blas_threads(void *arg, int64_t index, int32_t worker)
{
    loop *l = arg;
    static float x[256 * 256], y[256 * 256];
    s24_mat in, out;

    if (index != 0)
        return;
    openblas_set_num_threads(2);
    s24_mat_rowmajor(&in, x, 256, 256, S24_F32);
    s24_mat_rowmajor(&out, y, 256, 256, S24_F32);
    l->from_inside = s24_mat_multiply(l->ctx, &in, &in, &out);
    l->blas_threads = openblas_get_num_threads();
}

START_TEST(blas_is_taken_back)
{
    unit_heap heap;
    loop l = {.ctx = api_ctx(&heap, 1)};

    openblas_set_num_threads(1);
    ok(s24_ctx_parallel(l.ctx, set_blas_threads, &l, 2));
    ck_assert_int_eq(l.from_inside, S24_OK);
    ck_assert_int_eq(l.blas_threads, 1);
    ck_assert_int_eq(openblas_get_num_threads(), 2);
    api_done(l.ctx, &heap);
}
END_TEST

static int32_t backwards(void *user, s24_task_fn task, void *arg, int64_t count, int32_t workers)
{
    ++*(int *)user;
    for (int64_t i = count - 1; i >= 0; i--)
        task(arg, i, (int32_t)(i % workers));
    return 0;
}

START_TEST(host_runner)
{
    unit_heap heap;
    loop l = {.ctx = api_ctx(&heap, 1)};
    int calls = 0;

    fails(s24_ctx_set_parallel(l.ctx, backwards, &calls, 0), S24_E_ARG, "max_workers is 0");
    ok(s24_ctx_set_parallel(l.ctx, backwards, &calls, 7));
    ok(s24_ctx_parallel(l.ctx, count_inner, &l, 10));
    ck_assert_int_eq(calls, 1);
    ck_assert_int_ge(l.inner, 1000);
    ok(s24_ctx_set_parallel(l.ctx, NULL, NULL, 0));
    ok(s24_ctx_parallel(l.ctx, count_inner, &l, 10));
    ck_assert_int_eq(calls, 1);
    api_done(l.ctx, &heap);
}
END_TEST

typedef struct lines {
    int count[4];
    bool bad;
} lines;

static void take_line(void *user, int32_t level, const char *message)
{
    lines *l = user;

    l->count[level & 3]++;
    l->bad |= level < 0 || level > 3 || !*message || strchr(message, '\n');
}

START_TEST(logging)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    float w[16] = {1, 2, 3, 4};
    s24_mat mat = api_view(w, 2, 8, S24_F32);
    lines l = {0};

    ok(s24_ctx_set_log(ctx, take_line, &l));
    ck_assert_int_le(l.count[1], 1);
    ok(s24_ctx_set_int(ctx, "log_level", 2));
    ok(s24_compress(ctx, "magnitude", NULL, "2:4", NULL, &mat, NULL));
    ck_assert_int_eq(l.count[2], 1);
    ok(s24_ctx_set_int(ctx, "log_level", 0));
    ok(s24_compress(ctx, "magnitude", NULL, "2:4", NULL, &mat, NULL));
    ok(s24_ctx_set_log(ctx, NULL, NULL));
    ok(s24_ctx_set_int(ctx, "log_level", 3));
    ok(s24_compress(ctx, "magnitude", NULL, "2:4", NULL, &mat, NULL));
    ck_assert_int_eq(l.count[2], 1);
    ck_assert(!l.bad);
    api_done(ctx, &heap);
}
END_TEST

/* ---- Views ---- */

START_TEST(views_are_checked)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    float data[12] = {0};
    const s24_mat good = api_view(data, 3, 4, S24_F32);
    static const struct {
        s24_mat change; /* fields that are not 0 replace those of a good view; -7 stands for 0 */
        s24_status status;
        const char *text;
    } table[] = {
        {{.rows = -1}, S24_E_SHAPE, "src is -1 x 4: an extent is negative"},
        {{.row_stride = -4}, S24_E_SHAPE, "src has strides -4 and 1, but they must be positive"},
        {{.col_stride = -7}, S24_E_SHAPE, "src has strides 4 and 0"},
        {{.rows = INT64_MAX / 4}, S24_E_SHAPE, "too large for an address"},
        {{.row_stride = INT64_MAX / 4}, S24_E_SHAPE, "too large for an address"},
        {{.rows = INT64_MAX, .cols = INT64_MAX, .row_stride = 1}, S24_E_SHAPE, "too large"},
        {{.dtype = 0x1234}, S24_E_DTYPE, "src has the unknown dtype 0x1234"},
        {{.device = S24_CUDA}, S24_E_UNSUPPORTED, "src is on device 2"},
        {{.device = 99}, S24_E_ARG, "src is on device 99"},
        {{.flags = 1}, S24_E_ARG, "src has flags 1"},
        {{.reserved = 1}, S24_E_ARG, "reserved 1, but both must be 0"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        s24_mat bad = good;
        const s24_mat *c = &table[i].change;
        bad.rows = c->rows ? c->rows : bad.rows;
        bad.cols = c->cols ? c->cols : bad.cols;
        bad.row_stride = c->row_stride ? c->row_stride : bad.row_stride;
        bad.col_stride = c->col_stride == -7 ? 0 : bad.col_stride;
        bad.dtype = c->dtype ? c->dtype : bad.dtype;
        bad.device = c->device ? c->device : bad.device;
        bad.flags = c->flags;
        bad.reserved = c->reserved;
        fails(s24_mat_copy(ctx, &bad, &good), table[i].status, table[i].text);
    }
    s24_mat odd = good;
    odd.data = (char *)data + 2;
    fails(s24_mat_copy(ctx, &odd, &good), S24_E_ARG, "src is not aligned to its 4-byte elements");
    s24_mat bad = good;
    bad.data = NULL;
    fails(s24_mat_copy(ctx, &good, &bad), S24_E_ARG, "dst has no data");
    fails(s24_mat_copy(ctx, &good, NULL), S24_E_ARG, "dst is NULL");
    fails(s24_mat_rowmajor(NULL, data, 1, 1, S24_F32), S24_E_ARG, "mat is NULL");
    fails(s24_mat_rowmajor(&bad, data, -1, 1, S24_F32), S24_E_SHAPE, "s24_mat_rowmajor");
    ck_assert_int_eq(bad.rows, 3);
    ok(s24_mat_rowmajor(&bad, NULL, 0, 5, S24_F32));
    api_done(ctx, &heap);
}
END_TEST

/* _i: two types. */
START_TEST(copy_converts)
{
    static const int32_t types[] = {S24_F16, S24_BF16, S24_F32, S24_F64};
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);

    for (int layout = 0; layout < LAYOUTS; layout++) {
        api_mat src = api_filled(70, 9, types[_i / 4], layout, 20);
        s24_mat dst = api_empty(70, 9, types[_i % 4], (layout + 1) % LAYOUTS);
        s24_mat want = api_empty(1, 1, types[_i % 4], ROW_MAJOR);
        ok(s24_mat_copy(ctx, &src.mat, &dst));
        for (int64_t i = 0; i < 70 * 9; i++) {
            if (types[_i % 4] == S24_F64)
                *(double *)want.data = src.value[i];
            else
                api_set(&want, 0, 0, src.value[i]);
            unit_check(api_get(&dst, i / 9, i % 9) == api_get(&want, 0, 0));
        }
        free(want.data);
        free(dst.data);
        api_free(&src);
    }
    api_done(ctx, &heap);
}
END_TEST

START_TEST(copy_of_other_types)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    int32_t from[6] = {1, 2, 3, 4, 5, 6}, to[6] = {0};
    s24_mat src = api_view(from, 2, 3, S24_I32), dst = api_view(to, 2, 3, S24_I32);

    ok(s24_mat_copy(ctx, &src, &dst));
    ck_assert_mem_eq(from, to, sizeof to);
    dst.dtype = S24_F32;
    fails(s24_mat_copy(ctx, &src, &dst), S24_E_DTYPE, "no conversion from S24_I32 to S24_F32");
    dst = api_view(to, 3, 2, S24_I32);
    fails(s24_mat_copy(ctx, &src, &dst), S24_E_SHAPE, "dst is 3 x 2, but must be 2 x 3");
    api_done(ctx, &heap);
}
END_TEST

/* One array of 8 x 8 floats holds all of them. */
START_TEST(overlaps_are_seen)
{
    s24_ctx *ctx;
    float all[64] = {0};
    s24_mat whole, left, right, other, odd;

    ok(s24_ctx_create(&ctx));
    ok(s24_mat_rowmajor(&whole, all, 8, 8, S24_F32));
    left = right = whole;
    left.cols = right.cols = 4;
    right.data = all + 4;
    ok(s24_mat_copy(ctx, &left, &right)); /* blocks of columns have no element in common */
    ok(s24_prox24(ctx, &left, 1, &right));
    ok(s24_mat_copy(ctx, &whole, &whole));
    ok(s24_prox24(ctx, &whole, 1, &whole));
    other = left;
    other.data = all + 2;
    fails(s24_mat_copy(ctx, &left, &other), S24_E_ARG, "dst lies where src lies");
    fails(s24_prox24(ctx, &left, 1, &other), S24_E_ARG, "w lies where z lies");
    other = whole;
    other.row_stride = 1;
    other.col_stride = 8;
    fails(s24_mat_copy(ctx, &whole, &other), S24_E_ARG, "dst lies where src lies");
    other.col_stride = 1;
    fails(s24_mat_copy(ctx, &whole, &other), S24_E_ARG, "lie on each other");
    other = odd = whole;
    other.cols = odd.cols = 4;
    other.col_stride = odd.col_stride = 2;
    odd.data = all + 1;
    ok(s24_mat_copy(ctx, &other, &odd)); /* every other column */
    odd.dtype = S24_F16;
    fails(s24_mat_copy(ctx, &other, &odd), S24_E_ARG, "dst lies where src lies");
    left.rows = right.rows = 4;
    ok(s24_mat_multiply(ctx, &left, &left, &right));
    right.data = all + 1;
    fails(s24_mat_multiply(ctx, &left, &left, &right), S24_E_ARG, "y lies where x lies");
    other = left;
    other.data = all + 32;
    right.data = all + 34; /* rows 4 to 7, columns 2 to 5 */
    fails(s24_mat_multiply(ctx, &left, &other, &right), S24_E_ARG, "y lies where w lies");
    s24_ctx_destroy(ctx);
}
END_TEST

START_TEST(multiply)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 3);
    api_mat x = api_filled(150, 40, S24_BF16, COL_MAJOR, 21),
            w = api_filled(300, 40, S24_F64, PADDED, 22);
    s24_mat y = api_empty(150, 300, S24_F32, PADDED);

    ok(s24_mat_multiply(ctx, &x.mat, &w.mat, &y));
    for (int i = 0; i < 150; i++)
        for (int j = 0; j < 300; j++) {
            double sum = 0;
            for (int k = 0; k < 40; k++)
                sum += x.value[i * 40 + k] * w.value[j * 40 + k];
            unit_check(fabs(api_get(&y, i, j) - sum) < 1e-5);
        }
    fails(s24_mat_multiply(ctx, &x.mat, &w.mat, &x.mat), S24_E_SHAPE, "y is 150 x 40");
    fails(s24_mat_multiply(ctx, &x.mat, &y, &y), S24_E_SHAPE,
          "w is 150 x 300, but must be 150 x 40");
    s24_mat square = api_empty(4, 4, S24_F32, ROW_MAJOR);
    s24_mat other = api_empty(4, 4, S24_F32, ROW_MAJOR);
    fails(s24_mat_multiply(ctx, &square, &other, &other), S24_E_ARG, "y lies where w lies");
    free(other.data);
    free(square.data);
    free(y.data);
    api_free(&w);
    api_free(&x);
    api_done(ctx, &heap);
}
END_TEST

void api_context_tests(Suite *suite)
{
    TCase *all = tcase_create("context");

    tcase_add_test(all, build);
    tcase_add_test(all, options);
    tcase_add_test(all, devices);
    tcase_add_test(all, environment);
    tcase_add_test(all, memory);
    tcase_add_test(all, parallel);
    tcase_add_test(all, allocator_must_align);
    tcase_add_test(all, blas_is_taken_back);
    tcase_add_test(all, host_runner);
    tcase_add_test(all, logging);
    tcase_add_test(all, views_are_checked);
    tcase_add_loop_test(all, copy_converts, 0, 16);
    tcase_add_test(all, copy_of_other_types);
    tcase_add_test(all, overlaps_are_seen);
    tcase_add_test(all, multiply);
    suite_add_tcase(suite, all);
}
