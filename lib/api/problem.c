#include "api.h"
#include <string.h>

static s24_status check_weights(const s24_ctx *ctx, const s24_mat *w)
{
    s24_status status = s24i_check_mat(w, "w", S24I_FLOATS_OF(ctx));

    if (!status && (w->rows < 1 || w->cols < 1 || w->rows > S24I_MAX_DIM || w->cols > S24I_MAX_DIM))
        status = s24i_fail(S24_E_SHAPE, "w is %lld x %lld, but both must be in 1 .. %d",
                           (long long)w->rows, (long long)w->cols, S24I_MAX_DIM);
    return status;
}

static s24_status create(s24_ctx *ctx, const s24_mat *w, s24_problem **out)
{
    s24_status status = check_weights(ctx, w);

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (status)
        return status;
    s24_problem *problem = s24i_alloc_zero(&ctx->memory, sizeof *problem);
    if (!problem)
        return S24_E_MEMORY;
    s24i_object_init(&problem->object, S24I_PROBLEM, ctx);
    s24i_lock_init(&problem->lock);
    problem->w = *w;
    *out = problem;
    return S24_OK;
}

s24_status s24_problem_create(s24_ctx *ctx, const s24_mat *w, s24_problem **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : create(ctx, w, out));
}

static void drop_gram(s24_problem *problem)
{
    if (problem->gram)
        s24i_gram_release(problem->gram);
    problem->gram = NULL;
    problem->norm.valid = false;
}

static void drop_cross(s24_problem *problem)
{
    if (problem->cross)
        s24i_cross_release(problem->cross);
    problem->cross = NULL;
}

void s24i_problem_release(s24_problem *problem)
{
    s24_ctx *ctx = problem->object.ctx;

    if (!s24i_object_drop(&problem->object))
        return;
    drop_cross(problem);
    drop_gram(problem);
    s24i_lock_fini(&problem->lock);
    s24i_free(&ctx->memory, problem, sizeof *problem);
    s24i_ctx_release(ctx);
}

void s24_problem_destroy(s24_problem *problem)
{
    if (!s24i_is(problem, S24I_PROBLEM))
        return;
    problem->object.handle.magic = S24I_DEAD;
    s24i_problem_release(problem);
}

static s24_status check_idle(const s24_problem *problem)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    if (!status && atomic_load(&problem->solves))
        status = s24i_fail(S24_E_STATE, "a solve is running on this problem: change it afterwards");
    return status;
}

/* ---- What to aim at ---- */

static s24_status set_gram(s24_problem *problem, s24_gram *gram)
{
    if (gram && gram->sums.dim != problem->w.cols)
        return s24i_fail(S24_E_SHAPE, "gram has dim %lld and w %lld columns: they must be equal",
                         (long long)gram->sums.dim, (long long)problem->w.cols);
    if (gram)
        s24i_object_retain(&gram->object);
    drop_gram(problem);
    problem->gram = gram;
    return S24_OK;
}

s24_status s24_problem_set_gram(s24_problem *problem, s24_gram *gram)
{
    s24_status status = check_idle(problem);

    if (!status && gram)
        status = s24i_check_handle(gram, S24I_GRAM, "gram");
    return s24i_done(__func__, status ? status : set_gram(problem, gram));
}

static s24_status set_target(s24_problem *problem, s24_cross *cross, double blend)
{
    const s24_mat *w = &problem->w;

    if (cross && (cross->sums.out != w->rows || cross->sums.in != w->cols))
        return s24i_fail(S24_E_SHAPE, "cross is %lld x %lld and w %lld x %lld: they must be equal",
                         (long long)cross->sums.out, (long long)cross->sums.in, (long long)w->rows,
                         (long long)w->cols);
    if (cross && !(blend >= 0 && blend <= 1))
        return s24i_fail(S24_E_ARG, "blend is %g, but must be in 0 .. 1", blend);
    if (cross)
        s24i_object_retain(&cross->object);
    drop_cross(problem);
    problem->cross = cross;
    problem->blend = blend;
    return S24_OK;
}

s24_status s24_problem_set_target(s24_problem *problem, s24_cross *cross, double blend)
{
    s24_status status = check_idle(problem);

    if (!status && cross)
        status = s24i_check_handle(cross, S24I_CROSS, "cross");
    return s24i_done(__func__, status ? status : set_target(problem, cross, blend));
}

/* ---- Constraints ---- */

s24_status s24_problem_set_pattern(s24_problem *problem, int32_t n, int32_t m)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = s24i_check_constraints(n, m, problem->w.cols);
    if (status)
        return s24i_done(__func__, status);
    problem->constraints.n = n;
    problem->constraints.m = m;
    problem->constraints.both = false;
    problem->constraints.dense = 0;
    problem->constraints.blocks = 0;
    return S24_OK;
}

static s24_status read_scope(const char *scope, int32_t *out)
{
    s24_status status = s24i_check_pointer(scope, "scope");

    if (status)
        return status;
    if (strcmp(scope, "layer") && strcmp(scope, "row"))
        return s24i_fail(S24_E_ARG, "scope is \"%.32s\", but must be \"layer\" or \"row\"", scope);
    *out = *scope == 'r' ? S24I_SCOPE_ROW : S24I_SCOPE_LAYER;
    return S24_OK;
}

