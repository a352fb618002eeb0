/* The sums of a stage over all ranks. Of a gram each rank gets all, of a cross the rows that it
 * solves. What is sent: docs/distributed.md. */
#include "apart.h"
#include "fail.h"
#include "walk_step.h"
#include <stdlib.h>
#include <string.h>

#define WHAT "calibration sums"
enum { STRIP = 1 << 22 }; /* floats of crosses that are sent at once */

/* ---- Who solves what ---- */

static int64_t units_of(const step *s, const bundle *b, int32_t i)
{
    int32_t which = b->group.first + i;
    int64_t unit = b->unit[i], rows = s->matrices[which].w.rows;
    return s24m_wants(s, which) && unit ? (rows + unit - 1) / unit : 0;
}

/* The rows of all matrices that can be shared are divided as if they were one matrix's; one that
 * cannot is solved by a rank alone. */
int32_t s24m_portions_of(const step *s, const bundle *b, int32_t rank, portion to[S24M_ABREAST])
{
    const s24m_ranks *r = s->w->settings->ranks;
    int64_t all = 0, at = 0;
    int32_t count = 0;
    for (int32_t i = 0; i < b->group.count; i++)
        all += units_of(s, b, i);
    s24m_share mine = s24m_share_of(r, rank, all);
    for (int32_t i = 0; i < b->group.count; i++) {
        int32_t which = b->group.first + i;
        int64_t rows = s->matrices[which].w.rows, unit = b->unit[i], units = units_of(s, b, i);
        int64_t first = mine.first - at, end = first + mine.count;
        at += units;
        first = first < 0 ? 0 : first;
        end = end > units ? units : end;
        if (s24m_wants(s, which) && !unit && which % s24m_rank_count(r) == rank)
            to[count++] = (portion){i, 0, rows};
        else if (end > first)
            to[count++] =
                (portion){i, first * unit, (end * unit < rows ? end * unit : rows) - first * unit};
    }
    return count;
}

static bool find_portions(step *s, bundle *b)
{
    bool done = true;
    for (int32_t i = 0; done && i < b->group.count; i++)
        if (s24m_wants(s, b->group.first + i))
            done = s24m_rows_apart(s->w->settings, s->matrices + b->group.first + i, b->unit + i);
    b->portions = done ? s24m_portions_of(s, b, s24m_rank(s->w->settings->ranks), b->mine) : 0;
    return done;
}

/* ---- Grams ---- */

/* Runs of so many rows go to the halves in turn. Where sequences are whole runs, a row is in the
 * half that it is in when one rank has them all. */
static int32_t half_of(const step *s, int held, int32_t half)
{
    enum { RUN = 128 };
    return 1 + (int32_t)((half + s->w->first[held] * s->w->length / RUN) % 2);
}

/* Both halves, summed: the upper triangles row by row, or all of a matrix that is not symmetric. */
typedef struct halves {
    float *values[2];
    double *norms[2]; /* of a cross, one for each of its outputs; behind them the rows */
} halves;

static void free_halves(halves *h)
{
    for (int half = 0; half < 2; half++) {
        free(h->values[half]);
        free(h->norms[half]);
    }
    *h = (halves){0};
}

static float *floats(int64_t count)
{
    return s24m_have(malloc((size_t)count * sizeof(float) + 1));
}

static void pack(float *h, int64_t n)
{
    float *to = h;
    for (int64_t i = 0; i < n; i++, to += n - i + 1)
        memmove(to, h + i * n + i, (size_t)(n - i) * sizeof *h);
}

static void unpack(const float *triangle, float *h, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            h[i * n + j] = h[j * n + i] = *triangle++;
}

/* Sum a gram, which goes. */
static bool sum_gram(const step *s, s24_gram **gram, int held, int64_t n, halves *to)
{
    s24m_ranks *r = s->w->settings->ranks;
    bool done = true;
    for (int half = 0; done && half < 2; half++) {
        float *h = to->values[half] = floats(n * n);
        double *rows = to->norms[half] = s24m_have(calloc(1, sizeof *rows));
        s24_mat view = walk_view(h, n, n);
        done = h && rows &&
               s24m_good(s24_gram_export(*gram, half_of(s, held, half), &view, rows), WHAT);
        if (done)
            pack(h, n);
        done =
            s24m_ranks_sum(r, done, rows, 1) && s24m_ranks_sum_floats(r, done, h, n * (n + 1) / 2);
        float *less = done ? realloc(h, (size_t)(n * (n + 1) / 2) * sizeof *h) : NULL;
        to->values[half] = less ? less : h;
    }
    s24_gram_destroy(*gram);
    *gram = NULL;
    return done;
}

