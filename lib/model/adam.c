#include "adam.h"
#include "exponential.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAYS = 5, TILE = 1 << 14 };

uint64_t s24m_adam_bytes(int64_t count)
{
    return (uint64_t)count * (ARRAYS * sizeof(float) + 1);
}

bool s24m_adam_open(s24m_adam *a, s24_ctx *ctx, int32_t most)
{
    *a = (s24m_adam){.ctx = ctx, .room = most, .end = 1};
    return (a->parameters = s24m_have(calloc((size_t)most + 1, sizeof *a->parameters)));
}

void s24m_adam_close(s24m_adam *a)
{
    for (int32_t i = 0; i < a->count; i++) {
        free(a->parameters[i].values);
        free(a->parameters[i].kept);
    }
    free(a->parameters);
    *a = (s24m_adam){0};
}

static double size_of(const float *values, int64_t count)
{
    double squares = 0;
    int64_t others = 0;
    for (int64_t i = 0; i < count; i++) {
        squares += (double)values[i] * values[i];
        others += values[i] != 0;
    }
    return others ? sqrt(squares / (double)others) : 0;
}

s24m_parameter *s24m_adam_add(s24m_adam *a, const char *name, const float *values, int64_t count,
                              bool masked)
{
    s24m_parameter *p = a->parameters + a->count;
    *p = (s24m_parameter){.name = name, .count = count, .size = size_of(values, count)};
    p->values = s24m_have(calloc((size_t)(ARRAYS * count) + 1, sizeof(float)));
    p->kept = masked ? s24m_have(malloc((size_t)count + 1)) : NULL;
    if (!p->values || (masked && !p->kept)) {
        free(p->values);
        free(p->kept);
        return NULL;
    }
    a->count++;
    p->gradient = p->values + count;
    p->mean = p->gradient + count;
    p->square = p->mean + count;
    p->best = p->square + count;
    memcpy(p->values, values, (size_t)count * sizeof *values);
    memcpy(p->best, values, (size_t)count * sizeof *values);
    for (int64_t i = 0; masked && i < count; i++)
        p->kept[i] = values[i] != 0;
    return p;
}

/* ---- A step ---- */

typedef struct updating {
    const s24m_parameter *p;
    float rate, correct; /* rate / (1 - b1^t); 1 / sqrt(1 - b2^t) */
    atomic_bool finite;
} updating;

S24M_VECTOR static bool update(const updating *u, int64_t first, int64_t last)
{
    const float b1 = 0.9f, b2 = 0.999f, eps = 1e-8f;
    const s24m_parameter *p = u->p;
    float *w = p->values, *g = p->gradient, *m = p->mean, *v = p->square;
    bool finite = true;
    for (int64_t i = first; i < last; i++) {
        float gradient = p->kept ? g[i] * (float)p->kept[i] : g[i];
        finite &= fabsf(gradient) <= 3e38f;
        m[i] += (1 - b1) * (gradient - m[i]);
        v[i] = b2 * v[i] + (1 - b2) * gradient * gradient;
        w[i] -= u->rate * m[i] / (sqrtf(v[i]) * u->correct + eps);
        g[i] = 0;
    }
    return finite;
}

static void update_tile(void *arg, int64_t tile, int32_t worker)
{
    updating *u = arg;
    int64_t first = tile * TILE, last = first + TILE < u->p->count ? first + TILE : u->p->count;
    (void)worker;
    if (!update(u, first, last))
        atomic_store(&u->finite, false);
}

/* As a share of the rate: up for the first twentieth, then down as a cosine. */
static double schedule(const s24m_adam *a)
{
    const double warm = 0.05;
    double at = ((double)a->step + 0.5) / (double)a->steps;
    double behind = (at - warm) / (1 - warm);
    if (at < warm)
        return at / warm;
    behind = behind < 1 ? behind : 1;
    return a->end + (1 - a->end) * 0.5 * (1 + cos(acos(-1.0) * behind));
}

bool s24m_adam_step(s24m_adam *a)
{
    double rate = a->rate * schedule(a), t = (double)++a->step;
    double correct1 = 1 - pow(0.9, t), correct2 = 1 - pow(0.999, t);
    for (int32_t i = 0; i < a->count; i++) {
        updating u = {.p = a->parameters + i, .finite = true};
        u.rate = (float)(rate * u.p->size / correct1);
        u.correct = (float)(1 / sqrt(correct2));
        if (!s24m_good(s24_ctx_parallel(a->ctx, update_tile, &u, (u.p->count + TILE - 1) / TILE),
                       "%s", u.p->name))
            return false;
        if (!u.finite)
            return s24m_wrong(S24_E_NUMERIC, "%s: its gradient is no number", u.p->name);
    }
    return true;
}

void s24m_adam_keep(s24m_adam *a)
{
    for (s24m_parameter *p = a->parameters; p < a->parameters + a->count; p++)
        memcpy(p->best, p->values, (size_t)p->count * sizeof(float));
}

void s24m_adam_return(s24m_adam *a)
{
    for (s24m_parameter *p = a->parameters; p < a->parameters + a->count; p++) {
        memcpy(p->values, p->best, (size_t)p->count * sizeof(float));
        memset(p->gradient, 0, 3 * (size_t)p->count * sizeof(float));
    }
}
