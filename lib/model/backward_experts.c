#include "backward_scalar.h"
#include "backward_experts.h"

/* ---- Scores of one token's experts ---- */

/* Softmax of those of `count` scores that are `open` (NULL: all); the others become 0. */
static void softmax(const s24m_real *x, const bool *open, int64_t count, s24m_real *p)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++)
        top = (!open || open[i]) && x[i] > top ? x[i] : top;
    for (int64_t i = 0; i < count; i++)
        sum += !open || open[i] ? exp(x[i] - top) : 0;
    for (int64_t i = 0; i < count; i++)
        p[i] = !open || open[i] ? (s24m_real)(exp(x[i] - top) / sum) : 0;
}

/* dx += p (dp - sum p dp) */
static void back_softmax(const s24m_real *p, const s24m_real *dp, int64_t count, s24m_real *dx)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)p[i] * dp[i];
    for (int64_t i = 0; i < count; i++)
        dx[i] += (s24m_real)(p[i] * (dp[i] - sum));
}

/* Where weights are shares of the sum of what was taken: from their gradients to those of the
 * scores. */
static void back_shares(const s24m_route_back *b, const s24m_real *p, const int32_t *taken,
                        const s24m_real *dw, s24m_real *dp)
{
    double sum = b->kind == S24M_SIGMOID ? 1e-20 : 0, along = 0;
    for (int64_t k = 0; k < b->used; k++) {
        sum += p[taken[k]];
        along += (double)dw[k] * p[taken[k]];
    }
    for (int64_t k = 0; k < b->used; k++)
        dp[taken[k]] =
            (s24m_real)(b->factor * (b->shares ? (dw[k] - along / sum) / sum : (double)dw[k]));
}

/* Shares of the sum of exponentials are a softmax of what was taken. */
static void back_used(const s24m_route_back *b, const s24m_real *x, const int32_t *taken,
                      const s24m_real *dw, s24m_real *room)
{
    bool *open = b->open;
    s24m_real *p = room, *dp = room + b->count, *dx = dp + b->count;
    for (int64_t i = 0; i < b->count; i++)
        open[i] = false;
    for (int64_t k = 0; k < b->used; k++) {
        open[taken[k]] = true;
        dp[taken[k]] = (s24m_real)(b->factor * dw[k]);
    }
    softmax(x, open, b->count, p);
    back_softmax(p, dp, b->count, dx);
}

/* One after the other, each a softmax of the rivals near it. */
static void back_near(const s24m_route_back *b, const s24m_real *x, const int32_t *taken,
                      const s24m_real *dw, s24m_real *room)
{
    bool *open = b->open;
    s24m_real *p = room, *dp = room + b->count, *dx = dp + b->count;
    for (int64_t k = 0; k < b->used; k++) {
        double top = x[taken[k]];
        for (int64_t i = 0; i < b->count; i++) {
            double size = fabs((double)x[i]) > top ? fabs((double)x[i]) : top;
            open[i] = !((top - x[i]) / size > 2 * b->near);
            dp[i] = 0;
        }
        for (int64_t before = 0; before < k; before++)
            open[taken[before]] = false;
        dp[taken[k]] = dw[k];
        softmax(x, open, b->count, p);
        back_softmax(p, dp, b->count, dx);
    }
}

/* room: p, dp, dx of all experts, the latter two 0. */
static void back_token(const s24m_route_back *b, const s24m_real *x, const int32_t *taken,
                       const s24m_real *dw, s24m_real *room)
{
    s24m_real *p = room, *dp = room + b->count, *dx = dp + b->count;
    if (b->kind == S24M_SOFTMAX_OF_USED) {
        back_used(b, x, taken, dw, room);
        return;
    }
    if (b->kind == S24M_NEAR_BEST) {
        back_near(b, x, taken, dw, room);
        return;
    }
    if (b->kind == S24M_SOFTMAX)
        softmax(x, NULL, b->count, p);
    for (int64_t i = 0; b->kind == S24M_SIGMOID && i < b->count; i++)
        p[i] = (s24m_real)(1 / (1 + exp(-(double)x[i])));
    back_shares(b, p, taken, dw, dp);
    if (b->kind == S24M_SOFTMAX)
        back_softmax(p, dp, b->count, dx);
    for (int64_t i = 0; b->kind == S24M_SIGMOID && i < b->count; i++)
        dx[i] = p[i] * (1 - p[i]) * dp[i];
}

void s24m_back_route(const s24m_route_back *b)
{
    int64_t count = b->count;
    for (int64_t t = 0; t < b->tokens; t++) {
        for (int64_t i = 0; i < 3 * count; i++)
            b->room[i] = 0;
        back_token(b, b->logits + t * count, b->taken + t * b->used, b->dweights + t * b->used,
                   b->room);
        for (int64_t i = 0; i < count; i++)
            b->dlogits[t * count + i] = b->room[2 * count + i];
    }
}
