#include "composed.h"
#include "backward_scalar.h"
#include "terms.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps relative to those of weights: without zeros latents had better move slowly, since all a
 * large step does there is to turn codes back and forth. */
#define PACE_DENSE_LATENT 0.25
#define PACE_SCALE 0.2

/* ---- Opening ---- */

uint64_t s24m_composed_bytes(int64_t count)
{
    return (uint64_t)count * (4 * sizeof(float) + 1);
}

bool s24m_composed_can(const codes *parts)
{
    return !parts->outliers.data && (parts->codes.data || (parts->sparse.data && parts->v.data));
}

static int64_t groups_of(const s24m_composed *c)
{
    return c->group ? (c->cols + c->group - 1) / c->group : 0;
}

/* A float copy into `to`. */
static bool read_floats(s24_ctx *ctx, const s24_mat *from, float *to)
{
    s24_mat view = {0};
    return s24m_good(s24_mat_rowmajor(&view, to, from->rows, from->cols, S24_F32), "parts") &&
           s24m_good(s24_mat_copy(ctx, from, &view), "parts");
}

static bool read_grid(s24m_composed *c, const codes *parts)
{
    int64_t groups = groups_of(c);
    bool real = parts->zeros.dtype != S24_U8;
    if (parts->codes.rows != c->rows || parts->codes.cols != c->cols ||
        parts->scales.rows != c->rows || parts->scales.cols != groups ||
        parts->zeros.rows != c->rows || parts->zeros.cols != groups)
        return s24m_wrong(S24_E_FORMAT, "parts of a grid of other sizes than the matrix");
    c->scale_type = parts->scales.dtype;
    c->zero_type = parts->zeros.dtype;
    c->low = 255;
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < c->cols; i++) {
            const unsigned char *from = parts->codes.data;
            int32_t code = from[r * parts->codes.row_stride + i * parts->codes.col_stride];
            c->codes[r * c->cols + i] = (unsigned char)code;
            c->low = code < c->low ? code : c->low;
            c->top = code > c->top ? code : c->top;
        }
    if (real)
        return read_floats(c->ctx, &parts->zeros, c->least);
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t g = 0; g < groups; g++)
            c->offset[r * groups + g] =
                ((const unsigned char *)
                     parts->zeros.data)[r * parts->zeros.row_stride + g * parts->zeros.col_stride];
    return true;
}

static s24m_parameter *add(s24m_composed *c, s24m_adam *adam, int which, const s24_mat *from,
                           bool masked, double pace)
{
    enum { NAME = 400 };
    float *values = s24m_have(malloc((size_t)(from->rows * from->cols) * sizeof *values + 1));
    s24m_parameter *p =
        values && read_floats(c->ctx, from, values)
            ? s24m_adam_add(adam, c->names + which * NAME, values, from->rows * from->cols, masked)
            : NULL;
    free(values);
    if (p)
        p->size *= pace;
    return p;
}

static bool name_parts(s24m_composed *c, const char *tensor)
{
    enum { NAME = 400 };
    static const char *const parts[] = {"latents", "scales", "lowrank_u", "lowrank_v"};
    c->names = s24m_have(malloc(4 * NAME));
    for (int i = 0; c->names && i < 4; i++)
        snprintf(c->names + i * NAME, NAME, "%.380s.%s", tensor, parts[i]);
    return c->names;
}

/* What a zero in the sparse part means: under a pattern or a share of zeros it stays. */
static bool add_parameters(s24m_composed *c, s24m_adam *adam, const terms *t, const codes *parts,
                           const s24_mat *values)
{
    const s24_mat *sparse = parts->v.data ? &parts->sparse : values;
    bool pruned = t->of || t->sparsity;
    double pace = c->group && !pruned ? PACE_DENSE_LATENT : 1;
    return (c->latent = add(c, adam, 0, sparse, pruned, pace)) &&
           (!c->group || (c->scales = add(c, adam, 1, &parts->scales, false, PACE_SCALE))) &&
           (!c->rank || ((c->u = add(c, adam, 2, &parts->u, false, 1)) &&
                         (c->v = add(c, adam, 3, &parts->v, false, 1))));
}

bool s24m_composed_open(s24m_composed *c, s24m_adam *adam, const char *tensor,
                        const char *constraints, const codes *parts, const s24_mat *values)
{
    terms t = s24m_terms(constraints);
    int64_t size = values->rows * values->cols;
    *c = (s24m_composed){.ctx = adam->ctx,
                         .rows = values->rows,
                         .cols = values->cols,
                         .rank = parts->v.data ? parts->v.rows : 0};
    if (parts->codes.data)
        c->group = t.group && t.group < c->cols ? t.group : c->cols;
    int64_t grid = c->rows * groups_of(c);
    c->room = s24m_have(calloc((size_t)(3 * size + 2 * grid) + 1, sizeof *c->room));
    c->codes = s24m_have(malloc((size_t)size + 1));
    if (!c->room || !c->codes || !name_parts(c, tensor))
        return false;
    c->w = c->room + size;
    c->gradient = c->w + size;
    c->offset = c->gradient + size;
    c->least = c->offset + grid;
    return (!c->group || read_grid(c, parts)) && add_parameters(c, adam, &t, parts, values) &&
           s24m_composed_make(c);
}

