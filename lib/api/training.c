#include "api.h"
#include "ops/sets/prox.h"
#include "ops/sets/training.h"
#include <math.h>
#include <string.h>

/* ---- Checks ---- */

static s24_status check_groups(s24i_nm nm, const s24_mat *w, bool rows, bool cols)
{
    if (nm.n < 1 || nm.n > nm.m || nm.m > S24I_MAX_GROUP)
        return s24i_fail(S24_E_ARG, "n:m is %d:%d, but 1 <= n <= m <= %d", (int)nm.n, (int)nm.m,
                         S24I_MAX_GROUP);
    if ((rows && w->rows % nm.m) || (cols && w->cols % nm.m))
        return s24i_fail(S24_E_SHAPE, "w has %lld %s, but must have a multiple of m = %d",
                         (long long)(cols && w->cols % nm.m ? w->cols : w->rows),
                         cols && w->cols % nm.m ? "columns" : "rows", (int)nm.m);
    return S24_OK;
}

static s24_status check_mask(const s24_mat *mask, const s24_mat *w)
{
    s24_status status = s24i_check_mat(mask, "mask", S24I_MASK_TYPE);

    if (!status)
        status = s24i_check_shape(mask, "mask", w->rows, w->cols);
    return status ? status : s24i_check_apart(mask, "mask", w, "w", false);
}

static s24_status check_weights_and_mask(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_mat(w, "w", S24I_FLOAT_TYPE);
    return status ? status : check_mask(mask, w);
}

/* `out` is of the type and shape of w, single or double. */
static s24_status check_pair(const s24_mat *w, const s24_mat *out, const char *what, bool in_place)
{
    s24_status status = S24_OK;

    if (w->dtype != S24_F32 && w->dtype != S24_F64)
        return s24i_fail(S24_E_DTYPE, "w must be S24_F32 or S24_F64");
    status = s24i_check_mat(out, what, S24I_FLOAT_TYPE);
    if (!status && out->dtype != w->dtype)
        status = s24i_fail(S24_E_DTYPE, "%s must have the type of w, %s", what,
                           w->dtype == S24_F32 ? "S24_F32" : "S24_F64");
    if (!status)
        status = s24i_check_shape(out, what, w->rows, w->cols);
    return status ? status : s24i_check_apart(out, what, w, "w", in_place);
}

/* ---- Masks ---- */

static s24_mat turned(const s24_mat *mat)
{
    s24_mat other = *mat;

    other.rows = mat->cols;
    other.cols = mat->rows;
    other.row_stride = mat->col_stride;
    other.col_stride = mat->row_stride;
    return other;
}

/* Along one side. The projection finds what is not finite itself, and calls it z. */
static s24_status select_side(s24_ctx *ctx, const s24_mat *w, s24i_nm nm, bool outputs,
                              const s24_mat *mask)
{
    s24_mat w_turned = turned(w), mask_turned = turned(mask);
    s24_status status = s24i_project_nm(&ctx->cpu, nm.n, nm.m, outputs ? &w_turned : w,
                                        outputs ? &mask_turned : mask);

    return status == S24_E_NONFINITE ? s24i_check_values(ctx, w, "w", false) : status;
}

static s24_status select_mask(s24_ctx *ctx, const s24_mat *w, s24i_nm nm, int32_t along,
                              const s24_mat *mask)
{
    if (along != S24_ALONG_BOTH)
        return select_side(ctx, w, nm, along == S24_ALONG_OUTPUTS, mask);
    s24_status status = s24i_check_values(ctx, w, "w", false);
    return status ? status : s24i_mask_both(&ctx->cpu, nm, w, mask);
}

static s24_status nm_mask(s24_ctx *ctx, const s24_mat *w, s24i_nm nm, int32_t along,
                          const s24_mat *mask)
{
    s24_status status = check_weights_and_mask(ctx, w, mask);

    if (!status && (along < S24_ALONG_INPUTS || along > S24_ALONG_BOTH))
        status = s24i_fail(
            S24_E_ARG, "along is %d, but must be 0 (inputs), 1 (outputs) or 2 (both)", (int)along);
    if (!status)
        status = check_groups(nm, w, along != S24_ALONG_INPUTS, along != S24_ALONG_OUTPUTS);
    if (status)
        return status;
    s24i_enter(ctx);
    status = select_mask(ctx, w, nm, along, mask);
    s24i_leave(ctx);
    return status;
}

s24_status s24_nm_mask(s24_ctx *ctx, const s24_mat *w, int32_t n, int32_t m, int32_t along,
                       const s24_mat *mask)
{
    return s24i_done(__func__, nm_mask(ctx, w, (s24i_nm){n, m}, along, mask));
}

