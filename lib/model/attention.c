#include "cache.h"
#include "exponential.h"
#include "family.h"
#include "extents.h"
#include "heads.h"
#include "rope.h"
#include "steps.h"
#include "tensors.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- Where heads stand ---- */

/* Side by side. */
static heads plain(float *data, int64_t count, int64_t size)
{
    return (heads){data, count * size, count, 1, size, size};
}

void s24m_find_heads(const s24m_model *model, float *const out[S24M_ABREAST], heads *q, heads *k,
                     heads *v)
{
    const s24m_config *f = &model->config;
    int64_t size = f->head_dim, n = f->heads, kv = f->kv_heads, each = n / kv;
    int64_t all = (n + 2 * kv) * size;
    float *data = out[0];
    switch (f->qkv) {
    case S24M_BLOCKS:
        *q = (heads){data, all, n, 1, size, size};
        *k = (heads){data + n * size, all, kv, 1, size, size};
        *v = (heads){data + (n + kv) * size, all, kv, 1, size, size};
        return;
    case S24M_BY_HEAD:
    case S24M_BY_GROUP:
        *q = (heads){data, all, n, each, (each + 2) * size, size};
        *k = (heads){data + each * size, all, kv, 1, (each + 2) * size, size};
        *v = (heads){data + (each + 1) * size, all, kv, 1, (each + 2) * size, size};
        return;
    case S24M_SWITCHED:
        *q = (heads){data, 2 * n * size, n, 1, 2 * size, size};
        break;
    default:
        *q = plain(data, n, size);
    }
    *k = plain(out[1], kv, size);
    *v = plain(out[2], kv, size);
}

/* ---- Norms of heads, rotary embedding ---- */

/* Tokens that stand before those of the chunk, and tokens of a whole row. */
static int64_t past_of(const s24m_stream *c)
{
    return c->cache ? c->cache->past : 0;
}

static int64_t whole_of(const s24m_stream *c)
{
    return c->cache ? c->cache->length : c->length;
}

/* Tables for rows of this length: the angle of a position may depend on it. */
static s24_status make_tables(const s24m_rope *rope, s24m_angles *angles, int64_t length)
{
    int64_t pairs = rope->size / 2;
    if (length == angles->length)
        return S24_OK;
    float *cosine = s24m_floats(length * pairs), *sine = s24m_floats(length * pairs);
    if (!cosine || !sine) {
        free(cosine);
        free(sine);
        return S24_E_MEMORY;
    }
    for (int64_t i = 0; i < pairs; i++) {
        double frequency = s24m_rope_frequency(rope, i, length);
        for (int64_t p = 0; p < length; p++) {
            cosine[p * pairs + i] = (float)(rope->attention * cos((double)p * frequency));
            sine[p * pairs + i] = (float)(rope->attention * sin((double)p * frequency));
        }
    }
    free(angles->cosine);
    free(angles->sine);
    *angles = (s24m_angles){cosine, sine, length};
    return S24_OK;
}

/* Turn each pair (a, b) of one head by its angle. */
static void rotate(float *head, const float *cosine, const float *sine, int64_t pairs,
                   bool interleaved)
{
    int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : pairs;
    for (int64_t i = 0; i < pairs; i++) {
        float *a = head + i * step, *b = a + apart, old = *a;
        *a = old * cosine[i] - *b * sine[i];
        *b = old * sine[i] + *b * cosine[i];
    }
}

typedef struct rotary_job {
    const s24m_stream *c;
    const heads *at;
    const float *gain;     /* of the norms, or NULL */
    const s24m_rope *rope; /* NULL: these layers do not turn */
    const s24m_angles *angles;
    bool stretches; /* it is q, which may grow with the position */
} rotary_job;

/* All heads of a token together; they stand side by side. */
static void norm_wide(const rotary_job *j, int64_t token)
{
    const s24m_model *m = j->c->model;
    float *row = head_at(j->at, token, 0);
    s24m_norm_row(m->family->norm, j->gain, NULL, m->config.eps, row,
                  j->at->count * m->config.head_dim, row);
}

static void norm_head(const rotary_job *j, int64_t head, float *x)
{
    const s24m_model *m = j->c->model;
    int64_t size = m->config.head_dim;
    s24m_head_norms kind = m->family->head_norms;
    if (j->gain && kind != S24M_WIDE_NORMS)
        s24m_norm_row(m->family->norm, j->gain + (kind == S24M_OWN_NORMS ? head * size : 0), NULL,
                      m->config.eps, x, size, x);
}