void s24m_composed_close(s24m_composed *c)
{
    free(c->room);
    free(c->codes);
    free(c->names);
    *c = (s24m_composed){0};
}

/* ---- The grid ---- */

/* Where a latent stands among codes: before rounding, and whether a code is there. */
static float place_of(const s24m_composed *c, int64_t g, float latent, float scale, bool *inside)
{
    float at = (latent - c->least[g]) / scale + c->offset[g];
    *inside = at >= (float)c->low && at <= (float)c->top;
    return at;
}

static float code_of(const s24m_composed *c, float at)
{
    float code = rintf(at);
    return code < (float)c->low ? (float)c->low : code > (float)c->top ? (float)c->top : code;
}

static bool is_kept(const s24m_composed *c, int64_t i)
{
    return !c->latent->kept || c->latent->kept[i];
}

/* Each operation rounds to single precision, as a reader of codes does. */
static float value_of(const s24m_composed *c, int64_t g, float code, float scale)
{
    float apart = code - c->offset[g], value = scale * apart;
    return value + c->least[g];
}

typedef struct passing {
    s24m_composed *c;
    unsigned char *codes; /* set, if not NULL */
    const float *latents, *scales;
    float *to;
} passing;

static void decode_rows(void *arg, int64_t first, int64_t last)
{
    const passing *p = arg;
    const s24m_composed *c = p->c;
    int64_t groups = groups_of(c);
    for (int64_t i = first * c->cols; i < last * c->cols; i++) {
        int64_t g = c->group ? i / c->cols * groups + i % c->cols / c->group : 0;
        bool inside;
        if (!c->group || !is_kept(c, i)) {
            p->to[i] = is_kept(c, i) ? p->latents[i] : 0;
            continue;
        }
        float code = code_of(c, place_of(c, g, p->latents[i], p->scales[g], &inside));
        p->to[i] = value_of(c, g, code, p->scales[g]);
        if (p->codes)
            p->codes[i] = (unsigned char)code;
    }
}

/* Gradients of latents, and of the scales of each row by itself. */
static void spread_rows(void *arg, int64_t first, int64_t last)
{
    const passing *p = arg;
    const s24m_composed *c = p->c;
    int64_t groups = groups_of(c);
    for (int64_t i = first * c->cols; i < last * c->cols; i++) {
        int64_t g = c->group ? i / c->cols * groups + i % c->cols / c->group : 0;
        bool inside = true;
        float slope = c->gradient[i];
        if (!is_kept(c, i))
            continue;
        if (c->group) {
            float scale = p->scales[g], at = place_of(c, g, p->latents[i], scale, &inside);
            float code = code_of(c, at);
            c->scales->gradient[g] += slope * (code - (inside ? at : c->offset[g]));
        }
        c->latent->gradient[i] += inside ? slope : 0;
    }
}

/* ---- The weights, and back ---- */

static bool add_factors(s24m_composed *c)
{
    int64_t size = c->rows * c->cols;
    float *turned = s24m_have(malloc((size_t)(c->rank * c->cols) * sizeof *turned));
    s24m_array u = s24m_array_of(c->u->values, c->rows, c->rank);
    s24m_array v = s24m_array_of(c->v->values, c->rank, c->cols);
    bool done = turned && s24m_done(s24m_turn(c->ctx, v, turned)) &&
                s24m_done(s24m_product(c->ctx, u, s24m_array_of(turned, c->cols, c->rank),
                                       s24m_array_of(c->room, c->rows, c->cols)));
    for (int64_t i = 0; done && i < size; i++)
        c->w[i] += c->room[i];
    free(turned);
    return done;
}

enum { ROWS = 16 };

bool s24m_composed_make(s24m_composed *c)
{
    passing p = {.c = c,
                 .latents = c->latent->values,
                 .scales = c->scales ? c->scales->values : NULL,
                 .to = c->w};
    return c->settled || (s24m_done(s24m_back_loop(c->ctx, decode_rows, &p, c->rows, ROWS)) &&
                          (!c->rank || add_factors(c)));
}

/* du += dW v^T, dv += u^T dW */
static bool spread_factors(s24m_composed *c)
{
    int64_t floats = c->rank * (c->rows + 2 * c->cols);
    float *room = s24m_have(malloc((size_t)floats * sizeof *room));
    float *turned = room ? room + c->rank * (c->rows > c->cols ? c->rows : c->cols) : NULL;
    s24m_array dw = s24m_array_of(c->gradient, c->rows, c->cols);
    s24m_array u = s24m_array_of(c->u->values, c->rows, c->rank);
    s24m_array v = s24m_array_of(c->v->values, c->rank, c->cols);
    bool done =
        room && s24m_done(s24m_product(c->ctx, dw, v, s24m_array_of(room, c->rows, c->rank)));
    for (int64_t i = 0; done && i < c->rows * c->rank; i++)
        c->u->gradient[i] += room[i];
    done = done && s24m_done(s24m_turn(c->ctx, u, turned)) &&
           s24m_done(s24m_turn(c->ctx, dw, c->room)) &&
           s24m_done(s24m_product(c->ctx, s24m_array_of(turned, c->rank, c->rows),
                                  s24m_array_of(c->room, c->cols, c->rows),
                                  s24m_array_of(room, c->rank, c->cols)));
    for (int64_t i = 0; done && i < c->rank * c->cols; i++)
        c->v->gradient[i] += room[i];
    free(room);
    return done;
}

