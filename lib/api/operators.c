#include "api.h"
#include "ops/sets/prox.h"
#include "ops/steps/permute.h"
#include <math.h>

/* ---- Checks ---- */

static s24_status check_groups(const s24_mat *z, const char *what, int32_t n, int32_t m)
{
    if (n < 1 || n > m || m > S24I_MAX_GROUP)
        return s24i_fail(S24_E_ARG, "n:m is %d:%d, but 1 <= n <= m <= %d", (int)n, (int)m,
                         S24I_MAX_GROUP);
    if (z->cols % m)
        return s24i_fail(S24_E_SHAPE, "%s has %lld columns, but must have a multiple of m = %d",
                         what, (long long)z->cols, (int)m);
    return S24_OK;
}

static s24_status check_single_or_double(const s24_mat *mat, const char *what)
{
    s24_status status = s24i_check_mat(mat, what, S24I_FLOAT_TYPE);

    if (!status && mat->dtype != S24_F32 && mat->dtype != S24_F64)
        status = s24i_fail(S24_E_DTYPE, "%s has dtype %s, but must be S24_F32 or S24_F64", what,
                           mat->dtype == S24_F16 ? "S24_F16" : "S24_BF16");
    return status;
}

static s24_status check_pair(const s24_mat *z, const s24_mat *w)
{
    s24_status status = check_single_or_double(z, "z");

    if (!status)
        status = check_single_or_double(w, "w");
    if (!status && w->dtype != z->dtype)
        status = s24i_fail(S24_E_DTYPE, "w has dtype %s, but must have that of z, %s",
                           w->dtype == S24_F32 ? "S24_F32" : "S24_F64",
                           z->dtype == S24_F32 ? "S24_F32" : "S24_F64");
    if (!status)
        status = s24i_check_shape(w, "w", z->rows, z->cols);
    return status ? status : s24i_check_apart(w, "w", z, "z", true);
}

static s24_status check_lambda(double lambda)
{
    if (lambda >= 0)
        return S24_OK;
    return s24i_fail(S24_E_ARG, "lambda is %g, but must be at least 0 (infinity is allowed)",
                     lambda);
}

/* ---- Public ---- */

static s24_status apply(s24_ctx *ctx, const s24i_prox *prox, const s24_mat *z, const s24_mat *w)
{
    s24i_enter(ctx);
    s24_status status = s24i_prox_apply(&ctx->cpu, prox, z, w);
    s24i_leave(ctx);
    return status;
}

static s24_status prox_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, double lambda,
                          const s24_mat *w)
{
    s24i_prox prox = {S24I_PROX_PLAIN, n, m, lambda};
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = check_pair(z, w);
    if (!status)
        status = check_groups(z, "z", n, m);
    if (!status)
        status = check_lambda(lambda);
    if (!status && n >= 3 && n < m)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "n is %d, but this operator knows n = 1, 2 and m; s24_prox_firm() takes "
                           "any n",
                           (int)n);
    if (status)
        return status;
    if (n == m) { /* nothing to shrink */
        prox.kind = S24I_PROX_FIRM;
        prox.strength = 0;
    }
    return apply(ctx, &prox, z, w);
}

s24_status s24_prox24(s24_ctx *ctx, const s24_mat *z, double lambda, const s24_mat *w)
{
    return s24i_done(__func__, prox_nm(ctx, z, 2, 4, lambda, w));
}

s24_status s24_prox_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, double lambda,
                       const s24_mat *w)
{
    return s24i_done(__func__, prox_nm(ctx, z, n, m, lambda, w));
}

static s24_status prox_firm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, double strength,
                            const s24_mat *w)
{
    s24i_prox prox = {S24I_PROX_FIRM, n, m, strength};
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = check_pair(z, w);
    if (!status)
        status = check_groups(z, "z", n, m);
    if (!status && !(strength >= 0 && strength <= 1))
        status = s24i_fail(S24_E_ARG, "strength is %g, but must be between 0 and 1", strength);
    return status ? status : apply(ctx, &prox, z, w);
}

s24_status s24_prox_firm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, double strength,
                         const s24_mat *w)
{
    return s24i_done(__func__, prox_firm(ctx, z, n, m, strength, w));
}

static s24_status project_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m,
                             const s24_mat *mask)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_mat(z, "z", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_mat(mask, "mask", S24I_MASK_TYPE);
    if (!status)
        status = s24i_check_shape(mask, "mask", z->rows, z->cols);
    if (!status)
        status = s24i_check_apart(mask, "mask", z, "z", false);
    if (!status)
        status = check_groups(z, "z", n, m);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_project_nm(&ctx->cpu, n, m, z, mask);
    s24i_leave(ctx);
    return status;
}

s24_status s24_project_nm(s24_ctx *ctx, const s24_mat *z, int32_t n, int32_t m, const s24_mat *mask)
{
    return s24i_done(__func__, project_nm(ctx, z, n, m, mask));
}

static s24_status permutation(s24_ctx *ctx, const s24_mat *score, const s24i_permuting *how,
                              int64_t *order, double *kept)
{
    double shares[2];
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_mat(score, "score", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_pointer(order, "order");
    if (!status)
        status = check_groups(score, "score", how->n, how->m);
    if (!status && (how->block < how->m || how->block % how->m || score->cols % how->block))
        status = s24i_fail(S24_E_SHAPE,
                           "block is %lld, but must be 0, or a multiple of m = %d that divides the "
                           "%lld columns of score",
                           (long long)how->block, (int)how->m, (long long)score->cols);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_permute(&ctx->cpu, how, score, order, kept ? kept : shares);
    s24i_leave(ctx);
    return status;
}

s24_status s24_permutation(s24_ctx *ctx, const s24_mat *score, int32_t n, int32_t m, int64_t block,
                           int64_t *order, double *kept)
{
    s24i_permuting how = {n, m, block || !score ? block : score->cols};

    return s24i_done(__func__, permutation(ctx, score, &how, order, kept));
}
