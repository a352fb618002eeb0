/* What the tests of the public functions share: contexts, matrices of every type and layout with
 * their values, calls that must fail. */
#ifndef S24_TESTS_API_H
#define S24_TESTS_API_H
#include "../unit.h"
#include "base/half.h"
#include <math.h>
#include <sparse24/sparse24.h>

#define ok(call)                                                                \
    do {                                                                        \
        s24_status status_ = (call);                                            \
        if (status_ != S24_OK)                                                  \
            ck_abort_msg("%s: %s", s24_status_name(status_), s24_last_error()); \
    } while (0)

/* The status, and a text that holds `part`. */
#define fails(call, status, part)                                                              \
    do {                                                                                       \
        s24_status status_ = (call);                                                           \
        if (status_ != (status) || !strstr(s24_last_error(), part))                            \
            ck_abort_msg("%s gave %s, '%s'; wanted %s, '%s'", #call, s24_status_name(status_), \
                         s24_last_error(), s24_status_name(status), part);                     \
    } while (0)

static inline s24_ctx *api_ctx(unit_heap *heap, int64_t threads)
{
    s24_ctx *ctx;

    memset(heap, 0, sizeof *heap);
    ok(s24_ctx_create_with(unit_alloc, unit_free, heap, &ctx));
    ok(s24_ctx_set_int(ctx, "threads", threads));
    return ctx;
}

static inline void api_done(s24_ctx *ctx, const unit_heap *heap)
{
    s24_ctx_destroy(ctx);
    ck_assert_int_eq(heap->blocks, 0);
    ck_assert(!heap->wrong_size && !heap->wrong_align);
}

/* Uniform in [-1, 1), the same in every run. */
static inline double api_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) / 4503599627370496.0 - 1;
}

enum { ROW_MAJOR, COL_MAJOR, PADDED, LAYOUTS };

/* A matrix in some type and layout, and the values that it holds. */
typedef struct api_mat {
    s24_mat mat;
    double *value; /* rows x cols */
} api_mat;

static inline int api_size(int32_t dtype)
{
    return dtype == S24_F64 ? 8 : dtype == S24_F32 ? 4 : 2;
}

static inline void *api_place(const s24_mat *m, int64_t i, int64_t j)
{
    return (char *)m->data + (i * m->row_stride + j * m->col_stride) * api_size(m->dtype);
}

static inline double api_get(const s24_mat *m, int64_t i, int64_t j)
{
    const void *p = api_place(m, i, j);

    return m->dtype == S24_F64   ? *(const double *)p
           : m->dtype == S24_F32 ? *(const float *)p
           : m->dtype == S24_F16 ? s24i_f16_to_f32(*(const uint16_t *)p)
                                 : s24i_bf16_to_f32(*(const uint16_t *)p);
}

static inline void api_set(const s24_mat *m, int64_t i, int64_t j, double value)
{
    void *p = api_place(m, i, j);

    if (m->dtype == S24_F64)
        *(double *)p = value;
    else if (m->dtype == S24_F32)
        *(float *)p = (float)value;
    else
        *(uint16_t *)p =
            m->dtype == S24_F16 ? s24i_f32_to_f16((float)value) : s24i_f32_to_bf16((float)value);
}

static inline s24_mat api_view(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat;

    ok(s24_mat_rowmajor(&mat, data, rows, cols, dtype));
    return mat;
}

static inline s24_mat api_empty(int64_t rows, int64_t cols, int32_t dtype, int layout)
{
    s24_mat m = api_view(calloc((size_t)(rows * (2 * cols + 3) + 1), 8), rows, cols, dtype);

    if (layout == COL_MAJOR) {
        m.row_stride = 1;
        m.col_stride = rows;
    } else if (layout == PADDED) {
        m.row_stride = 2 * cols + 3;
        m.col_stride = 2;
    }
    return m;
}

static inline api_mat api_filled(int64_t rows, int64_t cols, int32_t dtype, int layout,
                                 uint64_t seed)
{
    api_mat made = {api_empty(rows, cols, dtype, layout),
                    malloc((size_t)(rows * cols + 1) * sizeof(double))};

    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            api_set(&made.mat, i, j, api_random(&seed));
            made.value[i * cols + j] = api_get(&made.mat, i, j);
        }
    return made;
}

static inline void api_free(api_mat *m)
{
    free(m->mat.data);
    free(m->value);
}

/* Rows [row, row + count). */
static inline s24_mat api_rows(const s24_mat *m, int64_t row, int64_t count)
{
    s24_mat part = *m;

    part.data = api_place(m, row, 0);
    part.rows = count;
    return part;
}

/* |a - b| / |b| in Frobenius norm. */
static inline double api_distance(const double *a, const double *b, int64_t n)
{
    double difference = 0, norm = 0;

    for (int64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(norm > 0 ? difference / norm : difference);
}

void api_context_tests(Suite *suite);
void api_sums_tests(Suite *suite);
void api_derive_tests(Suite *suite);
void api_problem_tests(Suite *suite);
void api_meant_tests(Suite *suite);
void api_solve_tests(Suite *suite);
void api_run_tests(Suite *suite);
void api_handles_tests(Suite *suite);
void api_files_tests(Suite *suite);
void api_operators_tests(Suite *suite);
void api_training_tests(Suite *suite);
void api_record_tests(Suite *suite);

#endif
