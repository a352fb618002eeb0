#include "backward_scalar.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rotation ---- */

static void rotary_rows(void *arg, int64_t first, int64_t last)
{
    const s24m_rotary_back *b = arg;
    int64_t step = b->interleaved ? 2 : 1, apart = b->interleaved ? 1 : b->pairs;
    for (int64_t row = first; row < last; row++) {
        const s24m_real *cosine = b->cosine + row % b->length * b->pairs;
        const s24m_real *sine = b->sine + row % b->length * b->pairs;
        for (int64_t head = 0; head < b->heads; head++) {
            s24m_real *dx = b->dx + (row * b->heads + head) * b->size;
            for (int64_t i = 0; i < b->pairs; i++) {
                s24m_real *x = dx + i * step, *y = x + apart, old = *x;
                s24m_real turn = b->forth ? -sine[i] : sine[i];
                *x = old * cosine[i] + *y * turn;
                *y = *y * cosine[i] - old * turn;
            }
        }
    }
}

s24_status s24m_back_rotary(s24_ctx *ctx, const s24m_rotary_back *b)
{
    enum { ROWS = 16 };
    return s24m_back_loop(ctx, rotary_rows, (void *)(uintptr_t)b, b->tokens, ROWS);
}

/* ---- Attention ---- */

enum { QUERIES = 128, LANES = 16 };

typedef struct attention_job {
    s24_ctx *ctx;
    const s24m_heads *of;
    const s24m_real *q, *k, *v, *dout;
    s24m_real *dq, *dk, *dv;
    _Atomic s24_status status;
} attention_job;

/* Room of a task, which has one key head of one sequence. */
typedef struct task_room {
    s24m_real *p, *dp, *turned; /* QUERIES x length each; the transposed of one of them */
    s24m_real *keys;            /* the key head turned: size x length */
    s24m_real *queries, *sums;  /* queries turned: size x QUERIES; length x size */
} task_room;

static int64_t room_of(const s24m_heads *of)
{
    return 3 * QUERIES * of->length + of->size * (2 * of->length + QUERIES);
}

static task_room cut_room(const s24m_heads *of, s24m_real *room)
{
    int64_t block = QUERIES * of->length;
    s24m_real *keys = room + 3 * block, *queries = keys + of->size * of->length;
    return (task_room){room, room + block, room + 2 * block,
                       keys, queries,      queries + of->size * QUERIES};
}

/* Tokens from `token` on of one head among `heads`. */
static s24m_array head_of(const s24m_real *data, int64_t token, int64_t count, int64_t heads,
                          int64_t head, int64_t size)
{
    s24m_array a = s24m_array_of(data + (token * heads + head) * size, count, size);
    a.stride = heads * size;
    return a;
}

static void add_rows(s24m_array from, s24m_array to)
{
    for (int64_t r = 0; r < from.rows; r++)
        for (int64_t i = 0; i < from.cols; i++)
            to.data[r * to.stride + i] += from.data[r * from.stride + i];
}

static void clear_rows(s24m_array a)
{
    for (int64_t r = 0; r < a.rows; r++)
        memset(a.data + r * a.stride, 0, (size_t)a.cols * sizeof *a.data);
}

/* Weights from scores, which are scaled: softmax in one order whatever the vector unit. `sink`: a
 * score that is not scaled and stands for nothing, or NULL. */
S24M_LOOPS static void softmax(s24m_real *p, int64_t count, s24m_real scale, const s24m_real *sink)
{
    s24m_real lane[LANES] = {0}, top = p[0], sum = 0;
    int64_t i = 0;
    for (int64_t k = 1; k < count; k++)
        top = p[k] > top ? p[k] : top;
    if (sink) {
        top = *sink > top ? *sink : top;
        sum = S24M_EXP(*sink - top);
    }
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += p[i + l] = S24M_EXP((p[i + l] - top) * scale);
    for (; i < count; i++)
        sum += p[i] = S24M_EXP((p[i] - top) * scale);
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    for (i = 0; i < count; i++)
        p[i] /= sum;
}