s24_status s24_problem_set_sparsity(s24_problem *problem, double sparsity, const char *scope)
{
    int32_t code = S24I_SCOPE_NONE;
    s24_status status = check_idle(problem);

    if (!status)
        status = s24i_check_sparsity(sparsity);
    if (!status)
        status = read_scope(scope, &code);
    if (status)
        return s24i_done(__func__, status);
    problem->constraints.sparsity = sparsity;
    problem->constraints.scope = code;
    return S24_OK;
}

s24_status s24_problem_set_grid(s24_problem *problem, int32_t bits, int64_t group,
                                const char *scheme)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = s24i_check_grid(bits, group);
    if (!status)
        status = s24i_check_pointer(scheme, "scheme");
    if (!status && s24i_grid_scheme(scheme) < 0)
        status = s24i_fail(
            S24_E_ARG, "scheme is \"%.32s\", but must be \"asym\", \"sym\" or \"real\"", scheme);
    if (status)
        return s24i_done(__func__, status);
    problem->constraints.grid = (s24i_grid_form){bits, s24i_grid_scheme(scheme), group};
    return S24_OK;
}

s24_status s24_problem_set_rank(s24_problem *problem, int64_t rank)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = s24i_check_rank(rank);
    if (status)
        return s24i_done(__func__, status);
    problem->constraints.rank = rank;
    return S24_OK;
}

/* Keep a view that the caller lends; NULL forgets it. */
static s24_status borrow(const s24_problem *problem, const s24_mat *given, const char *what,
                         int32_t accept, s24_mat *kept)
{
    s24_status status = S24_OK;

    if (!given) {
        kept->data = NULL;
        return S24_OK;
    }
    status = s24i_check_mat(given, what, accept);
    if (!status)
        status = s24i_check_shape(given, what, problem->w.rows, problem->w.cols);
    if (!status)
        *kept = *given;
    return status;
}

s24_status s24_problem_set_importance(s24_problem *problem, const s24_mat *importance)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = borrow(problem, importance, "importance", S24I_FLOAT_TYPE, &problem->importance);
    return s24i_done(__func__, status);
}

static s24_status set_previous(s24_problem *problem, const s24_mat *w, const double *scores,
                               const double *norms)
{
    s24_status status = s24i_check_mat(w, "w", S24I_FLOAT_TYPE);

    if (!status && (w->cols < 1 || w->cols > S24I_MAX_DIM))
        status = s24i_fail(S24_E_SHAPE, "w has %lld columns, but must have 1 .. %d",
                           (long long)w->cols, S24I_MAX_DIM);
    if (!status)
        status = s24i_check_shape(w, "w", problem->w.cols, w->cols);
    if (!status)
        problem->previous = (s24i_previous){*w, scores, norms};
    return status;
}

s24_status s24_problem_set_previous(s24_problem *problem, const s24_mat *w, const double *scores,
                                    const double *norms)
{
    s24_status status = check_idle(problem);

    if (!status && !w)
        problem->previous = (s24i_previous){.scores = NULL};
    else if (!status)
        status = set_previous(problem, w, scores, norms);
    return s24i_done(__func__, status);
}

s24_status s24_problem_set_mask(s24_problem *problem, const s24_mat *mask)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = borrow(problem, mask, "mask", S24I_MASK_TYPE, &problem->mask);
    return s24i_done(__func__, status);
}

s24_status s24_problem_parse(s24_problem *problem, const char *constraints)
{
    s24_status status = check_idle(problem);

    if (!status)
        status = s24i_constraints_parse(constraints, problem->w.rows, problem->w.cols,
                                        &problem->constraints);
    if (!status)
        problem->mask.data = NULL;
    return s24i_done(__func__, status);
}

const char *s24_problem_constraints(const s24_problem *problem)
{
    s24_problem *own = (s24_problem *)problem;
    char text[S24I_CONSTRAINTS_TEXT];

    if (s24i_check_handle(problem, S24I_PROBLEM, "problem"))
        return s24i_done(__func__, S24_E_ARG), NULL;
    s24i_constraints_text(&problem->constraints, problem->mask.data != NULL, text);
    s24i_lock_take(&own->lock);
    if (strcmp(own->text, text)) /* else someone may be reading it */
        memcpy(own->text, text, sizeof text);
    s24i_lock_drop(&own->lock);
    return own->text;
}

const char *s24_problem_solver(const s24_problem *problem)
{
    if (s24i_check_handle(problem, S24I_PROBLEM, "problem"))
        return s24i_done(__func__, S24_E_ARG), NULL;
    return s24i_default_solver(
        s24i_constraints_bits(&problem->constraints, problem->mask.data != NULL));
}

s24_status s24i_problem_mask(const s24_problem *problem, s24_ctx *ctx, uint8_t *mask)
{
    int64_t rows = problem->w.rows, cols = problem->w.cols;
    s24_mat plain = s24i_mat_plain(mask, rows, cols, problem->mask.dtype);
    s24_status status = s24i_mat_copy(&ctx->cpu, &problem->mask, &plain);

    for (int64_t i = 0; i < rows * cols; i++)
        mask[i] = mask[i] != 0;
    return status;
}
