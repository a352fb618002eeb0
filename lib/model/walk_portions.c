/* A bundle's matrices solved by several ranks: each solves its portions of their rows, packs what
 * came of them into a parcel, and unpacks those of all. */
#include "fail.h"
#include "json.h"
#include "walk_step.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSSES = RECORD_TEST_DENSE_LOSS - RECORD_LOSS + 1 };

/* ---- Parcels ---- */

typedef struct parcel {
    char *bytes;
    size_t size, room, at; /* at: behind what was read */
} parcel;

static bool put(parcel *p, const void *data, size_t size)
{
    if (p->size + size > p->room) {
        size_t room = 2 * p->room + size;
        char *more = s24m_have(realloc(p->bytes, room));
        if (!more)
            return false;
        p->bytes = more;
        p->room = room;
    }
    memcpy(p->bytes + p->size, data, size);
    p->size += size;
    return true;
}

/* NULL, and the error: it has less. */
static const void *get(parcel *p, size_t size)
{
    const void *data = p->bytes + p->at;
    if (size > p->size - p->at) {
        s24m_wrong(S24_E_INTERNAL, "what a rank sent ends too early");
        return NULL;
    }
    p->at += size;
    return data;
}

/* What comes before the values of a portion. */
typedef struct heading {
    int32_t which, parts, store, width;   /* width: bytes of a value */
    int64_t first, count, json;           /* rows; bytes of the record */
    double losses[LOSSES], norms[LOSSES]; /* norms NaN: not measured */
} heading;

typedef struct part_heading {
    char name[S24M_PART_NAME];
    int64_t rows, cols;
    int32_t dtype, width;
} part_heading;

/* ---- What this rank solves ---- */

/* Codes say more than the stored type holds. */
static bool narrow(const matrix *m, s24_ctx *ctx, s24_mat *values)
{
    matrix sent = *m;
    if (s24m_matrix_has_parts(m))
        sent.store = S24_F32;
    return s24m_matrix_narrow(&sent, ctx, values);
}

static int32_t width_of(int32_t dtype)
{
    return (dtype & 0xff) / 8; /* the low byte of a type is its width in bits */
}

static bool put_parts(parcel *to, const matrix *m)
{
    const char *name;
    s24_mat values;
    bool done = true;
    for (int32_t i = 0; done && s24m_result_part(m->result, i, &name, &values); i++) {
        part_heading h = {.rows = values.rows,
                          .cols = values.cols,
                          .dtype = values.dtype,
                          .width = width_of(values.dtype)};
        strncpy(h.name, name, sizeof h.name - 1);
        done = put(to, &h, sizeof h) &&
               put(to, values.data, (size_t)(values.rows * values.cols * h.width));
    }
    return done;
}

static int32_t count_parts(const matrix *m)
{
    const char *name;
    s24_mat values;
    int32_t count = 0;
    while (s24m_result_part(m->result, count, &name, &values))
        count++;
    return count;
}

static bool put_portion(parcel *to, const matrix *m, s24_ctx *ctx, int32_t which, int64_t first)
{
    s24_mat values = {0};
    heading h = {.which = which,
                 .parts = s24m_plan_keeps_result(m->constraints) ? count_parts(m) : 0,
                 .first = first,
                 .count = m->w.rows,
                 .json = (int64_t)strlen(m->record.json)};
    memcpy(h.losses, m->record.number + RECORD_LOSS, sizeof h.losses);
    memcpy(h.norms, m->norms, sizeof h.norms);
    bool done = narrow(m, ctx, &values);
    h.store = values.dtype;
    h.width = width_of(values.dtype);
    done = done && put(to, &h, sizeof h) &&
           put(to, values.data, (size_t)(m->w.rows * m->w.cols * h.width)) &&
           put(to, m->record.json, (size_t)h.json) && (!h.parts || put_parts(to, m));
    free(values.data);
    return done;
}

