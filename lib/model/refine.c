#include "refine.h"
#include "composed.h"
#include "memory.h"
#include "tape.h"
#include "tensors.h"
#include "training.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The training of a block. */
typedef struct refining {
    s24m_refinement *r;
    const s24m_block *solved;
    s24m_block block;    /* the same with what is trained */
    s24m_linear *linear; /* of `block` */
    matrix *matrices;
    trained *vectors;
    s24m_training training;
    s24m_parameter **of;     /* parameter of each matrix, then of each vector; NULL: not trained */
    s24m_composed *composed; /* of each matrix; w NULL: it has no parts that are trained */
    made_parts *made;        /* what becomes of them */
    s24m_gradients to;
    s24m_tape tape;
    int64_t together;  /* rows on the tape, at most */
    float *x, *wanted; /* of these rows */
    double *losses;    /* of their tokens */
} refining;

/* ---- Parameters ---- */

/* Of a grid, of factors, or of both. */
static bool add_composed(refining *t, int32_t which)
{
    const matrix *m = t->matrices + which;
    s24m_composed *c = t->composed + which;
    s24_mat values = s24m_matrix_values(m);
    codes parts = {0};
    if (m->result)
        s24m_codes_of_result(m->result, &parts);
    if (!s24m_composed_can(&parts))
        return true;
    if (!s24m_composed_open(c, &t->training.adam, m->tensor, m->constraints, &parts, &values))
        return false;
    t->linear[which].weights.data = c->w;
    t->to.weights[which] = c->gradient;
    return true;
}

static bool add_matrix(refining *t, int32_t which)
{
    const matrix *m = t->matrices + which;
    if (!m->constraints || !m->v)
        return true; /* left alone */
    if (s24m_matrix_has_parts(m))
        return add_composed(t, which);
    s24m_parameter *p =
        s24m_adam_add(&t->training.adam, m->tensor, m->v, m->w.rows * m->w.cols, true);
    if (!p)
        return false;
    t->of[which] = p;
    t->linear[which].weights.data = p->values;
    t->to.weights[which] = p->gradient;
    return true;
}

static bool add_vector(refining *t, int32_t i)
{
    const trained_vector *v = t->vectors->vectors + i;
    s24m_parameter *p = s24m_adam_add(&t->training.adam, v->name, v->m.w.data, v->m.w.cols, false);
    if (!p)
        return false;
    t->of[t->block.program->count + i] = p;
    *s24m_trained_place(v, &t->block) = p->values;
    *s24m_trained_gradient(v, &t->to) = p->gradient;
    return true;
}

static bool add_parameters(refining *t)
{
    int32_t matrices = t->block.program->count, all = matrices + t->vectors->count;
    size_t size = (size_t)matrices * sizeof *t->linear;
    bool done = s24m_adam_open(&t->training.adam, t->r->settings->ctx, 4 * all) &&
                (t->composed = s24m_have(calloc((size_t)matrices + 1, sizeof *t->composed))) &&
                (t->made = s24m_have(calloc((size_t)matrices + 1, sizeof *t->made))) &&
                s24m_gradients_open(&t->to, matrices) &&
                (t->of = s24m_have(calloc((size_t)all + 1, sizeof *t->of))) &&
                (t->linear = s24m_have(malloc(size)));
    if (!done)
        return false;
    memcpy(t->linear, t->solved->linear, size);
    t->block.linear = t->linear;
    for (int32_t i = 0; done && i < matrices; i++)
        done = add_matrix(t, i);
    for (int32_t i = 0; done && i < t->vectors->count; i++)
        done = add_vector(t, i);
    return done;
}

typedef bool (*composed_fn)(s24m_composed *c);

static bool each_composed(refining *t, composed_fn call)
{
    bool done = true;
    for (int32_t i = 0; done && i < t->block.program->count; i++)
        done = !t->composed[i].w || call(t->composed + i);
    return done;
}

/* ---- Losses ---- */

typedef struct comparing {
    const float *y, *wanted;
    float *dy; /* NULL: not wanted */
    double *losses, *sizes;
    int64_t hidden;
    float scale;
} comparing;

static void compare_rows(void *arg, int64_t first, int64_t last)
{
    const comparing *c = arg;
    for (int64_t r = first; r < last; r++) {
        const float *y = c->y + r * c->hidden, *wanted = c->wanted + r * c->hidden;
        double sum = 0, size = 0;
        for (int64_t i = 0; i < c->hidden; i++) {
            float apart = y[i] - wanted[i];
            sum += (double)apart * apart;
            size += (double)wanted[i] * wanted[i];
            if (c->dy)
                c->dy[r * c->hidden + i] = c->scale * apart;
        }
        c->losses[r] = sum;
        c->sizes[r] = size;
    }
}

/* Some rows through the block: sum of squared errors over their tokens, and of squares of what is
 * wanted. The gradient of the error times `scale` on the tape, if it is not 0. */