static bool put_gram(s24_gram *gram, int64_t n, const halves *from)
{
    float *h = floats(n * n);
    s24_mat view = walk_view(h, n, n);
    bool done = h;
    for (int half = 0; done && half < 2; half++) {
        unpack(from->values[half], h, n);
        done = s24m_good(s24_gram_import(gram, half + 1, &view, *from->norms[half]), WHAT);
    }
    free(h);
    return done;
}

static bool create_gram(const step *s, int64_t n, s24_gram **gram)
{
    return s24m_good(s24_gram_create(s->w->settings->ctx, n, S24_F32, gram), WHAT);
}

/* One that no cross hangs on. */
static bool join_gram(const step *s, s24_gram **gram, int held, int64_t n)
{
    halves sum = {.norms = {NULL}};
    bool done =
        sum_gram(s, gram, held, n, &sum) && create_gram(s, n, gram) && put_gram(*gram, n, &sum);
    free_halves(&sum);
    return done;
}

/* ---- A cross that all need whole ---- */

static bool sum_cross(const step *s, s24_cross **cross, int held, int64_t n, halves *to)
{
    s24m_ranks *r = s->w->settings->ranks;
    bool done = true;
    for (int half = 0; done && half < 2; half++) {
        float *c = to->values[half] = floats(n * n);
        double *norms = to->norms[half] = s24m_have(calloc((size_t)n + 1, sizeof *norms));
        s24_mat view = walk_view(c, n, n);
        done = c && norms &&
               s24m_good(s24_cross_export(*cross, half_of(s, held, half), &view, norms, norms + n),
                         WHAT);
        done = s24m_ranks_sum(r, done, norms, n + 1) && s24m_ranks_sum_floats(r, done, c, n * n);
    }
    s24_cross_destroy(*cross);
    *cross = NULL;
    return done;
}

static bool put_cross(s24_cross *cross, int64_t rows, int64_t n, const halves *from)
{
    bool done = true;
    for (int half = 0; done && half < 2; half++) {
        s24_mat view = walk_view(from->values[half], rows, n);
        done = s24m_good(
            s24_cross_import(cross, half + 1, &view, from->norms[half], from->norms[half][rows]),
            WHAT);
    }
    return done;
}

/* ---- Crosses of which each rank gets its rows ---- */

/* Where the norms of a matrix's outputs begin among those of its bundle; behind them stand the rows
 * that are in its cross. */
static int64_t norms_at(const step *s, const bundle *b, int32_t i)
{
    int64_t at = 0;
    for (int32_t k = 0; k < i; k++)
        if (s24m_wants(s, b->group.first + k))
            at += s->matrices[b->group.first + k].w.rows + 1;
    return at;
}

/* What this rank has of one half. */
typedef struct crosses {
    float *values[S24M_ABREAST];
    double *norms;
} crosses;

static void free_values(crosses *c)
{
    for (int i = 0; i < S24M_ABREAST; i++)
        free(c->values[i]);
}

static bool export_crosses(const step *s, const bundle *b, int held, int half, crosses *c)
{
    int64_t n = b->group.inputs, all = norms_at(s, b, b->group.count);
    bool done = (c->norms = s24m_have(calloc((size_t)all + 1, sizeof *c->norms)));
    for (int32_t i = 0; done && i < b->group.count; i++) {
        int64_t rows = s->matrices[b->group.first + i].w.rows;
        double *norms = c->norms + norms_at(s, b, i);
        if (!s24m_wants(s, b->group.first + i))
            continue;
        s24_mat view = walk_view(c->values[i] = floats(rows * n), rows, n);
        done = c->values[i] && s24m_good(s24_cross_export(b->cross[held][i], half_of(s, held, half),
                                                          &view, norms, norms + rows),
                                         WHAT);
    }
    return done;
}

