/* What the tests of the algebra share: one set of ops, arenas that are checked, runners that
 * permute, and reading the stored sums. */
#ifndef S24_TESTS_OPS_H
#define S24_TESTS_OPS_H
#include "../unit.h"
#include "../naive.h"
#include "ops/ops.h"

static unit_heap heap;
static s24i_memory memory;
static s24i_threads threads;
static s24i_kernels kernels;
static s24i_watch watch;
static const s24i_device device = {.name = "cpu",
                                   .memory = &memory,
                                   .threads = &threads,
                                   .kernels = &kernels,
                                   .operations = &s24i_cpu_operations,
                                   .host = true};
/* For operations that need no scratch. */
static s24i_arena no_scratch = {.base = (char *)&no_scratch};
static const s24i_run plainly = {&device, &no_scratch, &watch};

static inline void set_up(void)
{
    unit_memory(&memory, &heap);
    threads = (s24i_threads){.memory = &memory, .count = 2};
    s24i_kernels_dispatch(&kernels, "auto");
    s24i_watch_init(&watch, NULL, NULL, NULL, 0);
    s24i_blas_hold();
}

static inline void tear_down(void)
{
    s24i_blas_release();
    s24i_threads_stop(&threads);
    drop_all();
    unit_check_heap(&memory, &heap);
}

static inline void use_threads(int32_t count)
{
    s24i_threads_stop(&threads);
    threads = (s24i_threads){.memory = &memory, .count = count};
}

