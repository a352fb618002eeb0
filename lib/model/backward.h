/* The way back through the steps of a forward pass: from what a loss changes by with a step's
 * outputs to what it changes by with its inputs and parameters. Knows arrays, neither files nor
 * blocks.
 *
 * Gradients "are added" where parameters are shared by rows or an input by several steps; other
 * outputs are set. Sums over rows are in one order whatever the number of threads. */
#ifndef S24M_BACKWARD_H
#define S24M_BACKWARD_H
#include "fail.h"
#include "model.h"

/* Tests compile the same lines in double, to compare them with differences. */
#ifdef S24M_DOUBLE
typedef double s24m_real;
#else
typedef float s24m_real;
#endif

/* ---- Products ---- */

/* y (rows, outs) = x (rows, inner) w^T, w (outs, inner); strides between rows in elements. */
typedef struct s24m_array {
    s24m_real *data;
    int64_t rows, cols, stride;
} s24m_array;
s24_status s24m_product(s24_ctx *ctx, s24m_array x, s24m_array w, s24m_array y);
/* turned (cols, rows) = the transposed of data (rows, cols), on the context's threads. */
s24_status s24m_turn(s24_ctx *ctx, s24m_array data, s24m_real *turned);
/* The same on this thread. */
void s24m_turn_here(s24m_array data, s24m_real *turned);
s24m_array s24m_array_of(const s24m_real *data, int64_t rows, int64_t cols);
/* Rows [first, first + count). */
s24m_array s24m_array_rows(s24m_array a, int64_t first, int64_t count);

/* ---- Steps ---- */

/* Of y = x W^T + bias over `count` rows. `gradient` (shape of W) and `bias` are added to, dx is
 * added to; each may be NULL. */
typedef struct s24m_linear_back {
    s24m_array weights; /* W (outputs, inputs) */
    const s24m_real *x, *dy;
    int64_t count;
    s24m_real *dx, *gradient, *bias;
} s24m_linear_back;
s24_status s24m_back_linear(s24_ctx *ctx, const s24m_linear_back *b);

/* Of y = c / rms(c) * gain + shift over `count` rows of `size`, c = x, or x less its mean where the
 * norm is `centred`: dx, dgain and dshift are added to, the latter two may be NULL. With r = 1 /
 * rms(c): dc = r (g dy) - c r^3 mean(g dy c), dx = dc less its mean if centred, dgain = sum dy c r,
 * dshift = sum dy. */
typedef struct s24m_norm_back {
    const s24m_real *gain; /* NULL: ones */
    int64_t gains;         /* so many, (gains, size), that the rows take in turn; 0: one */
    const s24m_real *x, *dy;
    int64_t count, size;
    double eps;
    s24m_real *dx, *dgain, *dshift;
    bool centred;
} s24m_norm_back;
s24_status s24m_back_norm(s24_ctx *ctx, const s24m_norm_back *b);

/* Of x = act(gate) * up, or of x = act(gate), over `rows` rows of `size`: dup = dx act(gate), and
 * dgate = dx up act'(gate). */
typedef struct s24m_gate_back {
    s24m_activation kind;
    const s24m_real *gate, *up; /* up NULL: there is none */
    const s24m_real *dx;        /* (rows, size) */
    int64_t rows, size, stride; /* stride: of gate, up and their gradients */
    s24m_real *dgate, *dup;
} s24m_gate_back;
s24_status s24m_back_gate(s24_ctx *ctx, const s24m_gate_back *b);
/* The same of gpt-oss's gate, x = (up + 1) gate s(alpha gate) with s(z) = 1 / (1 + e^-z), where
 * gate is at most `limit` and up within it: gate and up alternate, as their gradients do. Beyond
 * the limit the slope is 0. */
typedef struct s24m_clamped_back {
    double limit, alpha;
    const s24m_real *both, *dx; /* (rows, 2 size), (rows, size) */
    int64_t rows, size;
    s24m_real *dboth;
} s24m_clamped_back;
s24_status s24m_back_clamped_gate(s24_ctx *ctx, const s24m_clamped_back *b);

/* Heads of q, k and v, rows of a token. */
typedef struct s24m_heads {
    int64_t sequences, length, heads, kv_heads, size;
    int64_t window;         /* tokens that one sees, itself included */
    double scale;           /* of scores */
    bool all;               /* every token sees all others */
    double soft_cap;        /* scores become cap tanh(score / cap); 0: none */
    const s24m_real *rises; /* (heads, length): added to the scores of a key's place, or NULL */
    const s24m_real *sinks; /* of each head a score that stands for nothing, or NULL */
} s24m_heads;

/* Of the rotation by position of `heads` heads of each token, in place: the angles' negatives, by
 * the same factor; `forth`: the rotation itself. cosine, sine (length, pairs). */
typedef struct s24m_rotary_back {
    const s24m_real *cosine, *sine;
    int64_t tokens, length, heads, size, pairs;
    bool interleaved;
    s24m_real *dx;
    bool forth;
} s24m_rotary_back;
s24_status s24m_back_rotary(s24_ctx *ctx, const s24m_rotary_back *b);

/* Of softmax attention of grouped queries, q and k after their rotation: dq, dk, dv from dout. The
 * weights P are made again; dV = P^T dO, dP = dO V^T, dS = P (dP - sum P dP) scale, times the cap's
 * slope 1 - (capped / cap)^2, dQ = dS K, dK = dS^T Q, the latter over the queries of a group. */
s24_status s24m_back_attention(s24_ctx *ctx, const s24m_heads *of, const s24m_real *const qkv[3],
                               const s24m_real *dout, s24m_real *const dqkv[3]);

/* ---- Losses of logits, (count, vocab), which become the gradient with respect to them ---- */

/* KL(softmax(teacher) || softmax(logits)) of each row, its gradient times `scale`; the teacher's
 * logits are lost. */
s24_status s24m_back_divergence(s24_ctx *ctx, s24m_real *logits, s24m_real *teacher, int64_t count,
                                int64_t vocab, double scale, double *losses);
/* -log p of a token of each row; of a token below 0 neither loss nor gradient. */
s24_status s24m_back_entropy(s24_ctx *ctx, s24m_real *logits, const int32_t *tokens, int64_t count,
                             int64_t vocab, double scale, double *losses);

#endif