static bool run_rows(refining *t, const s24m_block *block, const int64_t *rows, int64_t count,
                     double scale, double sum_of[2])
{
    const s24m_refinement *r = t->r;
    int64_t hidden = r->model->config.hidden, size = r->length * hidden, tokens = count * r->length;
    bool done = true;
    for (int64_t i = 0; done && i < count; i++)
        done =
            s24m_activations_read(r->inputs, rows[i] * r->length, r->length, t->x + i * size) &&
            s24m_activations_read(r->wanted, rows[i] * r->length, r->length, t->wanted + i * size);
    done = done && s24m_tape_forward(&t->tape, block, t->x, count, r->length);
    comparing c = {.y = t->tape.y,
                   .wanted = t->wanted,
                   .dy = scale > 0 ? t->tape.dy : NULL,
                   .losses = t->losses,
                   .sizes = t->losses + t->together * r->length,
                   .hidden = hidden,
                   .scale = (float)scale};
    done = done && s24m_done(s24m_rows(r->model, compare_rows, &c, tokens));
    for (int64_t i = 0; done && i < tokens; i++) {
        sum_of[0] += c.losses[i];
        sum_of[1] += c.sizes[i];
    }
    return done;
}

/* Mean squared error of the rows that were kept back, over that of 0. */
static bool judge_block(refining *t, const s24m_block *block, double *error)
{
    const s24m_training *rows = &t->training;
    double sum_of[2] = {0, 0};
    bool done = true;
    for (int64_t i = 0, count; done && i < rows->guards; i += count) {
        count = rows->guards - i < t->together ? rows->guards - i : t->together;
        done = run_rows(t, block, rows->guard + i, count, 0, sum_of);
    }
    *error = sum_of[1] > 0 ? sum_of[0] / sum_of[1] : sum_of[0];
    return done;
}

static bool judge(void *arg, double *error)
{
    refining *t = arg;
    return each_composed(t, s24m_composed_make) && judge_block(t, &t->block, error);
}

/* The mean over the tokens of a batch of squared errors, told over that of 0; by as many rows at a
 * time as there is room for. */
static bool learn(void *arg, const int64_t *rows, int64_t count, double *loss)
{
    refining *t = arg;
    double sum_of[2] = {0, 0}, scale = 2 / (double)(count * t->r->length);
    bool done = each_composed(t, s24m_composed_make);
    for (int64_t i = 0, now; done && i < count; i += now) {
        now = count - i < t->together ? count - i : t->together;
        done = run_rows(t, &t->block, rows + i, now, scale, sum_of) &&
               s24m_tape_back(&t->tape, &t->to);
    }
    *loss = sum_of[1] > 0 ? sum_of[0] / sum_of[1] : sum_of[0];
    return done && each_composed(t, s24m_composed_spread);
}

static bool show(void *arg, double share)
{
    const refining *t = arg;
    return t->r->show(t->r->arg, share);
}

/* ---- What comes of it ---- */

/* As stored; false without an error: a weight does not fit its type. */
static bool round_vector(const trained_vector *v, const s24m_parameter *p, matrix *out,
                         s24_ctx *ctx, bool *fits)
{
    *out = v->m;
    out->v = s24m_have(malloc((size_t)p->count * sizeof(float)));
    if (!out->v)
        return false;
    memcpy(out->v, p->best, (size_t)p->count * sizeof(float));
    return s24m_matrix_store(out, ctx, fits);
}

/* The same of a matrix of parts: what its codes give is not rounded. */
static bool round_composed(refining *t, int32_t which, float **values, bool *fits)
{
    s24m_composed *c = t->composed + which;
    size_t size = (size_t)(c->rows * c->cols) * sizeof(float);
    matrix m = t->matrices[which];
    if (!s24m_composed_settle(c, t->made + which, fits) ||
        !(m.v = *values = s24m_have(malloc(size))))
        return false;
    memcpy(m.v, c->w, size);
    return c->group || !*fits || s24m_matrix_store(&m, t->r->settings->ctx, fits);
}

/* Put what was trained into copies of the matrices and vectors, as it will be stored. */
static bool take(refining *t, float **values, bool *fits)
{
    int32_t matrices = t->block.program->count;
    s24_ctx *ctx = t->r->settings->ctx;
    bool done = true;
    *fits = true;
    for (int32_t i = 0; done && *fits && i < matrices + t->vectors->count; i++) {
        const s24m_parameter *p = t->of[i];
        matrix rounded = {.v = NULL};
        if (!p && !(i < matrices && t->composed[i].w))
            continue;
        t->r->misfit =
            i < matrices ? t->matrices[i].tensor : t->vectors->vectors[i - matrices].m.tensor;
        if (!p) {
            done = round_composed(t, i, values + i, fits);
            t->linear[i].weights.data = values[i];
            continue;
        }
        trained_vector whole = {.m = t->matrices[i < matrices ? i : 0]};
        done = round_vector(i < matrices ? &whole : t->vectors->vectors + i - matrices, p, &rounded,
                            ctx, fits);
        values[i] = rounded.v;
        if (i < matrices)
            t->linear[i].weights.data = rounded.v;
        else
            *s24m_trained_place(t->vectors->vectors + i - matrices, &t->block) = rounded.v;
    }
    return done;
}