static bool solve_portion(step *s, bundle *b, const portion *p, parcel *to)
{
    walk *w = s->w;
    int32_t which = b->group.first + p->i;
    double norms[LOSSES], flops = NAN;
    matrix m = s->matrices[which];
    sums calib, held;
    m.w.data = (float *)m.w.data + p->first * m.w.cols;
    m.w.rows = p->count;
    m.norms = norms;
    for (int i = 0; i < LOSSES; i++)
        norms[i] = NAN;
    if (b->group.expert >= 0)
        m.tokens = b->tokens[0];
    bool done = s24m_bundle_aim(s, b, p->i, &m.w);
    s24m_bundle_sums(b, p->i, &calib, &held);
    done = done && s24m_walk_show(s, m.kind, 0) && w->solve(&m, w->settings, &calib, &held) &&
           put_portion(to, &m, w->settings->ctx, which, p->first);
    if (done && s24_result_float(m.result, "flops", &flops) == S24_OK && !isnan(flops))
        w->flops += flops;
    s24m_bundle_aimed(b, p->i);
    m.order = NULL; /* the matrix's */
    s24m_matrix_close(&m);
    return done;
}

/* ---- What all have solved ---- */

/* Of one matrix. */
typedef struct united {
    int32_t portions;
    double losses[LOSSES], norms[LOSSES];
} united;

static bool take_values(matrix *m, const heading *h, s24_ctx *ctx, parcel *from)
{
    const void *data = get(from, (size_t)(h->count * m->w.cols * h->width));
    s24_mat sent = {0}, rows = {0};
    if (!m->v)
        m->v = s24m_have(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    if (!data || !m->v)
        return false;
    void *aligned = s24m_have(malloc((size_t)(h->count * m->w.cols * h->width) + 1));
    if (aligned)
        memcpy(aligned, data, (size_t)(h->count * m->w.cols * h->width));
    s24_mat_rowmajor(&sent, aligned, h->count, m->w.cols, h->store);
    s24_mat_rowmajor(&rows, m->v + h->first * m->w.cols, h->count, m->w.cols, S24_F32);
    bool done = aligned && s24m_good(s24_mat_copy(ctx, &sent, &rows), "%s", m->tensor);
    free(aligned);
    return done;
}

/* Parts have a row for each of the portion's, or belong to a matrix that is whole. */
static bool take_part(matrix *m, const heading *h, parcel *from)
{
    part_heading p;
    const void *data = get(from, sizeof p);
    if (!data)
        return false;
    memcpy(&p, data, sizeof p);
    bool whole = h->count == m->w.rows;
    size_t row = (size_t)(p.cols * p.width);
    const char *values = get(from, (size_t)p.rows * row);
    if (!values || !m->parts)
        return false;
    if (!whole && p.rows != h->count)
        return s24m_wrong(S24_E_INTERNAL, "%s: %s of %lld rows", m->tensor, p.name,
                          (long long)h->count);
    s24m_part *to =
        s24m_gathered_part(m->parts, p.name, whole ? p.rows : m->w.rows, p.cols, p.dtype);
    if (to)
        memcpy((char *)to->values.data + (whole ? 0 : (size_t)h->first * row), values,
               (size_t)p.rows * row);
    return to;
}

static bool take_parts(matrix *m, const heading *h, parcel *from)
{
    bool done = true;
    if (h->parts && !m->parts)
        m->parts = s24m_have(calloc(1, sizeof *m->parts));
    for (int32_t i = 0; done && i < h->parts; i++)
        done = take_part(m, h, from);
    return done;
}

/* Numbers of the solves of a matrix's rows: those that add up, and those of which the largest
 * counts. */
static bool unite_numbers(record *r, const record *more)
{
    static const char *const added[] = {"rows", "flops", "swaps", "size", "zeros"};
    static const char *const largest[] = {"seconds", "peak_bytes", "iterations", "residual"};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        double sum = s24m_json_number(r->json, added[i]) + s24m_json_number(more->json, added[i]);
        if (!isnan(sum))
            r->json = s24m_json_put_number(r->json, added[i], sum);
    }
    for (size_t i = 0; i < sizeof largest / sizeof *largest; i++) {
        double most =
            fmax(s24m_json_number(r->json, largest[i]), s24m_json_number(more->json, largest[i]));
        if (!isnan(most))
            r->json = s24m_json_put_number(r->json, largest[i], most);
    }
    return r->json;
}

static bool take_record(matrix *m, const heading *h, parcel *from, united *u)
{
    const char *data = get(from, (size_t)h->json);
    char *json = data ? s24m_have(strndup(data, (size_t)h->json)) : NULL;
    record more;
    if (!json)
        return false;
    bool done = s24m_record_read(&more, json);
    free(json);
    if (done && !u->portions) {
        m->record = more;
    } else if (done) {
        done = unite_numbers(&m->record, &more);
        s24m_record_close(&more);
    }
    for (int i = 0; i < LOSSES; i++) {
        u->losses[i] += h->norms[i] > 0 ? h->losses[i] * h->norms[i] : 0;
        u->norms[i] += h->norms[i];
    }
    u->portions += done;
    return done;
}

