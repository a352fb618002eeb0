#include "api.h"

/* All that s24_compress() makes; NULL until made. */
typedef struct pieces {
    s24_gram *gram;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
} pieces;

static s24_status gather(s24_ctx *ctx, const s24_mat *x, pieces *p)
{
    s24_status status = s24i_check_mat(x, "x", S24I_FLOAT_TYPE);

    if (!status)
        status = s24_gram_create(ctx, x->cols, S24_F32, &p->gram);
    if (!status)
        status = s24_gram_add(p->gram, x, NULL);
    return status ? status : s24_problem_set_gram(p->problem, p->gram);
}

static s24_status store_exact(s24_ctx *ctx, const pieces *p, const s24_mat *w, double *relative)
{
    *relative = p->result->relative_loss;
    return s24i_copy_mat(ctx, &p->result->weights, w);
}

/* Round into a matrix of our own first: the loss is that of the rounded weights, against a w that
 * is still whole. */
static s24_status store_rounded(s24_ctx *ctx, const pieces *p, const s24_mat *w, double *relative)
{
    size_t size =
        s24i_mul(s24i_mul((size_t)w->rows, (size_t)w->cols), (size_t)s24i_dtype_size(w->dtype));
    s24_mat rounded = s24i_mat_plain(s24i_alloc(&ctx->memory, size), w->rows, w->cols, w->dtype);
    s24_status status = rounded.data ? S24_OK : S24_E_MEMORY;

    if (!status)
        status = s24i_copy_mat(ctx, &p->result->weights, &rounded);
    if (!status && (status = s24_problem_loss(p->problem, &rounded, NULL, relative)))
        s24i_fail_in(status, "weights rounded to the type of w");
    if (!status)
        status = s24i_copy_mat(ctx, &rounded, w);
    s24i_free(&ctx->memory, rounded.data, size);
    return status;
}

static s24_status store(s24_ctx *ctx, const pieces *p, const s24_mat *w, double *relative_loss)
{
    bool exact = w->dtype == S24_F32 || w->dtype == S24_F64;
    double relative = 0;
    s24_status status = (exact ? store_exact : store_rounded)(ctx, p, w, &relative);

    if (!status && relative_loss)
        *relative_loss = relative;
    return status;
}

static s24_status compress(s24_ctx *ctx, const char *solver, const char *options,
                           const char *constraints, const s24_mat *x, const s24_mat *w, pieces *p)
{
    s24_status status = s24_problem_create(ctx, w, &p->problem);

    if (!status)
        status = s24_problem_parse(p->problem, constraints);
    if (!status)
        status = s24_solver_create(ctx, solver, &p->solver);
    if (!status)
        status = s24_solver_parse(p->solver, options);
    if (!status && x)
        status = gather(ctx, x, p);
    return status ? status : s24_solve(p->solver, p->problem, &p->result);
}

s24_status s24_compress(s24_ctx *ctx, const char *solver, const char *options,
                        const char *constraints, const s24_mat *x, const s24_mat *w,
                        double *relative_loss)
{
    pieces p = {0};
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = compress(ctx, solver, options, constraints, x, w, &p);
    if (!status)
        status = store(ctx, &p, w, relative_loss);
    s24_result_destroy(p.result);
    s24_solver_destroy(p.solver);
    s24_problem_destroy(p.problem);
    s24_gram_destroy(p.gram);
    return s24i_done(__func__, status);
}