static s24_status check_tsenor(double tau, int32_t rounds)
{
    if (!(tau > 0) || !isfinite(tau))
        return s24i_fail(S24_E_ARG, "tau is %g, but must be above 0 and finite", tau);
    if (rounds < 1 || rounds > 100000)
        return s24i_fail(S24_E_ARG, "rounds is %d, but must be in 1 .. 100000", (int)rounds);
    return S24_OK;
}

s24_status s24_nm_mask_tsenor(s24_ctx *ctx, const s24_mat *w, int32_t n, int32_t m, double tau,
                              int32_t rounds, const s24_mat *mask)
{
    s24i_nm nm = {n, m};
    s24_status status = check_weights_and_mask(ctx, w, mask);

    if (!status)
        status = check_groups(nm, w, true, true);
    if (!status)
        status = check_tsenor(tau, rounds);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(ctx);
    status = s24i_check_values(ctx, w, "w", false);
    if (!status)
        status = s24i_mask_tsenor(&ctx->cpu, nm, tau, rounds, w, mask);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}

/* ---- Weights and gradients ---- */

s24_status s24_mask_decay(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, double beta,
                          const s24_mat *out)
{
    s24_status status = check_weights_and_mask(ctx, w, mask);

    if (!status)
        status = check_pair(w, out, "out", true);
    if (!status)
        status = s24i_check_apart(out, "out", mask, "mask", false);
    if (!status && !(beta >= 0 && beta <= 1))
        status = s24i_fail(S24_E_ARG, "beta is %g, but must be in 0 .. 1", beta);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(ctx);
    status = s24i_check_values(ctx, w, "w", false);
    if (!status)
        status = s24i_mask_decay(&ctx->cpu, w, mask, beta, out);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}

s24_status s24_srste_add(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, double lambda,
                         const s24_mat *grad)
{
    s24_status status = check_weights_and_mask(ctx, w, mask);

    if (!status)
        status = check_pair(w, grad, "grad", false);
    if (!status)
        status = s24i_check_apart(grad, "grad", mask, "mask", false);
    if (!status && !(lambda >= 0 && lambda <= 1e30))
        status = s24i_fail(S24_E_ARG, "lambda is %g, but must be in 0 .. 1e30", lambda);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(ctx);
    status = s24i_check_values(ctx, w, "w", false);
    if (!status)
        status = s24i_check_values(ctx, grad, "grad", false);
    if (!status)
        status = s24i_srste_add(&ctx->cpu, w, mask, lambda, grad);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}

/* ---- Schedules ---- */

enum { STEP, LINEAR, EXPONENTIAL, STRUCTURE, GEOMETRY, KINDS };

static s24_status read_kind(const char *kind, int32_t *out)
{
    static const char *const names[KINDS] = {"step", "linear", "exponential", "structure",
                                             "geometry"};
    s24_status status = s24i_check_pointer(kind, "kind");

    for (*out = 0; !status && *out < KINDS; ++*out)
        if (!strcmp(kind, names[*out]))
            return S24_OK;
    return status ? status
                  : s24i_fail(S24_E_ARG,
                              "kind is \"%.32s\", but must be \"step\", \"linear\", "
                              "\"exponential\", \"structure\" or \"geometry\"",
                              kind);
}

static s24_status check_kind(int32_t kind, int32_t n, int32_t m)
{
    int32_t ratio = m / n;

    if (n < 1 || n > m || m > S24I_MAX_GROUP)
        return s24i_fail(S24_E_ARG, "n:m is %d:%d, but 1 <= n <= m <= %d", (int)n, (int)m,
                         S24I_MAX_GROUP);
    if (kind == STRUCTURE && (m % n || (ratio & (ratio - 1))))
        return s24i_fail(S24_E_ARG,
                         "n:m is %d:%d, but \"structure\" needs m to be n times a power of two",
                         (int)n, (int)m);
    if (kind == GEOMETRY && m > S24I_MAX_GROUP / 8)
        return s24i_fail(S24_E_ARG,
                         "m is %d, but \"geometry\" begins with groups of 8 m, at most %d", (int)m,
                         S24I_MAX_GROUP);
    return S24_OK;
}