static inline int64_t common_divisor(int64_t a, int64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* A host's runner that takes the tasks in a scrambled order, by workers as they come. */
static inline int32_t scrambled(void *user, s24_task_fn task, void *arg, int64_t count,
                                int32_t max_workers)
{
    uint64_t *seed = user;
    int64_t stride = 1 + below(seed, count), at = below(seed, count);
    if (common_divisor(stride, count) != 1)
        stride = 1;
    for (int64_t i = 0; i < count; i++, at = (at + stride) % count)
        task(arg, at, (int32_t)below(seed, max_workers));
    return 0;
}

static inline void use_scrambled(uint64_t *seed)
{
    use_threads(1);
    threads.host = scrambled;
    threads.host_user = seed;
    threads.host_workers = 5;
}

/* Threads 1, 2, 3, 8, then the scrambling host. False when there is no such way. */
static inline bool use_way(int way, uint64_t *seed)
{
    static const int32_t counts[] = {1, 2, 3, 8};
    if (way < 4)
        use_threads(counts[way]);
    else
        use_scrambled(seed);
    return way <= 4;
}

/* |a - b| <= error, which may be 0. */
#define check_near(a, b, error)                                                                \
    do {                                                                                       \
        double near_a = (a), near_b = (b), near_error = (error);                               \
        ck_assert_msg(fabs(near_a - near_b) <= near_error, "%s is %.17g, but %s is %.17g", #a, \
                      near_a, #b, near_b);                                                     \
    } while (0)

/* ---- Arenas ---- */

typedef s24_status (*stage_fn)(void *arg, const s24i_run *run);

/* Run a stage in an arena of exactly the size that it counts, filled with NaN: it must use all of
 * it and no more, and leave `used` as the counting run did. What it keeps there lives as long as
 * the test. */
static inline s24_status in_arena(stage_fn stage, void *arg)
{
    s24i_arena counted = {0}, arena = {0};
    s24i_run counting = {&device, &counted, &watch}, run = {&device, &arena, &watch};
    ck_assert_int_eq(stage(arg, &counting), S24_OK);
    ck_assert(!counted.exceeded);
    arena.size = counted.peak;
    arena.base = grab(counted.peak + 64);
    memset(arena.base, 0xff, counted.peak + 64);
    s24_status status = stage(arg, &run);
    ck_assert(!arena.exceeded);
    ck_assert_uint_eq(arena.used, counted.used);
    if (status == S24_OK)
        ck_assert_uint_eq(arena.peak, counted.peak);
    for (int i = 0; i < 64; i++)
        unit_check((uint8_t)arena.base[counted.peak + (size_t)i] == 0xff);
    return status;
}

/* ---- Sums ---- */

static inline s24_mat plain(const void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = dtype,
                     .device = S24_CPU};
}

static inline s24_status add_rows(s24i_gram *gram, const s24_mat *x, const s24_mat *row_weight)
{
    return s24i_gram_add(&device, gram, &(s24i_addition){.x = x, .row_weight = row_weight});
}

/* A flushed gram of all rows of x; fini it. */
static inline s24i_gram gram_of(const float *x, int64_t rows, int64_t cols, int32_t type)
{
    s24i_gram gram;
    s24_mat view = s24i_view(x, rows, cols);
    ck_assert_int_eq(s24i_gram_init(&device, &gram, cols, type), S24_OK);
    ck_assert_int_eq(add_rows(&gram, &view, NULL), S24_OK);
    ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
    return gram;
}

/* The same for a cross, which hangs on no gram any more. */
static inline s24i_cross cross_of(const float *x, const float *t, int64_t rows, int64_t cols,
                                  int64_t outs, int32_t type)
{
    s24i_gram gram;
    s24i_cross cross;
    s24_mat inputs = s24i_view(x, rows, cols), wanted = s24i_view(t, rows, outs);
    s24i_addition all = {.x = &inputs, .targets = &wanted};
    ck_assert_int_eq(s24i_gram_init(&device, &gram, cols, type), S24_OK);
    ck_assert_int_eq(s24i_cross_init(&device, &cross, &gram, outs), S24_OK);
    cross.t.target = 0;
    ck_assert_int_eq(s24i_gram_add(&device, &gram, &all), S24_OK);
    ck_assert_int_eq(s24i_gram_flush(&device, &gram, S24I_BOTH), S24_OK);
    s24i_cross_detach(&cross, &gram);
    s24i_gram_fini(&device, &gram);
    return cross;
}

/* H of one half (0, 1; -1: both) as a whole symmetric matrix. */
static inline double *whole_gram(const s24i_gram *gram, int half)
{
    int64_t n = gram->dim;
    double *h = GRAB(double, n *n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            h[j * n + i] = h[i * n + j] = (half != 1 ? s24i_gram_row(gram, 0, i)[j] : 0) +
                                          (half != 0 ? s24i_gram_row(gram, 1, i)[j] : 0);
    return h;
}

/* ---- A matrix made ready ---- */

typedef struct {
    const s24i_matrix *matrix;
    s24i_damping damping;
    float *w;
    s24i_prepared prepared;
} preparation;

static inline s24_status prepare_stage(void *arg, const s24i_run *run)
{
    preparation *p = arg;
    return s24i_prepare(run, p->matrix, p->damping, p->w, &p->prepared);
}

/* w becomes the aim in unit-diagonal coordinates. */
static inline s24i_prepared prepare(const s24i_matrix *matrix, int32_t rule, double damp, float *w)
{
    preparation p = {.matrix = matrix, .damping = {rule, damp}, .w = w};
    ck_assert_int_eq(in_arena(prepare_stage, &p), S24_OK);
    return p.prepared;
}

/* Its scales as floats, which they are. */
static inline float *scales_of(const s24i_prepared *p)
{
    float *scale = GRAB(float, p->dim);
    for (int64_t j = 0; j < p->dim; j++)
        scale[j] = (float)p->scale[j];
    return scale;
}

static inline s24i_matrix matrix_of(int64_t rows, int64_t cols, const s24i_gram *gram)
{
    return (s24i_matrix){.rows = rows, .cols = cols, .gram = gram};
}

/* ---- Suites ---- */

static inline TCase *new_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    suite_add_tcase(suite, tcase);
    return tcase;
}

#endif
