#include "student.h"
#include "memory.h"
#include "parts.h"
#include <stdio.h>
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

/* By its parts. */
static bool teach_parts(s24m_student *s, s24m_block *block, int32_t which,
                        const s24m_choice *choice)
{
    s24m_linear *linear = block->linear + which;
    s24m_whole *whole = s->wholes + s->whole_count++;
    whole->lesson = (s24m_lesson){
        .rows = linear->weights.rows, .cols = linear->weights.cols, .store = choice->store};
    memcpy(whole->lesson.name, linear->name, sizeof linear->name);
    if (!s24m_composed_open(&whole->of, s->adam, linear->name, choice->constraints, &choice->parts,
                            &linear->weights))
        return false;
    free(linear->weights.data);
    linear->weights.data = whole->of.w;
    s->to[block->layer].weights[which] = whole->of.gradient;
    return true;
}

static bool has_parts(const s24m_choice *choice)
{
    return s24m_composed_can(&choice->parts);
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
    s24_file *holds = NULL;
    bool done = choices && school->choose(school->from, block, choices, &holds);
    for (int32_t which = 0; done && which < count; which++) {
        s->trained += choices[which].trains;
        s->left += choices[which].compressed && !choices[which].trains;
        done = !choices[which].trains       ? true
               : has_parts(choices + which) ? teach_parts(s, block, which, choices + which)
                                            : teach_matrix(s, block, which, choices[which].store);
    }
    s24_file_destroy(holds);
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
    int64_t most = 5 * model->matrix_count + 2 * model->config.layers * S24M_VECTORS + 2;
    *s = (s24m_student){.model = model, .adam = adam};
    bool done =
        s24m_adam_open(adam, model->ctx, (int32_t)most) &&
        (s->blocks = s24m_have(calloc(layers, sizeof *s->blocks))) &&
        (s->to = s24m_have(calloc(layers, sizeof *s->to))) &&
        (s->wholes = s24m_have(calloc((size_t)model->matrix_count + 1, sizeof *s->wholes))) &&
        (s->lessons = s24m_have(calloc((size_t)most, sizeof *s->lessons)));
    for (int64_t layer = 0; done && layer < model->config.layers; layer++)
        done = open_block(s, layer, school);
    done = done && open_norm(s, school);
    return done && (s->trained || s->left ||
                    s24m_wrong(S24_E_STATE, "no matrix of the model is compressed: there is "
                                            "nothing to tune"));
}

/* ---- Going ---- */

/* Adam's values are freed with Adam, those of parts with them. */
static void let_go(const s24m_student *s, float **place)
{
    for (const s24m_whole *w = s->wholes; w < s->wholes + s->whole_count; w++)
        if (w->of.w && w->of.w == *place)
            *place = NULL;
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
    for (int32_t i = 0; i < s->whole_count; i++) {
        s24m_composed_close(&s->wholes[i].of);
        s24m_made_close(&s->wholes[i].made);
    }
    free(s->wholes);
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

static bool round_lesson(const s24m_student *s, int32_t i, bool *fits)
{
    const s24m_parameter *p = s->adam->parameters + i;
    matrix m = stored_matrix(s->lessons + i, p->values);
    memcpy(p->values, p->best, (size_t)p->count * sizeof *p->values);
    return !*s->lessons[i].name || s24m_matrix_store(&m, s->model->ctx, fits);
}

/* What codes give is not rounded. */
static bool round_whole(const s24m_student *s, s24m_whole *w, bool *fits)
{
    matrix m = stored_matrix(&w->lesson, w->of.w);
    return s24m_composed_settle(&w->of, &w->made, fits) &&
           (w->of.group || !*fits || s24m_matrix_store(&m, s->model->ctx, fits));
}

bool s24m_student_round(s24m_student *s, const char **misfit)
{
    bool done = true, fits = true;
    *misfit = NULL;
    for (int32_t i = 0; done && fits && i < s->adam->count; i++) {
        done = round_lesson(s, i, &fits);
        *misfit = fits ? NULL : s->lessons[i].name;
    }
    for (int32_t i = 0; done && fits && i < s->whole_count; i++) {
        done = round_whole(s, s->wholes + i, &fits);
        *misfit = fits ? NULL : s->wholes[i].lesson.name;
    }
    return done;
}

static bool write_values(const s24m_student *s, const s24m_lesson *lesson, float *values,
                         s24_file *file)
{
    matrix m = stored_matrix(lesson, values);
    s24_mat narrow = {0};
    bool done =
        s24m_matrix_narrow(&m, s->model->ctx, &narrow) &&
        s24m_good(s24_file_put(file, lesson->name, &narrow, NULL, 2, NULL), "%s", lesson->name);
    free(narrow.data);
    return done;
}

static bool write_parts(const s24m_whole *w, s24_file *file)
{
    static const char *const parts[] = {"codes",  "scales",    "zeros",
                                        "sparse", "lowrank_u", "lowrank_v"};
    bool done = true;
    for (int i = 0; done && i < 6; i++) {
        const s24_mat *mat = s24m_made_part(&w->made, parts[i]);
        char name[S24M_NAME + 16];
        snprintf(name, sizeof name, "%s.%s", w->lesson.name, parts[i]);
        done = !mat || s24m_good(s24_file_put(file, name, mat, NULL, 2, NULL), "%s", name);
    }
    return done;
}

bool s24m_student_write(const s24m_student *s, s24_file *file)
{
    bool done = true;
    for (int32_t i = 0; done && i < s->adam->count; i++)
        done = !*s->lessons[i].name ||
               write_values(s, s->lessons + i, s->adam->parameters[i].values, file);
    for (const s24m_whole *w = s->wholes; done && w < s->wholes + s->whole_count; w++)
        done = write_values(s, &w->lesson, w->of.w, file) && write_parts(w, file);
    return done;
}

/* ---- Matrices of parts ---- */

bool s24m_student_make(s24m_student *s)
{
    bool done = true;
    for (int32_t i = 0; done && i < s->whole_count; i++)
        done = s24m_composed_make(&s->wholes[i].of);
    return done;
}

bool s24m_student_spread(s24m_student *s)
{
    bool done = true;
    for (int32_t i = 0; done && i < s->whole_count; i++)
        done = s24m_composed_spread(&s->wholes[i].of);
    return done;
}

uint64_t s24m_student_bytes(const s24m_model *model, bool parts)
{
    uint64_t floats = 0;
    for (int64_t layer = 0; layer < model->config.layers; layer++) {
        const s24m_program *p = s24m_program_of(model, layer);
        for (const s24m_matrix *m = p->matrices; m < p->matrices + p->count; m++)
            floats += (uint64_t)(m->outputs * m->inputs + m->outputs);
    }
    return s24m_adam_bytes((int64_t)floats) + (parts ? s24m_composed_bytes((int64_t)floats) : 0) +
           s24m_memory_block(model) + s24m_memory_block_source(model);
}