/* The rows that each rank solves, one behind the other; and the most of one rank. */
typedef struct wanted_rows {
    portion (*of)[S24M_ABREAST];
    int32_t *count;
    int64_t most;
} wanted_rows;

static bool find_rows(const step *s, const bundle *b, wanted_rows *w)
{
    int32_t ranks = s24m_rank_count(s->w->settings->ranks);
    w->of = s24m_have(calloc((size_t)ranks, sizeof *w->of));
    w->count = s24m_have(calloc((size_t)ranks, sizeof *w->count));
    w->most = 0;
    for (int32_t rank = 0; w->of && w->count && rank < ranks; rank++) {
        int64_t rows = 0;
        w->count[rank] = s24m_portions_of(s, b, rank, w->of[rank]);
        for (int32_t p = 0; p < w->count[rank]; p++)
            rows += w->of[rank][p].count;
        w->most = rows > w->most ? rows : w->most;
    }
    return w->of && w->count;
}

static void free_rows(wanted_rows *w)
{
    free(w->of);
    free(w->count);
}

/* The t-th row of a rank's; NULL: it has fewer. */
static const float *row_of(const wanted_rows *w, const crosses *c, int32_t rank, int64_t t,
                           int64_t n)
{
    for (int32_t p = 0; p < w->count[rank]; p++) {
        const portion *part = &w->of[rank][p];
        if (t < part->count)
            return c->values[part->i] + (part->first + t) * n;
        t -= part->count;
    }
    return NULL;
}

/* The rows of one half on their way. */
typedef struct scatter {
    s24m_ranks *ranks;
    const wanted_rows *wanted;
    const crosses *from;
    int64_t n, strip; /* floats of a row; rows of each rank that are sent at once */
    float *send, *receive;
} scatter;

/* `count` rows of each rank from its `first` on; what comes is added into `sum`. */
static bool send_rows(const scatter *x, int64_t first, int64_t count, float *sum)
{
    int32_t ranks = s24m_rank_count(x->ranks);
    size_t piece = (size_t)(count * x->n), row_bytes = (size_t)x->n * sizeof(float);
    memset(x->send, 0, (size_t)ranks * piece * sizeof(float));
    for (int32_t rank = 0; rank < ranks; rank++)
        for (int64_t t = 0; t < count; t++) {
            const float *row = row_of(x->wanted, x->from, rank, first + t, x->n);
            if (row)
                memcpy(x->send + (size_t)rank * piece + t * x->n, row, row_bytes);
        }
    if (!s24m_ranks_exchange(x->ranks, x->send, x->receive, piece * sizeof(float)))
        return false;
    for (size_t i = 0; i < piece; i++) {
        double value = x->receive[i];
        for (int32_t rank = 1; rank < ranks; rank++)
            value += x->receive[(size_t)rank * piece + i];
        sum[i] = (float)value;
    }
    return true;
}

/* values (most, n): this rank's rows, those of all ranks added. */
static bool scatter_rows(const step *s, const wanted_rows *w, const crosses *c, int64_t n,
                         float *values)
{
    scatter x = {.ranks = s->w->settings->ranks, .wanted = w, .from = c, .n = n};
    int64_t ranks = s24m_rank_count(x.ranks), strip = STRIP / (ranks * n);
    x.strip = strip < 1 ? 1 : strip < w->most ? strip : w->most;
    bool done = values && (x.send = floats(ranks * x.strip * n)) &&
                (x.receive = floats(ranks * x.strip * n));
    done = s24m_ranks_agree(x.ranks, done);
    for (int64_t t = 0; done && t < w->most; t += x.strip)
        done = send_rows(&x, t, w->most - t < x.strip ? w->most - t : x.strip, values + t * n);
    free(x.send);
    free(x.receive);
    return done;
}

static void drop_crosses(bundle *b, int held)
{
    for (int i = 0; i < S24M_ABREAST; i++) {
        s24_cross_destroy(b->cross[held][i]);
        b->cross[held][i] = NULL;
    }
}