static s24_status check_shares(int64_t step, int64_t steps, const double *shares)
{
    if (steps < 1 || step < 0 || step >= steps)
        return s24i_fail(S24_E_ARG, "step is %lld of %lld, but 0 <= step < steps", (long long)step,
                         (long long)steps);
    if (!(shares[0] >= 0 && shares[1] >= 0 && shares[0] + shares[1] <= 1))
        return s24i_fail(S24_E_ARG,
                         "shares are %g dense and %g at the end, but must be at least 0 and not "
                         "more than 1 together",
                         shares[0], shares[1]);
    return S24_OK;
}

/* How far between the dense steps, below 0, and the last ones, 1 and more. */
static double way(int64_t step, int64_t steps, const double *shares)
{
    double all = (double)steps, first = ceil(shares[0] * all), last = ceil((1 - shares[1]) * all);

    return (double)step < first   ? -1
           : (double)step >= last ? 1
                                  : ((double)step - first) / (last - first);
}

/* m/2 :m, m/4 :m .. n:m, with (m - 1):m before them. */
static int32_t structure(int32_t n, int32_t m, double t)
{
    int32_t spans = 1;

    for (int32_t kept = m; kept > n; kept /= 2)
        spans++;
    int32_t span = (int32_t)(t * spans);
    return span >= spans || n == m ? n : span == 0 ? m - 1 : m >> span;
}

static void settle(int32_t kind, double t, int32_t *pattern, double *beta)
{
    int32_t n = pattern[0], m = pattern[1];

    *beta = 0;
    if (t < 0) {
        pattern[0] = m;
        *beta = 1;
    } else if (t < 1 && kind == LINEAR) {
        *beta = 1 - t;
    } else if (t < 1 && kind == EXPONENTIAL) {
        *beta = pow(1000, -t);
    } else if (t < 1 && kind == STRUCTURE) {
        pattern[0] = structure(n, m, t);
    } else if (t < 1 && kind == GEOMETRY) {
        pattern[0] = n * (8 >> (int)(4 * t));
        pattern[1] = m * (8 >> (int)(4 * t));
    }
}

s24_status s24_mask_schedule(const char *kind, int32_t n, int32_t m, int64_t step, int64_t steps,
                             const double *shares, int32_t *pattern, double *beta)
{
    int32_t code;
    s24_status status = read_kind(kind, &code);

    if (!status)
        status = check_kind(code, n, m);
    if (!status)
        status = s24i_check_pointer(shares, "shares");
    if (!status)
        status = s24i_check_pointer(pattern, "pattern");
    if (!status)
        status = s24i_check_pointer(beta, "beta");
    if (!status)
        status = check_shares(step, steps, shares);
    if (status)
        return s24i_done(__func__, status);
    pattern[0] = n;
    pattern[1] = m;
    settle(code, way(step, steps, shares), pattern, beta);
    return S24_OK;
}

/* ---- Drop and grow ---- */

typedef struct regrowth {
    const s24_mat *w, *g, *mask;
    int32_t m;
    int64_t drop;
    int64_t changed;
} regrowth;

static s24_status regrow_stage(void *arg, const s24i_run *run)
{
    regrowth *r = arg;

    return s24i_nm_regrow(run, r->m, r->drop, r->w, r->g, r->mask, &r->changed);
}

static s24_status regrow(s24_ctx *ctx, regrowth *r, double share)
{
    s24_status status = check_weights_and_mask(ctx, r->w, r->mask);

    if (!status)
        status = s24i_check_mat(r->g, "g", S24I_FLOAT_TYPE);
    if (!status)
        status = s24i_check_shape(r->g, "g", r->w->rows, r->w->cols);
    if (!status)
        status = s24i_check_apart(r->mask, "mask", r->g, "g", false);
    if (!status)
        status = check_groups((s24i_nm){1, r->m}, r->w, false, true);
    if (!status && !(share >= 0 && share <= 1))
        status = s24i_fail(S24_E_ARG, "share is %g, but must be in 0 .. 1", share);
    if (status)
        return status;
    s24i_enter(ctx);
    status = s24i_check_values(ctx, r->w, "w", false);
    if (!status)
        status = s24i_check_values(ctx, r->g, "g", false);
    r->drop = status ? 0 : (int64_t)nearbyint(share * (double)s24i_count_mask(r->mask));
    if (!status)
        status = s24i_in_arena(ctx, regrow_stage, r);
    s24i_leave(ctx);
    return status;
}

s24_status s24_nm_regrow(s24_ctx *ctx, const s24_mat *w, const s24_mat *g, int32_t m, double share,
                         const s24_mat *mask, int64_t *changed)
{
    regrowth r = {.w = w, .g = g, .mask = mask, .m = m};
    s24_status status = regrow(ctx, &r, share);

    if (!status && changed)
        *changed = r.changed;
    return s24i_done(__func__, status);
}