float s24m_stretch(const s24m_rope *rope, int64_t position)
{
    double turns = floor((double)position / rope->trained);
    return (float)(1 + rope->beta * log1p(turns));
}

static void stretch(const rotary_job *j, int64_t position, float *x)
{
    int64_t size = j->c->model->config.head_dim;
    float by = s24m_stretch(j->rope, position);
    for (int64_t i = 0; i < size; i++)
        x[i] *= by;
}

static void turn_head(const rotary_job *j, int64_t head, int64_t position, float *x)
{
    const s24m_model *m = j->c->model;
    bool late = m->family->norms_after_rotation;
    if (!late)
        norm_head(j, head, x);
    if (j->rope) {
        int64_t pairs = j->rope->size / 2;
        rotate(x, j->angles->cosine + position * pairs, j->angles->sine + position * pairs, pairs,
               m->config.interleaved);
        if (j->stretches && j->rope->beta > 0)
            stretch(j, position, x);
    }
    if (late)
        norm_head(j, head, x);
}

static void rotate_rows(void *arg, int64_t first, int64_t last)
{
    const rotary_job *j = arg;
    for (int64_t r = first; r < last; r++) {
        if (j->gain && j->c->model->family->head_norms == S24M_WIDE_NORMS)
            norm_wide(j, r);
        for (int64_t n = 0; n < j->at->count; n++)
            turn_head(j, n, past_of(j->c) + r % j->c->length, head_at(j->at, r, n));
    }
}

/* Both in place. */
static s24_status turn(const s24m_stream *c, const heads *q, const heads *k)
{
    s24m_model *m = c->model;
    int which = m->layer[c->block->layer].rope;
    float *const *gain = c->block->gain;
    rotary_job of_q = {.c = c, .at = q, .gain = gain[S24M_Q_NORM - S24M_ROLES], .stretches = true};
    rotary_job of_k = {.c = c, .at = k, .gain = gain[S24M_K_NORM - S24M_ROLES]};
    s24_status status = S24_OK;
    if (which != S24M_NO_ROPE) {
        of_q.rope = of_k.rope = &m->config.rope[which];
        of_q.angles = of_k.angles = &m->angles[which];
        status = make_tables(of_q.rope, &m->angles[which], whole_of(c));
    }
    if (!status)
        status = s24m_rows(m, rotate_rows, &of_q, c->sequences * c->length);
    return status ? status : s24m_rows(m, rotate_rows, &of_k, c->sequences * c->length);
}

/* ---- Softmax attention ---- */

enum { QUERIES = 128 };

typedef struct attention_job {
    const s24m_stream *c;
    heads q, k, v;
    float *out;
    const float *sinks;
    int64_t window, blocks; /* blocks of queries in a sequence */
    _Atomic s24_status status;
} attention_job;

/* scores[0 .. count) = e^(scale * (score - largest)); returns their sum, in one order whatever the
 * vector unit, with e^(sink - largest) of a score that stands for nothing. */