/* dp = p (dp - sum p dp) scale */
S24M_LOOPS static void back_softmax(const s24m_real *p, s24m_real *dp, int64_t count,
                                    s24m_real scale)
{
    s24m_real lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += p[i + l] * dp[i + l];
    for (; i < count; i++)
        sum += p[i] * dp[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    for (i = 0; i < count; i++)
        dp[i] = p[i] * (dp[i] - sum) * scale;
}

/* Row i of a block of queries from `first` on sees the keys [begin, end) behind `low`. */
typedef struct seen {
    int64_t first, count, low, keys;
} seen;

static seen seen_by(const s24m_heads *of, int64_t first)
{
    int64_t left = of->length - first, count = left < QUERIES ? left : QUERIES;
    int64_t low = of->window < first + 1 ? first + 1 - of->window : 0;
    return of->all ? (seen){first, count, 0, of->length}
                   : (seen){first, count, low, first + count - low};
}

static bool is_shaped(const s24m_heads *of)
{
    return of->soft_cap > 0 || of->rises || of->sinks;
}

/* Scores of keys from `low` on as they go into the exponential, and the slopes of the cap. */
static void shape(const s24m_heads *of, int64_t head, int64_t low, int64_t count, s24m_real *scores,
                  s24m_real *slope)
{
    const s24m_real *rises = of->rises ? of->rises + head * of->length + low : NULL;
    for (int64_t t = 0; t < count; t++) {
        double score = of->scale * scores[t], bent = tanh(score / of->soft_cap);
        bool capped = of->soft_cap > 0;
        slope[t] = capped ? (s24m_real)(1 - bent * bent) : 1;
        scores[t] = (s24m_real)((capped ? of->soft_cap * bent : score) + (rises ? rises[t] : 0));
    }
}

/* From scores and dP to weights and the gradient of the scores' products. */
static void back_row(const s24m_heads *of, int64_t head, int64_t low, int64_t count,
                     s24m_real *const row[3])
{
    s24m_real scale = (s24m_real)of->scale;
    bool shaped = is_shaped(of);
    if (shaped)
        shape(of, head, low, count, row[0], row[2]);
    softmax(row[0], count, shaped ? 1 : scale, of->sinks ? of->sinks + head : NULL);
    back_softmax(row[0], row[1], count, scale);
    for (int64_t t = 0; shaped && t < count; t++)
        row[1][t] *= row[2][t];
}

/* What is not seen has neither weight nor gradient. */
static void back_weights(const s24m_heads *of, int64_t head, const seen *s, const task_room *room)
{
    for (int64_t i = 0; i < s->count; i++) {
        s24m_real *row = room->p + i * s->keys, *drow = room->dp + i * s->keys;
        int64_t place = s->first + i + 1, end = of->all ? s->keys : place - s->low;
        int64_t begin = !of->all && of->window < place ? place - of->window - s->low : 0;
        back_row(of, head, s->low + begin, end - begin,
                 (s24m_real *const[]){row + begin, drow + begin, room->turned});
        for (int64_t t = 0; t < s->keys; t++)
            if (t < begin || t >= end)
                row[t] = drow[t] = 0;
    }
}

/* to += block^T rows: block (queries, keys), rows (queries, size). */
static s24_status add_turned(s24_ctx *ctx, const task_room *room, s24m_array block, s24m_array rows,
                             s24m_array to)
{
    s24m_array sums = s24m_array_of(room->sums, block.cols, rows.cols);
    s24m_turn_here(block, room->turned);
    s24m_turn_here(rows, room->queries);
    s24_status status = s24m_product(ctx, s24m_array_of(room->turned, block.cols, block.rows),
                                     s24m_array_of(room->queries, rows.cols, rows.rows), sums);
    if (!status)
        add_rows(sums, to);
    return status;
}

/* One head's queries from `first` on; `start` is the sequence's first token. */
static s24_status back_block(const attention_job *j, const task_room *room, int64_t start,
                             int64_t head, int64_t first)
{
    const s24m_heads *of = j->of;
    int64_t shared = head / (of->heads / of->kv_heads), size = of->size;
    seen s = seen_by(of, first);
    int64_t low = start + s.low;
    s24m_array q = head_of(j->q, start + first, s.count, of->heads, head, size);
    s24m_array dout = head_of(j->dout, start + first, s.count, of->heads, head, size);
    s24m_array dq = head_of(j->dq, start + first, s.count, of->heads, head, size);
    s24m_array k = head_of(j->k, low, s.keys, of->kv_heads, shared, size);
    s24m_array v = head_of(j->v, low, s.keys, of->kv_heads, shared, size);
    s24m_array dk = head_of(j->dk, low, s.keys, of->kv_heads, shared, size);
    s24m_array dv = head_of(j->dv, low, s.keys, of->kv_heads, shared, size);
    s24m_array p = s24m_array_of(room->p, s.count, s.keys), dp = p, turned;
    dp.data = room->dp;
    s24_status status = s24m_product(j->ctx, q, k, p);
    if (!status)
        status = s24m_product(j->ctx, dout, v, dp);
    if (status)
        return status;
    back_weights(of, head, &s, room);
    turned = (s24m_array){room->keys + s.low, size, s.keys, of->length};
    status = s24m_product(j->ctx, dp, turned, dq);
    if (!status)
        status = add_turned(j->ctx, room, p, dout, dv);
    return status ? status : add_turned(j->ctx, room, dp, q, dk);
}

/* A key head of a sequence with all the queries that share it: nobody else adds to dk and dv. */
static void back_task(void *arg, int64_t task, int32_t worker)
{
    attention_job *j = arg;
    const s24m_heads *of = j->of;
    int64_t shared = task % of->kv_heads, start = task / of->kv_heads * of->length;
    int64_t group = of->heads / of->kv_heads;
    s24m_real *data = malloc((size_t)room_of(of) * sizeof *data);
    task_room room = cut_room(of, data);
    s24_status status = data ? S24_OK : S24_E_MEMORY;
    (void)worker;
    if (data) {
        s24m_turn_here(head_of(j->k, start, of->length, of->kv_heads, shared, of->size), room.keys);
        clear_rows(head_of(j->dk, start, of->length, of->kv_heads, shared, of->size));
        clear_rows(head_of(j->dv, start, of->length, of->kv_heads, shared, of->size));
    }
    for (int64_t head = shared * group; head < (shared + 1) * group; head++)
        for (int64_t first = 0; !status && first < of->length; first += QUERIES)
            status = back_block(j, &room, start, head, first);
    free(data);
    if (status)
        atomic_store(&j->status, status);
}

s24_status s24m_back_attention(s24_ctx *ctx, const s24m_heads *of, const s24m_real *const qkv[3],
                               const s24m_real *dout, s24m_real *const dqkv[3])
{
    attention_job j = {.ctx = ctx,
                       .of = of,
                       .q = qkv[0],
                       .k = qkv[1],
                       .v = qkv[2],
                       .dout = dout,
                       .dq = dqkv[0],
                       .dk = dqkv[1],
                       .dv = dqkv[2]};
    s24_status status =
        s24m_library(s24_ctx_parallel(ctx, back_task, &j, of->sequences * of->kv_heads),
                     "backward pass of attention");
    if (!status && j.status)
        status = s24m_fail(j.status, "backward pass of attention: %s", s24_status_name(j.status));
    return status;
}
