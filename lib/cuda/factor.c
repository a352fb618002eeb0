#include "cuda.h"
#include <math.h>
#include <string.h>

/* Products, factors and their inverses. A row-major upper R is cuBLAS's lower R^T. */

#define PIVOT_FLOOR 1e-6f  /* as in ops/linear/scaled.c */
enum { MOST_DIM = 46340 }; /* cuSOLVER's older calls count elements in 32 bits */

s24_status s24c_gemm(const s24i_run *run, s24c_shape shape, float alpha, s24i_f32s a, s24i_f32s b,
                     float beta, s24i_f32s_out c)
{
    s24c_state *state = s24c_of(run);
    cublasOperation_t turn_a = a.turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t turn_b = b.turned ? CUBLAS_OP_T : CUBLAS_OP_N;

    if (shape.m == 0 || shape.n == 0)
        return S24_OK;
    return s24c_blas(state,
                     cublasSgemm(state->blas, turn_b, turn_a, (int)shape.n, (int)shape.m,
                                 (int)shape.k, &alpha, b.data, (int)b.stride, a.data, (int)a.stride,
                                 &beta, c.data, (int)c.stride),
                     "product");
}

s24_status s24c_times(const s24i_run *run, int64_t rows, int64_t n, const float *x, const float *s,
                      float *y)
{
    return s24c_gemm(run, (s24c_shape){rows, n, n}, 1, s24i_f32(x, n), s24i_f32(s, n), 0,
                     s24i_f32_out(y, n));
}

s24_status s24c_dgemm(const s24i_run *run, s24c_shape shape, double alpha, s24i_f64s a, s24i_f64s b,
                      double beta, s24i_f64s_out c)
{
    s24c_state *state = s24c_of(run);
    cublasOperation_t turn_a = a.turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t turn_b = b.turned ? CUBLAS_OP_T : CUBLAS_OP_N;

    return s24c_blas(state,
                     cublasDgemm(state->blas, turn_b, turn_a, (int)shape.n, (int)shape.m,
                                 (int)shape.k, &alpha, b.data, (int)b.stride, a.data, (int)a.stride,
                                 &beta, c.data, (int)c.stride),
                     "product in double");
}

/* ---- Cholesky ---- */

static s24_status cancelled(const s24i_run *run)
{
    return run->watch && s24i_watch_cancelled(run->watch)
               ? s24i_fail(S24_E_CANCELLED, "stopped during a factorisation")
               : S24_OK;
}

/* S reversed, S' = L L^T, and L reversed is R with S = R R^T. s holds S' already. */
s24_status s24c_cholesky(const s24i_run *run, int64_t dim, float *s, float floor, bool *positive)
{
    s24c_state *state = s24c_of(run);
    size_t mark = run->arena->used;
    int size = 0, info = 0, n = (int)dim, *told = (int *)state->numbers;
    unsigned *least = (unsigned *)(state->numbers + 1);
    struct {
        uint64_t info, least;
    } numbers;

    if (dim > MOST_DIM)
        return s24i_fail(S24_E_UNSUPPORTED, "%s: %lld inputs, %d can be factored", state->name,
                         (long long)dim, MOST_DIM);
    s24_status status = s24c_solver(
        state, cusolverDnSpotrf_bufferSize(state->solver, CUBLAS_FILL_MODE_UPPER, n, s, n, &size),
        "Cholesky");
    float *work = s24i_arena_take(run->arena, (size_t)size, sizeof(float));
    if (!status && !s24i_counting(run)) {
        run->arena->flops += (double)dim * (double)dim * (double)dim / 3;
        status = s24c_solver(
            state,
            cusolverDnSpotrf(state->solver, CUBLAS_FILL_MODE_UPPER, n, s, n, work, size, told),
            "Cholesky");
        if (!status) {
            s24c_reverse_upper(state->stream, dim, s);
            s24c_least_diagonal(state->stream, dim, s, least);
            status = s24c_launched(run, "Cholesky");
        }
        if (!status)
            status = s24c_fetch(run, state->numbers, sizeof numbers, &numbers, "Cholesky");
        if (!status) {
            float pivot;
            memcpy(&info, &numbers.info, sizeof info);
            memcpy(&pivot, &numbers.least, sizeof pivot);
            *positive = info == 0 && pivot > 0 && pivot * pivot >= floor;
            status = cancelled(run);
        }
    }
    run->arena->used = mark;
    return status;
}

static s24_status triangle(const s24i_run *run, cublasOperation_t turn, int64_t m, int64_t n,
                           const float *r, float *x)
{
    s24c_state *state = s24c_of(run);
    const float one = 1;

    return s24c_blas(state,
                     cublasStrsm(state->blas, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, turn,
                                 CUBLAS_DIAG_NON_UNIT, (int)m, (int)n, &one, r, (int)m, x, (int)m),
                     "triangular solve");
}

s24_status s24c_invert_factor(const s24i_run *run, int64_t dim, const float *r, float *u)
{
    run->arena->flops += (double)dim * (double)dim * (double)dim / 3;
    s24c_identity(s24c_stream(run), dim, u);
    s24_status status = s24c_launched(run, "inverse");
    return status ? status : triangle(run, CUBLAS_OP_N, dim, dim, r, u);
}