static bool take_parcel(step *s, const bundle *b, parcel *from, united *u)
{
    bool done = true;
    while (done && from->at < from->size) {
        heading h;
        const void *data = get(from, sizeof h);
        if (!data)
            return false;
        memcpy(&h, data, sizeof h);
        matrix *m = s->matrices + h.which;
        done = take_values(m, &h, s->w->settings->ctx, from) &&
               take_record(m, &h, from, u + h.which - b->group.first) && take_parts(m, &h, from);
    }
    return done;
}

/* The record of rows that several ranks solved. Losses add up; relative ones do not. */
static bool seal(matrix *m, const united *u)
{
    static const char *const names[LOSSES] = {
        "relative_loss",      "target_relative_loss",      "dense_relative_loss",
        "test_relative_loss", "test_target_relative_loss", "test_dense_relative_loss"};
    char *json = m->record.json;
    m->record.json = NULL;
    for (int i = 0; i < LOSSES; i++)
        if (!isnan(u->norms[i]))
            json = s24m_json_put_number(json, names[i],
                                        u->norms[i] > 0 ? u->losses[i] / u->norms[i] : 0);
    json = s24m_json_put_number(json, "ranks", u->portions);
    s24m_record_close(&m->record);
    bool done = json && s24m_record_read(&m->record, json);
    free(json);
    return done;
}

/* Each warns of its own portions. */
static void warn(const step *s, const bundle *b, int32_t i)
{
    const matrix *m = s->matrices + b->group.first + i;
    bool said = false;
    for (int32_t p = 0; p < b->portions; p++)
        said |= b->mine[p].i == i;
    if (!said && m->record.text[RECORD_WARNING])
        s24m_watch_log(s->w->settings->watch, 1, "%s: %s", m->tensor,
                       m->record.text[RECORD_WARNING]);
}

static bool unite(step *s, const bundle *b, const united *u)
{
    bool done = true;
    for (int32_t i = 0; done && i < b->group.count; i++) {
        int32_t which = b->group.first + i;
        if (!u[i].portions)
            continue;
        done = u[i].portions == 1 || seal(s->matrices + which, u + i);
        warn(s, b, i);
        s->compressed->linear[which].weights.data = s->matrices[which].v;
    }
    return done;
}

/* The parcel of each rank in turn. */
static bool deliver(step *s, bundle *b, bool done, parcel *mine)
{
    s24m_ranks *r = s->w->settings->ranks;
    united u[S24M_ABREAST] = {{0}};
    int64_t size = (int64_t)mine->size;
    int64_t *sizes = s24m_have(calloc((size_t)s24m_rank_count(r), sizeof *sizes));
    done = s24m_ranks_agree(r, done && sizes) && s24m_ranks_gather(r, &size, sizes, sizeof size);
    for (int32_t rank = 0; done && rank < s24m_rank_count(r); rank++) {
        parcel theirs = {.size = (size_t)sizes[rank]};
        if (!sizes[rank])
            continue;
        theirs.bytes = rank == s24m_rank(r) ? mine->bytes : s24m_have(malloc(theirs.size));
        done = s24m_ranks_agree(r, theirs.bytes != NULL) &&
               s24m_ranks_broadcast(r, theirs.bytes, theirs.size, rank) &&
               take_parcel(s, b, &theirs, u);
        if (theirs.bytes != mine->bytes)
            free(theirs.bytes);
        done = s24m_ranks_agree(r, done);
    }
    free(sizes);
    return done && unite(s, b, u);
}

bool s24m_portions_solve(step *s, bundle *b)
{
    walk *w = s->w;
    double began = s24_seconds();
    parcel mine = {0};
    bool done = true;
    s24m_walk_part(s);
    for (int32_t p = 0; done && p < b->portions; p++)
        done = solve_portion(s, b, b->mine + p, &mine);
    done = !b->watching || deliver(s, b, done, &mine);
    free(mine.bytes);
    for (int32_t i = 0; i < b->group.count; i++) {
        if (s->matrices[b->group.first + i].v)
            s->compressed->linear[b->group.first + i].weights.data =
                s->matrices[b->group.first + i].v;
        w->seconds[s->part++] = (s24_seconds() - began) / b->group.count;
    }
    return done;
}
