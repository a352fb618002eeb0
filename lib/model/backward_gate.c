#include "backward_scalar.h"
#include "extents.h"

/* ---- Activations: their values, and their slopes ---- */

enum { PIECE = 256, ROWS = 16 };

typedef void (*slope_fn)(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope);

S24M_LOOPS static void silu(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope)
{
    for (int64_t i = 0; i < count; i++) {
        s24m_real s = 1 / (1 + S24M_EXP(-z[i]));
        y[i] = z[i] * s;
        slope[i] = s * (1 + z[i] * (1 - s));
    }
}

/* z s(2 u) with u = sqrt(2 / pi) (z + 0.044715 z^3), s(x) = 1 / (1 + e^-x). */
S24M_LOOPS static void gelu_tanh(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope)
{
    const s24m_real twice = (s24m_real)1.5957691216057308, cubic = (s24m_real)0.044715;
    for (int64_t i = 0; i < count; i++) {
        s24m_real square = cubic * z[i] * z[i];
        s24m_real s = 1 / (1 + S24M_EXP(-twice * z[i] * (1 + square)));
        y[i] = z[i] * s;
        slope[i] = s + z[i] * s * (1 - s) * twice * (1 + 3 * square);
    }
}

/* z F(z) with F(z) = (1 + erf(z / sqrt(2))) / 2, whose slope is e^(-z^2 / 2) / sqrt(2 pi). */
static void gelu(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope)
{
    for (int64_t i = 0; i < count; i++) {
        double x = z[i], f = 0.5 * (1 + erf(x * 0.70710678118654752));
        y[i] = (s24m_real)(x * f);
        slope[i] = (s24m_real)(f + x * 0.39894228040143268 * exp(-0.5 * x * x));
    }
}

static void relu(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope)
{
    for (int64_t i = 0; i < count; i++) {
        y[i] = z[i] > 0 ? z[i] : 0;
        slope[i] = z[i] > 0;
    }
}

static void relu2(const s24m_real *z, int64_t count, s24m_real *y, s24m_real *slope)
{
    for (int64_t i = 0; i < count; i++) {
        s24m_real positive = z[i] > 0 ? z[i] : 0;
        y[i] = positive * positive;
        slope[i] = 2 * positive;
    }
}

static const slope_fn slopes[S24M_ACTIVATIONS] = {[S24M_SILU] = silu,
                                                  [S24M_GELU] = gelu,
                                                  [S24M_GELU_TANH] = gelu_tanh,
                                                  [S24M_RELU] = relu,
                                                  [S24M_RELU2] = relu2};

/* ---- The gate ---- */

static void gate_row(const s24m_gate_back *b, int64_t row)
{
    const s24m_real *gate = b->gate + row * b->stride, *dx = b->dx + row * b->size;
    const s24m_real *up = b->up ? b->up + row * b->stride : NULL;
    s24m_real *dgate = b->dgate + row * b->stride, *dup = b->dup + row * b->stride;
    s24m_real y[PIECE], slope[PIECE];
    for (int64_t first = 0, count; first < b->size; first += count) {
        count = s24m_least(b->size - first, PIECE);
        slopes[b->kind](gate + first, count, y, slope);
        for (int64_t i = 0; i < count; i++)
            dgate[first + i] = dx[first + i] * slope[i] * (up ? up[first + i] : 1);
        for (int64_t i = 0; up && i < count; i++)
            dup[first + i] = dx[first + i] * y[i];
    }
}

static void gate_rows(void *arg, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++)
        gate_row(arg, row);
}

s24_status s24m_back_gate(s24_ctx *ctx, const s24m_gate_back *b)
{
    return s24m_back_loop(ctx, gate_rows, (void *)(uintptr_t)b, b->rows, ROWS);
}

/* ---- The gate of gpt-oss ---- */

static void clamped_rows(void *arg, int64_t first, int64_t last)
{
    const s24m_clamped_back *b = arg;
    const s24m_real limit = (s24m_real)b->limit, alpha = (s24m_real)b->alpha;
    for (int64_t i = first * b->size; i < last * b->size; i++) {
        s24m_real gate = b->both[2 * i], up = b->both[2 * i + 1];
        bool steep = gate <= limit, rises = up <= limit && up >= -limit;
        gate = steep ? gate : limit;
        up = up > limit ? limit : up < -limit ? -limit : up;
        s24m_real s = 1 / (1 + S24M_EXP(-alpha * gate));
        b->dboth[2 * i] = steep ? b->dx[i] * (up + 1) * s * (1 + alpha * gate * (1 - s)) : 0;
        b->dboth[2 * i + 1] = rises ? b->dx[i] * gate * s : 0;
    }
}

s24_status s24m_back_clamped_gate(s24_ctx *ctx, const s24m_clamped_back *b)
{
    return s24m_back_loop(ctx, clamped_rows, (void *)(uintptr_t)b, b->rows, ROWS);
}