s24_status s24c_solve_rows(const s24i_run *run, int64_t dim, const float *r, float *x, int64_t rows)
{
    run->arena->flops += s24i_product_flops(rows, dim);
    s24_status status = triangle(run, CUBLAS_OP_T, dim, rows, r, x);
    return status ? status : triangle(run, CUBLAS_OP_N, dim, rows, r, x);
}

/* F = U^T U, U = R^-1. */
s24_status s24c_shifted_inverse(const s24i_run *run, const s24i_prepared *p, double rho, float *f)
{
    s24c_state *state = s24c_of(run);
    size_t mark = run->arena->used;
    int64_t n = p->dim;
    const float one = 1, none = 0;
    bool positive = true, counting = s24i_counting(run);
    float *u = s24i_arena_take(run->arena, s24i_mul((size_t)n, (size_t)n), sizeof(float));
    s24_status status = S24_OK;

    if (!counting) {
        s24c_reverse(state->stream, p->s, n * n, f);
        s24c_shift(state->stream, n, (float)rho, f);
    }
    status = s24c_cholesky(run, n, f, 0, &positive);
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC, "S + %g I is not positive definite", rho);
    if (!status && !counting)
        status = s24c_invert_factor(run, n, f, u);
    if (!status && !counting) {
        run->arena->flops += (double)n * (double)n * (double)n / 3;
        status = s24c_blas(state,
                           cublasSsyrk(state->blas, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, (int)n,
                                       (int)n, &one, u, (int)n, &none, f, (int)n),
                           "inverse");
        s24c_mirror_upper(state->stream, n, f);
    }
    if (!status && !counting)
        status = s24c_launched(run, "inverse");
    run->arena->used = mark;
    return status;
}

/* ---- S and R from the sums ---- */

typedef struct factoring {
    double *diagonal; /* on the device */
    double largest, mean;
} factoring;

/* What the host has to know of the diagonal. */
static s24_status look(const s24i_run *run, const s24i_gram *gram, int which, factoring *f)
{
    *f = (factoring){.diagonal = f->diagonal};
    for (int64_t j = 0; j < gram->dim; j++) {
        int64_t strip = j / S24I_STRIP, top = strip * S24I_STRIP,
                width = top + S24I_STRIP < gram->dim ? top + S24I_STRIP : gram->dim,
                at = (int64_t)S24I_STRIP * S24I_STRIP * strip * (strip + 1) / 2 +
                     (j - top) * width + j;
        double h = (which & S24I_FIRST ? gram->half[0][at] : 0) +
                   (which & S24I_SECOND ? gram->half[1][at] : 0);
        f->largest = h > f->largest ? h : f->largest;
        f->mean += h / (double)gram->dim;
    }
    (void)run;
    return S24_OK;
}

static void set_units(double root, s24i_prepared *out)
{
    out->unit = s24i_unit_for(fmax(root * out->largest, out->wanted));
    out->plain = s24i_unit_for(root) / out->unit;
}

static s24_status climb(const s24i_run *run, const s24c_mirror *sums, int which,
                        s24i_damping damping, const factoring *f, s24i_prepared *out,
                        bool *positive)
{
    cudaStream_t s = s24c_stream(run);
    int64_t n = out->dim;
    const double *first = which & S24I_FIRST ? sums->half[0] : sums->half[1];
    const double *second = which == S24I_BOTH ? sums->half[1] : NULL;

    set_units(sqrt(f->largest), out);
    s24c_scales(s, f->diagonal, f->mean, f->largest, damping.value, damping.rule,
                out->plain * out->unit, out->plain, n, out->scale, out->inverse, out->share,
                out->dead);
    s24c_fill(s, first, second, out->inverse, S24I_TINY_ENTRY, n, out->s);
    s24c_reverse(s, out->s, n * n, out->r);
    s24_status status = s24c_launched(run, "prepare");
    return status ? status : s24c_cholesky(run, n, out->r, PIVOT_FLOOR, positive);
}

s24_status s24c_op_prepare_factor(const s24i_run *run, const s24i_gram *gram, int which,
                                  s24i_damping damping, s24i_prepared *out)
{
    enum { LADDER = 6 }; /* and from no damping at all from 1e-6 on, as on the CPU */
    size_t mark = run->arena->used;
    s24c_mirror *sums = NULL;
    factoring f = {s24i_arena_take(run->arena, (size_t)out->dim, sizeof(double)), 0, 0};
    bool positive = false;
    s24_status status = S24_OK;

    if (s24i_counting(run)) {
        status = s24c_cholesky(run, out->dim, NULL, 0, NULL);
        run->arena->used = mark;
        return status;
    }
    status = s24c_gram(run, gram, &sums);
    if (!status)
        s24c_diagonal(s24c_stream(run), which & S24I_FIRST ? sums->half[0] : NULL,
                      which & S24I_SECOND ? sums->half[1] : NULL, out->dim, f.diagonal);
    if (!status)
        status = look(run, gram, which, &f);
    for (out->climbs = 0; !status && !positive && out->climbs <= LADDER; out->climbs++) {
        status = climb(run, sums, which, damping, &f, out, &positive);
        out->damp = damping.value;
        damping.value = damping.value > 0 ? damping.value * 10 : 1e-6;
    }
    out->climbs--;
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC,
                           "H is not positive definite even with damping %g of the diagonal; the "
                           "calibration rows may hold very few distinct values",
                           out->damp);
    run->arena->used = mark;
    return status;
}