/* Sum the crosses of a bundle, which go: values of the rows that this rank solves, norms of all. */
static bool sum_crosses(const step *s, bundle *b, int held, halves *to)
{
    int64_t n = b->group.inputs, all = norms_at(s, b, b->group.count);
    wanted_rows w = {0};
    bool done = find_rows(s, b, &w);
    for (int half = 0; half < 2; half++) {
        crosses c = {.norms = NULL};
        done = done && export_crosses(s, b, held, half, &c);
        to->norms[half] = c.norms;
        done = s24m_ranks_sum(s->w->settings->ranks, done, c.norms, all);
        to->values[half] = done ? floats((w.most + 1) * n) : NULL;
        done = done && scatter_rows(s, &w, &c, n, to->values[half]);
        free_values(&c);
    }
    free_rows(&w);
    drop_crosses(b, held);
    return done;
}

/* Of this rank's portions, hung on the gram before it has rows. */
static bool hang_crosses(bundle *b, int held)
{
    bool done = true;
    for (int32_t p = 0; done && p < b->portions; p++)
        done = s24m_good(
            s24_cross_create(b->gram[held], b->mine[p].count, &b->cross[held][b->mine[p].i]), WHAT);
    return done;
}

static bool put_portion(const step *s, bundle *b, int held, const portion *p,
                        const float *const at[2], const halves *from)
{
    int64_t rows = s->matrices[b->group.first + p->i].w.rows;
    bool done = true;
    for (int half = 0; done && half < 2; half++) {
        const double *norms = from->norms[half] + norms_at(s, b, p->i);
        s24_mat view = walk_view(at[half], p->count, b->group.inputs);
        done = s24m_good(
            s24_cross_import(b->cross[held][p->i], half + 1, &view, norms + p->first, norms[rows]),
            WHAT);
    }
    return done;
}

static bool put_portions(const step *s, bundle *b, int held, const halves *from)
{
    const float *at[2] = {from->values[0], from->values[1]};
    bool done = true;
    for (int32_t p = 0; done && p < b->portions; p++) {
        done = put_portion(s, b, held, b->mine + p, at, from);
        for (int half = 0; half < 2; half++)
            at[half] += b->mine[p].count * b->group.inputs;
    }
    return done;
}

/* ---- All sums of a stage ---- */

static bool join_sums(const step *s, bundle *b, int held)
{
    int64_t n = b->group.inputs;
    bool own = corrects(s->w) && !s->stage->routed && !b->sharing;
    halves gram = {.norms = {NULL}}, cross = {.norms = {NULL}};
    bool done = (!own || sum_crosses(s, b, held, &cross)) &&
                (!b->sharing || sum_cross(s, &b->shared[held], held, n, &cross)) &&
                sum_gram(s, &b->gram[held], held, n, &gram) && create_gram(s, n, &b->gram[held]);
    done = done && (!own || hang_crosses(b, held)) &&
           (!b->sharing || s24m_good(s24_cross_create(b->gram[held], n, &b->shared[held]), WHAT)) &&
           put_gram(b->gram[held], n, &gram) && (!own || put_portions(s, b, held, &cross)) &&
           (!b->sharing || put_cross(b->shared[held], n, n, &cross));
    free_halves(&gram);
    free_halves(&cross);
    return done && (!b->sharing || join_gram(s, &b->dense[held], held, n));
}

static bool join_tokens(const step *s, bundle *b)
{
    double tokens[2] = {(double)b->tokens[0], (double)b->tokens[1]};
    bool done = s24m_ranks_sum(s->w->settings->ranks, true, tokens, 2);
    b->tokens[0] = (int64_t)tokens[0];
    b->tokens[1] = (int64_t)tokens[1];
    return done;
}

bool s24m_bundles_join(step *s)
{
    bool done = true;
    if (!s24m_together(s->w->settings->ranks))
        return true;
    for (bundle *b = s->bundles; done && b < s->bundles + s->count_bundles; b++) {
        if (!b->watching)
            continue;
        done = find_portions(s, b) && (b->group.expert < 0 || join_tokens(s, b));
        for (int held = 0; done && held < 2 && s->w->all[held]; held++)
            done = join_sums(s, b, held);
    }
    return done && (!s->pooling || join_gram(s, &s->pool, 0, s->bundles->group.inputs));
}
