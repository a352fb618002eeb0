#include "student.h"
#include "memory.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- Parameters ---- */

/* A copy of the values, which are freed: the place of them gets Adam's. */
static s24m_parameter *teach(s24m_student *s, const s24m_lesson *lesson, float **place, bool masked)
{
    s24m_lesson *own = s->lessons + s->adam->count;
    *own = *lesson;
    s24m_parameter *p = s24m_adam_add(s->adam, own->name, *place, own->rows * own->cols, masked);
    if (!p)
        return NULL;
    free(*place);
    *place = p->values;
    return p;
}

static bool teach_matrix(s24m_student *s, s24m_block *block, int32_t which, int32_t store)
{
    s24m_linear *linear = block->linear + which;
    s24m_lesson lesson = {
        .rows = linear->weights.rows, .cols = linear->weights.cols, .store = store};
    float *values = linear->weights.data;
    memcpy(lesson.name, linear->name, sizeof lesson.name);
    const s24m_parameter *p = teach(s, &lesson, &values, true);
    linear->weights.data = values;
    if (p)
        s->to[block->layer].weights[which] = p->gradient;
    return p;
}

static bool teach_vector(s24m_student *s, s24m_block *block, const trained_vector *v)
{
    s24m_lesson lesson = {.rows = 1, .cols = v->m.w.cols, .store = v->m.store, .less = v->m.less};
    memcpy(lesson.name, v->name, sizeof lesson.name);
    const s24m_parameter *p = teach(s, &lesson, s24m_trained_place(v, block), false);
    if (p)
        *s24m_trained_gradient(v, s->to + block->layer) = p->gradient;
    return p;
}

static bool teach_vectors(s24m_student *s, s24m_block *block, const s24m_school *school)
{
    trained vectors = {0};
    bool done = s24m_trained_open(&vectors, s->model, block, school->type, school->from);
    for (int32_t i = 0; done && i < vectors.count; i++)
        done = teach_vector(s, block, vectors.vectors + i);
    s24m_trained_close(&vectors);
    return done;
}

static bool open_block(s24m_student *s, int64_t layer, const s24m_school *school)
{
    s24m_block *block = s->blocks + layer;
    if (!s24m_done(s24m_block_load(s->model, layer, block)) ||
        !s24m_gradients_open(s->to + layer, block->program->count))
        return false;
    s24m_memory_let_go(s->model->file);
    int32_t count = block->program->count;
    s24m_choice *choices = s24m_have(calloc((size_t)count + 1, sizeof *choices));
    bool done = choices && school->choose(school->from, block, choices);
    for (int32_t which = 0; done && which < count; which++) {
        s->trained += choices[which].trains;
        s->left += choices[which].compressed && !choices[which].trains;
        done = !choices[which].trains || teach_matrix(s, block, which, choices[which].store);
    }
    free(choices);
    return done && teach_vectors(s, block, school);
}

/* One of the vectors of the last norm, which the head lets go. */
static bool teach_last(s24m_student *s, const s24m_school *school, bool shift, float **values)
{
    s24m_lesson lesson = {.rows = 1, .cols = s->model->config.hidden};
    if (!*values || !s24m_global(s->model, shift ? S24M_LAST_SHIFT : S24M_LAST_NORM, lesson.name))
        return true;
    lesson.store = school->type(school->from, lesson.name);
    lesson.less = shift ? 0 : s24m_trained_less(s->model);
    const s24m_parameter *p = teach(s, &lesson, values, false);
    if (!p)
        return false;
    *(shift ? &s->last.shift : &s->last.gain) = p->values;
    *(shift ? &s->last.dshift : &s->last.dgain) = p->gradient;
    *values = NULL;
    return true;
}

static bool open_norm(s24m_student *s, const s24m_school *school)
{
    s24m_head head;
    bool done = s24m_done(s24m_head_load(s->model, &head)) &&
                teach_last(s, school, false, &head.norm) &&
                teach_last(s, school, true, &head.shift);
    s24m_head_free(&head);
    return done;
}