bool s24m_composed_spread(s24m_composed *c)
{
    passing p = {
        .c = c, .latents = c->latent->values, .scales = c->scales ? c->scales->values : NULL};
    bool done = s24m_done(s24m_back_loop(c->ctx, spread_rows, &p, c->rows, ROWS)) &&
                (!c->rank || spread_factors(c));
    memset(c->gradient, 0, (size_t)(c->rows * c->cols) * sizeof *c->gradient);
    return done;
}

/* ---- As stored ---- */

static bool are_finite(const float *x, int64_t count, bool above)
{
    bool finite = true;
    for (int64_t i = 0; i < count; i++)
        finite = finite && isfinite(x[i]) && (!above || x[i] > 0);
    return finite;
}

/* The best values of a parameter in this type, which they get too. */
static bool store(s24m_composed *c, s24m_parameter *p, int64_t rows, int32_t type, s24_mat *to)
{
    int64_t cols = p->count / rows, width = (type & 0xff) / 8; /* of the low byte, in bits */
    s24_mat values = {0};
    void *data = s24m_have(malloc((size_t)(p->count * width) + 1));
    if (!data)
        return false;
    s24_mat_rowmajor(to, data, rows, cols, type);
    s24_mat_rowmajor(&values, p->best, rows, cols, S24_F32);
    return s24m_good(s24_mat_copy(c->ctx, &values, to), "%s", p->name) &&
           s24m_good(s24_mat_copy(c->ctx, to, &values), "%s", p->name);
}

/* As they were. */
static bool settle_zeros(const s24m_composed *c, made_parts *made)
{
    int64_t groups = groups_of(c), count = c->rows * groups, width = (c->zero_type & 0xff) / 8;
    unsigned char *data = s24m_have(malloc((size_t)(count * width) + 1));
    s24_mat least = {0};
    if (!data)
        return false;
    s24_mat_rowmajor(&made->zeros, data, c->rows, groups, c->zero_type);
    s24_mat_rowmajor(&least, c->least, c->rows, groups, S24_F32);
    for (int64_t g = 0; c->zero_type == S24_U8 && g < count; g++)
        data[g] = (unsigned char)c->offset[g];
    return c->zero_type == S24_U8 || s24m_good(s24_mat_copy(c->ctx, &least, &made->zeros), "zeros");
}

static bool settle_grid(s24m_composed *c, made_parts *made, bool *fits)
{
    int64_t size = c->rows * c->cols;
    unsigned char *data = s24m_have(malloc((size_t)size));
    if (!data)
        return false;
    s24_mat_rowmajor(&made->codes, data, c->rows, c->cols, S24_U8);
    if (!store(c, c->scales, c->rows, c->scale_type, &made->scales) || !settle_zeros(c, made))
        return false;
    memcpy(data, c->codes, (size_t)size);
    *fits = *fits && are_finite(c->scales->best, c->scales->count, true);
    passing p = {
        .c = c, .codes = data, .latents = c->latent->best, .scales = c->scales->best, .to = c->w};
    return !*fits || s24m_done(s24m_back_loop(c->ctx, decode_rows, &p, c->rows, ROWS));
}

static bool settle_sparse(s24m_composed *c)
{
    passing p = {.c = c, .latents = c->latent->best, .to = c->w};
    return s24m_done(s24m_back_loop(c->ctx, decode_rows, &p, c->rows, ROWS));
}

static bool settle_factors(s24m_composed *c, made_parts *made)
{
    int64_t size = c->rows * c->cols;
    s24_mat w = {0};
    float *sparse = s24m_have(malloc((size_t)size * sizeof *sparse));
    if (!sparse)
        return false;
    s24_mat_rowmajor(&made->sparse, sparse, c->rows, c->cols, S24_F32);
    memcpy(sparse, c->w, (size_t)size * sizeof *sparse);
    s24_mat_rowmajor(&w, c->w, c->rows, c->cols, S24_F32);
    return store(c, c->u, c->rows, S24_F32, &made->u) &&
           store(c, c->v, c->rank, S24_F32, &made->v) &&
           s24m_codes_add_product(c->ctx, &made->u, &made->v, &w);
}

bool s24m_composed_settle(s24m_composed *c, made_parts *made, bool *fits)
{
    *made = (made_parts){0};
    *fits = are_finite(c->latent->best, c->latent->count, false);
    bool done = c->group ? settle_grid(c, made, fits) : settle_sparse(c);
    if (done && *fits && c->rank)
        done = settle_factors(c, made);
    *fits = *fits && are_finite(c->w, c->rows * c->cols, false);
    c->settled = true;
    return done;
}