/* The matrices and vectors become what was trained, if rows kept back are met better so. */
static bool settle(refining *t, float **values)
{
    int32_t matrices = t->block.program->count, all = matrices + t->vectors->count;
    double error = INFINITY;
    bool fits, done = take(t, values, &fits) && (!fits || judge_block(t, &t->block, &error));
    t->r->misfit = fits ? NULL : t->r->misfit;
    t->r->taken = done && fits && error < t->r->before;
    t->r->after = t->r->taken ? error : t->r->before;
    for (int32_t i = 0; t->r->taken && i < all; i++) {
        float **place = i < matrices ? &t->matrices[i].v : &t->vectors->vectors[i - matrices].m.v;
        if (!values[i])
            continue;
        free(*place);
        *place = values[i];
        values[i] = NULL;
        if (i < matrices && t->composed[i].w) {
            t->matrices[i].made = t->made[i];
            t->made[i] = (made_parts){0};
        }
    }
    return done;
}

static bool finish(refining *t)
{
    int32_t all = t->block.program->count + t->vectors->count;
    float **values = s24m_have(calloc((size_t)all + 1, sizeof *values));
    bool done = values && settle(t, values);
    for (int32_t i = 0; values && i < all; i++)
        free(values[i]);
    free(values);
    return done;
}

/* ---- All of it ---- */

static int64_t rows_together(int64_t length)
{
    int64_t chunk = s24m_chunk(length);
    return chunk < S24M_BATCH ? chunk : S24M_BATCH;
}

static bool open(refining *t)
{
    const s24m_refinement *r = t->r;
    t->together = rows_together(r->length);
    int64_t tokens = t->together * r->length, floats = tokens * r->model->config.hidden;
    return s24m_training_split(&t->training, r->rows, r->own, "--refine block") &&
           add_parameters(t) && s24m_tape_open(&t->tape, r->model, tokens) &&
           (t->x = s24m_have(malloc(2 * (size_t)floats * sizeof *t->x))) &&
           (t->wanted = t->x + floats) &&
           (t->losses = s24m_have(malloc(2 * (size_t)tokens * sizeof *t->losses)));
}

static void close(refining *t)
{
    s24m_tape_close(&t->tape);
    s24m_training_close(&t->training);
    s24m_gradients_close(&t->to);
    for (int32_t i = 0; i < t->block.program->count; i++) {
        if (t->composed)
            s24m_composed_close(t->composed + i);
        if (t->made)
            s24m_made_close(t->made + i);
    }
    free(t->composed);
    free(t->made);
    free(t->of);
    free(t->linear);
    free(t->x);
    free(t->losses);
}

/* Falls to a fifth of the rate. */
static bool train(refining *t)
{
    const settings *s = t->r->settings;
    s24m_training *run = &t->training;
    run->epochs = s24m_training_epochs(s->refine_epochs, run->trains);
    run->seed = s->self.seed;
    run->stream = (uint64_t)t->solved->layer;
    run->rate = s->refine_rate;
    run->adam.end = 0.2;
    run->curve = s->curves ? s->curves + t->solved->layer : NULL;
    run->arg = t;
    run->learn = learn;
    run->judge = judge;
    run->show = show;
    run->best = run->last = t->r->before;
    bool done = s24m_training_run(run);
    t->r->halvings = (int)run->halvings;
    return done;
}

bool s24m_refine_block(s24m_refinement *r, const s24m_block *block, matrix *matrices, trained *v)
{
    refining t = {.r = r, .solved = block, .block = *block, .matrices = matrices, .vectors = v};
    r->before = r->after = NAN;
    r->taken = false;
    r->halvings = 0;
    r->misfit = NULL;
    bool done = open(&t) && judge_block(&t, block, &r->before) && train(&t) && finish(&t);
    close(&t);
    return done;
}

uint64_t s24m_refine_bytes(const s24m_model *model, bool parts, int64_t length)
{
    int64_t tokens = rows_together(length) * length, hidden = model->config.hidden;
    int64_t block = (int64_t)(s24m_memory_block(model) / sizeof(float));
    int64_t floats = s24m_tape_floats(model, tokens) + 2 * tokens * hidden + 4 * tokens;
    floats += s24m_tape_scratch(model, tokens);
    return (uint64_t)floats * sizeof(float) + s24m_adam_bytes(block) +
           (parts ? s24m_composed_bytes(block) : 0);
}

double s24m_refine_flops(const settings *s, const s24m_model *model, int64_t layer, int64_t rows,
                         int64_t length)
{
    double forward = s24m_flops(model, layer, 1, length);
    double epochs = (double)s24m_training_epochs(s->refine_epochs, rows);
    return forward * (double)rows * (3 * epochs + 1);
}
