#include "divergence.h"
#include "backward.h"
#include "family.h"
#include "memory.h"
#include "tensors.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 128 };

/* ---- Room ---- */

static int64_t floats_of(const s24m_model *model)
{
    const s24m_config *c = &model->config;
    int64_t rows = CHUNK * (2 + (c->final_soft_cap > 0));
    return rows * c->vocab + CHUNK * c->hidden;
}

/* The model's table, turned, in single precision. */
static bool turn_table(s24m_divergence *d)
{
    const s24m_config *c = &d->model->config;
    s24_mat to = s24m_mat(NULL, c->vocab, c->hidden);
    to.data = d->table = s24m_floats(c->vocab * c->hidden);
    to.row_stride = 1;
    to.col_stride = c->vocab;
    return d->table && s24m_good(s24_mat_copy(d->model->ctx, &d->head.table, &to), "head");
}

static bool check_vocabularies(const s24m_divergence *d)
{
    int64_t ours = d->model->config.vocab, theirs = d->teacher->config.vocab;
    return ours == theirs || s24m_wrong(S24_E_SHAPE,
                                        "the model has a vocabulary of %lld, the dense one of "
                                        "%lld: they are of different kinds",
                                        (long long)ours, (long long)theirs);
}

bool s24m_divergence_open(s24m_divergence *d, const s24m_model *model, const s24m_model *teacher,
                          bool back)
{
    const s24m_config *c = &model->config;
    *d = (s24m_divergence){.model = model, .teacher = teacher, .chunk = CHUNK};
    if ((teacher && !check_vocabularies(d)) || !s24m_done(s24m_head_load(model, &d->head)) ||
        (teacher && !s24m_done(s24m_head_load(teacher, &d->taught))))
        return false;
    float *room = d->logits[0] = s24m_floats(floats_of(model));
    d->losses = s24m_have(malloc(CHUNK * sizeof *d->losses));
    if (!room || !d->losses)
        return false;
    d->logits[1] = room + CHUNK * c->vocab;
    d->dx = d->logits[1] + CHUNK * c->vocab;
    d->slopes = c->final_soft_cap > 0 ? d->dx + CHUNK * c->hidden : NULL;
    return !back || turn_table(d);
}

void s24m_divergence_close(s24m_divergence *d)
{
    s24m_head_free(&d->head);
    s24m_head_free(&d->taught);
    free(d->table);
    free(d->logits[0]);
    free(d->losses);
    *d = (s24m_divergence){0};
}

/* Two tables, if the files do not hold them as products take them, and one turned. */
uint64_t s24m_divergence_bytes(const s24m_model *model)
{
    const s24m_config *c = &model->config;
    return 2 * s24m_memory_table(model) +
           (uint64_t)(c->vocab * c->hidden + floats_of(model)) * sizeof(float);
}

double s24m_divergence_flops(const s24m_model *model)
{
    return 3 * 2 * (double)model->config.vocab * (double)model->config.hidden;
}

/* ---- Back from logits to hidden states ---- */

/* The slope of cap tanh(z / cap) at each logit, 1 - (y / cap)^2. */
static void find_slopes(void *arg, int64_t first, int64_t last)
{
    const s24m_divergence *d = arg;
    int64_t vocab = d->model->config.vocab;
    double cap = d->model->config.final_soft_cap;
    for (int64_t i = first * vocab; i < last * vocab; i++)
        d->slopes[i] = (float)(1 - d->logits[0][i] / cap * (d->logits[0][i] / cap));
}

static void apply_slopes(void *arg, int64_t first, int64_t last)
{
    const s24m_divergence *d = arg;
    int64_t vocab = d->model->config.vocab;
    for (int64_t i = first * vocab; i < last * vocab; i++)
        d->logits[0][i] *= d->slopes[i];
}

static s24_status back(s24m_divergence *d, const float *h, int64_t count, float *dh)
{
    const s24m_config *c = &d->model->config;
    s24m_norm_back norm = {.gain = d->head.norm,
                           .x = h,
                           .dy = d->dx,
                           .count = count,
                           .size = c->hidden,
                           .eps = c->eps,
                           .dx = dh,
                           .dgain = d->head.norm ? d->gain : NULL,
                           .dshift = d->head.shift ? d->shift : NULL,
                           .centred = d->model->family->norm == S24M_LAYER};
    s24_status status = d->slopes ? s24m_rows(d->model, apply_slopes, d, count) : S24_OK;
    if (!status)
        status = s24m_product(d->model->ctx, s24m_array_of(d->logits[0], count, c->vocab),
                              s24m_array_of(d->table, c->hidden, c->vocab),
                              s24m_array_of(d->dx, count, c->hidden));
    memset(dh, 0, (size_t)(count * c->hidden) * sizeof *dh);
    return status ? status : s24m_back_norm(d->model->ctx, &norm);
}

/* ---- Chunks ---- */

static s24_status run_chunk(s24m_divergence *d, const float *h, const float *taught, int64_t count,
                            double scale)
{
    s24_status status = s24m_logits(d->model, &d->head, h, count, d->logits[0]);
    if (!status)
        status = s24m_logits(d->teacher, &d->taught, taught, count, d->logits[1]);
    if (!status && d->slopes)
        status = s24m_rows(d->model, find_slopes, d, count);
    return status ? status
                  : s24m_back_divergence(d->model->ctx, d->logits[0], d->logits[1], count,
                                         d->model->config.vocab, scale, d->losses);
}

bool s24m_divergence_run(s24m_divergence *d, const float *h, const float *taught, int64_t count,
                         double scale, double *sum, float *dh)
{
    int64_t hidden = d->model->config.hidden;
    double factor = scale * d->model->config.logit_scale;
    s24_status status = S24_OK;
    for (int64_t first = 0, now; !status && first < count; first += now) {
        now = count - first < d->chunk ? count - first : d->chunk;
        status = run_chunk(d, h + first * hidden, taught + first * hidden, now, factor);
        for (int64_t i = 0; !status && i < now; i++)
            *sum += d->losses[i];
        if (!status && dh)
            status = back(d, h + first * hidden, now, dh + first * hidden);
    }
    return s24m_done(status);
}

bool s24m_divergence_predict(s24m_divergence *d, const float *h, const int32_t *next, int64_t count,
                             double scale, double *sum, float *dh)
{
    const s24m_config *c = &d->model->config;
    double factor = scale * c->logit_scale;
    s24_status status = S24_OK;
    for (int64_t first = 0, now; !status && first < count; first += now) {
        const float *rows = h + first * c->hidden;
        now = count - first < d->chunk ? count - first : d->chunk;
        status = s24m_logits(d->model, &d->head, rows, now, d->logits[0]);
        if (!status && d->slopes)
            status = s24m_rows(d->model, find_slopes, d, now);
        if (!status)
            status = s24m_back_entropy(d->model->ctx, d->logits[0], next + first, now, c->vocab,
                                       factor, d->losses);
        for (int64_t i = 0; !status && i < now; i++)
            *sum += d->losses[i];
        status = status ? status : back(d, rows, now, dh + first * c->hidden);
    }
    return s24m_done(status);
}