bool s24m_student_open(s24m_student *s, s24m_model *model, const s24m_school *school,
                       s24m_adam *adam)
{
    size_t layers = (size_t)model->config.layers;
    int64_t most = 2 * model->matrix_count + 2 * model->config.layers * S24M_VECTORS + 2;
    *s = (s24m_student){.model = model, .adam = adam};
    bool done = s24m_adam_open(adam, model->ctx, (int32_t)most) &&
                (s->blocks = s24m_have(calloc(layers, sizeof *s->blocks))) &&
                (s->to = s24m_have(calloc(layers, sizeof *s->to))) &&
                (s->lessons = s24m_have(calloc((size_t)most, sizeof *s->lessons)));
    for (int64_t layer = 0; done && layer < model->config.layers; layer++)
        done = open_block(s, layer, school);
    done = done && open_norm(s, school);
    return done && (s->trained || s->left ||
                    s24m_wrong(S24_E_STATE, "no matrix of the model is compressed: there is "
                                            "nothing to tune"));
}

/* ---- Going ---- */

/* Adam's values are freed with Adam. */
static void let_go(const s24m_student *s, float **place)
{
    for (const s24m_parameter *p = s->adam->parameters; p < s->adam->parameters + s->adam->count;
         p++)
        if (p->values == *place)
            *place = NULL;
}

static void close_block(const s24m_student *s, s24m_block *block)
{
    for (int32_t i = 0; block->linear && i < block->program->count; i++) {
        float *values = block->linear[i].weights.data;
        let_go(s, &values);
        block->linear[i].weights.data = values;
        let_go(s, &block->linear[i].bias);
    }
    for (int i = 0; i < S24M_VECTORS; i++) {
        let_go(s, block->gain + i);
        let_go(s, block->shift + i);
    }
    s24m_block_free(block);
}

void s24m_student_close(s24m_student *s)
{
    for (int64_t layer = 0; s->blocks && layer < s->model->config.layers; layer++)
        close_block(s, s->blocks + layer);
    for (int64_t layer = 0; s->to && layer < s->model->config.layers; layer++)
        s24m_gradients_close(s->to + layer);
    free(s->blocks);
    free(s->to);
    free(s->lessons);
    *s = (s24m_student){0};
}

/* ---- As stored ---- */

/* The values as a matrix of its type. */
static matrix stored_matrix(const s24m_lesson *lesson, float *values)
{
    matrix m = {.tensor = lesson->name,
                .kind = "",
                .store = lesson->store,
                .less = lesson->less,
                .v = values};
    s24_mat_rowmajor(&m.w, values, lesson->rows, lesson->cols, S24_F32);
    return m;
}

bool s24m_student_round(s24m_student *s, const char **misfit)
{
    bool done = true, fits = true;
    *misfit = NULL;
    for (int32_t i = 0; done && i < s->adam->count; i++) {
        const s24m_parameter *p = s->adam->parameters + i;
        const s24m_lesson *lesson = s->lessons + i;
        matrix m = stored_matrix(lesson, p->values);
        memcpy(p->values, p->best, (size_t)p->count * sizeof *p->values);
        done = s24m_matrix_store(&m, s->model->ctx, &fits);
        if (!fits)
            *misfit = p->name;
    }
    return done;
}

static bool write_lesson(const s24m_student *s, int32_t i, s24_file *file)
{
    const s24m_parameter *p = s->adam->parameters + i;
    const s24m_lesson *lesson = s->lessons + i;
    matrix m = stored_matrix(lesson, p->values);
    s24_mat narrow = {0};
    bool done =
        s24m_matrix_narrow(&m, s->model->ctx, &narrow) &&
        s24m_good(s24_file_put(file, lesson->name, &narrow, NULL, 2, NULL), "%s", lesson->name);
    free(narrow.data);
    return done;
}

bool s24m_student_write(const s24m_student *s, s24_file *file)
{
    bool done = true;
    for (int32_t i = 0; done && i < s->adam->count; i++)
        done = write_lesson(s, i, file);
    return done;
}

uint64_t s24m_student_bytes(const s24m_model *model)
{
    uint64_t floats = 0;
    for (int64_t layer = 0; layer < model->config.layers; layer++) {
        const s24m_program *p = s24m_program_of(model, layer);
        for (const s24m_matrix *m = p->matrices; m < p->matrices + p->count; m++)
            floats += (uint64_t)(m->outputs * m->inputs + m->outputs);
    }
    return s24m_adam_bytes((int64_t)floats) + s24m_memory_block(model) +
           s24m_memory_block_source(model);
}