s24_status s24c_op_prepare_identity(const s24i_run *run, s24i_prepared *out)
{
    cudaStream_t s = s24c_stream(run);

    set_units(1, out);
    s24c_identity(s, out->dim, out->s);
    s24c_identity(s, out->dim, out->r);
    s24c_scales(s, NULL, 0, 1, 0, S24I_DAMP_RELATIVE, out->plain * out->unit, out->plain, out->dim,
                out->scale, out->inverse, out->share, out->dead);
    out->damp = 0;
    out->climbs = 0;
    return s24c_launched(run, "prepare");
}

s24_status s24c_op_prepare_reach(const s24i_run *run, const s24i_matrix *matrix, const float *w,
                                 s24i_prepared *out)
{
    s24c_state *state = s24c_of(run);
    float largest;

    if (s24i_counting(run))
        return S24_OK;
    s24c_largest(state->stream, w, matrix->rows * matrix->cols, (unsigned *)state->numbers);
    s24_status status = s24c_launched(run, "prepare");
    if (!status)
        status = s24c_fetch(run, state->numbers, sizeof largest, &largest, "prepare");
    if (status)
        return status;
    out->largest = largest;
    for (int64_t i = 0; matrix->cross && matrix->blend > 0 && i < matrix->rows; i++)
        out->wanted =
            fmax(out->wanted, sqrt(matrix->cross->norm2[0][i] + matrix->cross->norm2[1][i]));
    return S24_OK;
}

s24_status s24c_op_prepare_aim(const s24i_run *run, const s24i_matrix *matrix, int which,
                               const s24i_prepared *p, float *w, const int64_t *row_of,
                               int64_t rows)
{
    cudaStream_t s = s24c_stream(run);
    size_t mark = run->arena->used;
    int64_t n = p->dim;
    s24c_mirror *cross = NULL;
    float *step = NULL;
    bool target = matrix->cross && matrix->blend > 0;
    s24_status status = S24_OK;

    if (target)
        step = s24i_arena_take(run->arena, (size_t)(rows * n), sizeof(float));
    run->arena->used = mark;
    if (s24i_counting(run))
        return S24_OK;
    s24c_scale(s, p->scale, p->dead, S24I_TINY_WEIGHT, rows, n, w);
    if (!target)
        return s24c_launched(run, "aim");
    run->arena->flops += s24i_product_flops(rows, n);
    status = s24c_cross(run, matrix->cross, matrix->gram->changes, &cross);
    if (!status)
        status = s24c_times(run, rows, n, w, p->s, step);
    if (!status) {
        s24c_aim(s, which & S24I_FIRST ? cross->half[0] : NULL,
                 which & S24I_SECOND ? cross->half[1] : NULL, row_of, p->inverse, p->share, p->unit,
                 w, rows, n, step);
        status = s24c_solve_rows(run, n, p->r, step, rows);
    }
    s24c_add_step(s, step, (float)matrix->blend, rows * n, w);
    return status ? status : s24c_launched(run, "aim");
}

/* ---- orders ---- */

s24_status s24c_op_variances(const s24i_run *run, const s24i_prepared *p, float *variance)
{
    size_t mark = run->arena->used, n = (size_t)p->dim;
    float *u = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    s24_status status = S24_OK;

    if (!s24i_counting(run)) {
        status = s24c_invert_factor(run, p->dim, p->r, u);
        s24c_column_variances(s24c_stream(run), p->dim, u, variance);
        if (!status)
            status = s24c_launched(run, "variances");
    }
    run->arena->used = mark;
    return status;
}

s24_status s24c_op_reorder(const s24i_run *run, const s24i_prepared *p, const int64_t *order,
                           s24i_prepared *out)
{
    cudaStream_t s = s24c_stream(run);
    size_t n = (size_t)p->dim, mark;
    bool positive = true;

    *out = (s24i_prepared){.dim = p->dim, .heldout = NAN};
    out->unit = p->unit;
    out->plain = p->plain;
    out->scale = s24i_arena_take(run->arena, n, sizeof(double));
    out->r = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    mark = run->arena->used;
    float *turned = s24i_arena_take(run->arena, s24i_mul(n, n), sizeof(float));
    if (!s24i_counting(run)) {
        s24c_reorder(s, p->s, p->scale, order, p->dim, turned, out->scale);
        s24c_reverse(s, turned, p->dim * p->dim, out->r);
    }
    s24_status status = s24c_cholesky(run, p->dim, out->r, PIVOT_FLOOR / 16, &positive);
    run->arena->used = mark;
    if (!status && !positive)
        status = s24i_fail(S24_E_NUMERIC, "H has no factor with its inputs in another order: use "
                                          "more damping");
    return status;
}