S24M_VECTOR static float exponentials(float *scores, int64_t count, float scale, const float *sink)
{
    enum { LANES = 16 };
    float largest[LANES], sum[LANES] = {0}, top, total = 0;
    int64_t i;
    for (int l = 0; l < LANES; l++)
        largest[l] = scores[0];
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            largest[l] = scores[i + l] > largest[l] ? scores[i + l] : largest[l];
    for (top = largest[0]; i < count; i++)
        top = scores[i] > top ? scores[i] : top;
    for (int l = 0; l < LANES; l++)
        top = largest[l] > top ? largest[l] : top;
    if (sink) {
        top = *sink > top ? *sink : top;
        total = exponential(*sink - top);
    }
    for (i = 0; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += scores[i + l] = exponential((scores[i + l] - top) * scale);
    for (; i < count; i++)
        total += scores[i] = exponential((scores[i] - top) * scale);
    for (int l = 0; l < LANES; l++)
        total += sum[l];
    return total;
}

static int64_t power_of_two(int64_t count)
{
    int64_t power = 1;
    while (2 * power <= count)
        power *= 2;
    return power;
}

/* Of a power of two of heads 2^(-8 i / heads), i from 1. Others take those of the smaller power,
 * then every second of the larger one; or every second of the larger one, then those between. */
static double slope(s24m_alibi kind, int64_t head, int64_t count)
{
    int64_t power = power_of_two(count), place = head + 1;
    if (power != count && kind == S24M_ALIBI_EVERY) {
        place = head < power ? 2 * (head + 1) : 2 * (head - power) + 1;
        power *= 2;
    } else if (head >= power) {
        place = 2 * (head - power) + 1;
        power *= 2;
    }
    return pow(2, -8.0 * (double)place / (double)power);
}

/* To the nearest float of 16 bits that is half a float of 32. */
static double round_half(double x)
{
    union {
        float value;
        uint32_t bits;
    } u = {(float)x};
    u.bits = (u.bits + 0x7fff + (u.bits >> 16 & 1)) & 0xffff0000u;
    return u.value;
}

/* What is added for a key at this place. */
static double rise(const s24m_config *f, s24m_alibi kind, double steep, int64_t place)
{
    return kind == S24M_ALIBI_ROUNDED ? f->scale * round_half(round_half(steep) * (double)place)
                                      : steep * (double)place;
}

void s24m_rises(const s24m_model *model, int64_t head, int64_t low, int64_t count, double *rises)
{
    s24m_alibi kind = model->family->alibi;
    double steep = slope(kind, head, model->config.heads);
    for (int64_t t = 0; t < count; t++)
        rises[t] = rise(&model->config, kind, steep, low + t);
}

/* Soft caps and slopes: the scores of keys from `low` on as they go into the exponential. */
static void shape(const s24m_model *m, int64_t head, int64_t low, int64_t count, float *scores)
{
    const s24m_config *f = &m->config;
    s24m_alibi kind = m->family->alibi;
    double steep = kind ? slope(kind, head, f->heads) : 0;
    for (int64_t t = 0; t < count; t++) {
        double score = f->scale * scores[t];
        if (f->soft_cap > 0)
            score = f->soft_cap * tanh(score / f->soft_cap);
        scores[t] = (float)(score + (kind ? rise(f, kind, steep, low + t) : 0));
    }
}

static bool is_shaped(const attention_job *j)
{
    const s24m_model *m = j->c->model;
    return m->config.soft_cap > 0 || m->family->alibi || j->sinks;
}

/* Rows of a matrix of heads: `count` tokens from `token` on, of one head. */
static s24_mat head_view(const heads *at, int64_t token, int64_t count, int64_t head, int64_t size)
{
    s24_mat view = s24m_mat(head_at(at, token, head), count, size);
    view.row_stride = at->token;
    return view;
}

/* Queries [first, first + count) of one head against the keys from `low` on that any of them
 * sees. */
static s24_status attend(const attention_job *j, int64_t sequence, int64_t head, int64_t first,
                         int64_t count, float *scores)
{
    s24m_model *m = j->c->model;
    const s24m_config *c = &m->config;
    int64_t start = sequence * j->c->length, begins = sequence * whole_of(j->c);
    int64_t place = past_of(j->c) + first, low = j->window < place + 1 ? place + 1 - j->window : 0;
    bool all = m->family->encoder;
    int64_t keys = (all ? whole_of(j->c) : place + count) - low, size = c->head_dim;
    int64_t shared = head / (c->heads / c->kv_heads);
    bool shaped = is_shaped(j);
    float scale = shaped ? 1 : (float)c->scale, sums[QUERIES];
    heads to = plain(j->out, c->heads, size);
    s24_mat q = head_view(&j->q, start + first, count, head, size);
    s24_mat k = head_view(&j->k, begins + low, keys, shared, size);
    s24_mat v = head_view(&j->v, begins + low, keys, shared, size);
    s24_mat out = head_view(&to, start + first, count, head, size);
    s24_mat values = v, p = s24m_mat(scores, count, keys);
    values.rows = v.cols;
    values.cols = v.rows;
    values.row_stride = 1;
    values.col_stride = v.row_stride;
    s24_status status = s24_mat_multiply(m->ctx, &q, &k, &p);
    if (status)
        return status;
    for (int64_t i = 0; i < count; i++) {
        float *row = scores + i * keys;
        int64_t end = all ? keys : place + i + 1 - low;
        int64_t begin = s24m_most(0, place + i + 1 - j->window - low);
        for (int64_t t = 0; t < begin; t++)
            row[t] = 0;
        if (shaped)
            shape(m, head, low + begin, end - begin, row + begin);
        sums[i] = exponentials(row + begin, end - begin, scale, j->sinks ? j->sinks + head : NULL);
        for (int64_t t = end; t < keys; t++)
            row[t] = 0;
    }
    status = s24_mat_multiply(m->ctx, &p, &values, &out);
    for (int64_t i = 0; !status && i < count; i++)
        for (int64_t d = 0; d < size; d++)
            ((float *)out.data)[i * out.row_stride + d] /= sums[i];
    return status;
}

static void attend_tile(void *arg, int64_t tile, int32_t worker)
{
    attention_job *j = arg;
    int64_t count = j->c->model->config.heads, first = tile % j->blocks * QUERIES;
    int64_t head = tile / j->blocks % count, sequence = tile / j->blocks / count;
    int64_t left = j->c->length - first, size = left < QUERIES ? left : QUERIES;
    int64_t keys = j->c->model->family->encoder ? whole_of(j->c) : past_of(j->c) + first + size;
    float *scores = malloc((size_t)(size * keys) * sizeof *scores);
    s24_status status =
        scores ? attend(j, sequence, head, first, size, scores) : (s24_status)S24_E_MEMORY;
    (void)worker;
    free(scores);
    if (status)
        atomic_store(&j->status, status);
}

/* ---- The switch of Qwen3.5's attention ---- */

typedef struct switch_job {
    heads q;
    float *out;
    int64_t count, size;
} switch_job;

/* out *= sigmoid of what stands behind each head of q. */
static void switch_rows(void *arg, int64_t first, int64_t last)
{
    const switch_job *j = arg;
    for (int64_t r = first; r < last; r++)
        for (int64_t n = 0; n < j->count; n++) {
            const float *gate = head_at(&j->q, r, n) + j->size;
            float *out = j->out + (r * j->count + n) * j->size;
            for (int64_t i = 0; i < j->size; i++)
                out[i] /= 1.0f + exponential(-gate[i]);
        }
}

/* ---- The cache ---- */

/* Put the heads of all tokens behind those of their rows that are there, side by side. */
static void put(const s24m_stream *c, const heads *from, float *rows)
{
    int64_t size = c->model->config.head_dim, width = from->count * size;
    for (int64_t t = 0; t < c->sequences * c->length; t++) {
        int64_t place = t / c->length * c->cache->length + c->cache->past + t % c->length;
        for (int64_t n = 0; n < from->count; n++)
            memcpy(rows + place * width + n * size, head_at(from, t, n),
                   (size_t)size * sizeof *rows);
    }
}

/* From now on keys and values are those of the whole rows. */
static void use_cache(const s24m_stream *c, heads *k, heads *v)
{
    int64_t size = c->model->config.head_dim;
    float *rows[2];
    s24m_cache_rows(c->cache, c->block->layer, rows);
    put(c, k, rows[0]);
    put(c, v, rows[1]);
    *k = plain(rows[0], k->count, size);
    *v = plain(rows[1], v->count, size);
}

/* ---- All of it ---- */

s24_status s24m_step_attention(const s24m_stream *c, const s24m_stage *s, float *next)
{
    s24m_model *m = c->model;
    const s24m_config *f = &m->config;
    int64_t length = c->length, tokens = c->sequences * length;
    attention_job j = {.c = c, .out = next, .sinks = c->block->gain[S24M_SINKS - S24M_ROLES]};
    (void)s;
    if (length < 1 || whole_of(c) > f->context)
        return s24m_fail(S24_E_ARG, "sequences of %lld tokens, but the model takes 1 .. %lld",
                         (long long)whole_of(c), (long long)f->context);
    s24m_find_heads(m, c->out, &j.q, &j.k, &j.v);
    j.window = m->layer[c->block->layer].windowed ? f->window : INT64_MAX;
    j.blocks = (length + QUERIES - 1) / QUERIES;
    s24_status status = turn(c, &j.q, &j.k);
    if (!status && c->cache)
        use_cache(c, &j.k, &j.v);
    if (!status)
        status = s24m_library(
            s24_ctx_parallel(m->ctx, attend_tile, &j, c->sequences * f->heads * j.blocks),
            "attention");
    if (!status && j.status)
        status = s24m_fail(j.status, "attention: %s", s24_status_name(j.status));
    switch_job out = {j.q, next, f->heads, f->head_dim};
    return status || m->config.qkv != S24M_SWITCHED ? status
                                                    : s24m_rows(m, switch_rows, &out, tokens);
}

/* Masked pairs count for nothing. */
double s24m_flops_attention(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                            int64_t sequences, int64_t length)
{
    const s24m_config *c = &model->config;
    double seen = model->family->encoder ? (double)length : (double)(length + 1) / 2;
    double pairs = (double)length * seen * (double)sequences;
    return s24m_flops_products(model, p, s, sequences, length) +
           4 * pairs * (double)(c->heads * c->head_dim);
}
