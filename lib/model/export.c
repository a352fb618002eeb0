/* A compressed model in another form: the same matrices, nothing solved again. */
#include "beside.h"
#include "card.h"
#include "compression.h"
#include "json.h"
#include "parts.h"
#include "solved.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct exporting {
    s24_model *handle;
    s24m_model *model;
    const form *form;
    origin origin;
    record *records; /* of the matrices that are compressed */
    int count;
    s24_file *parts; /* NULL: there are none */
    checkpoint c;
} exporting;

/* ---- What is asked ---- */

/* "format=F,store=T" */
static bool read_options(const char *options, char store[32], char format[32])
{
    const char *at = options;
    *store = *format = 0;
    while (*at) {
        size_t length = strcspn(at, ",");
        char *to = !strncmp(at, "store=", 6) ? store : !strncmp(at, "format=", 7) ? format : NULL;
        size_t skip = to == store ? 6 : 7;
        if (!to || length <= skip || length - skip >= 32)
            return s24m_wrong(S24_E_OPTION, "\"%.60s\": expected format=FORMAT or store=TYPE", at);
        snprintf(to, 32, "%.*s", (int)(length - skip), at + skip);
        at += length + (at[length] == ',');
    }
    return *store || *format ||
           s24m_wrong(S24_E_OPTION, "export: expected --format FORMAT or --store q4_0, q4_1 or "
                                    "q8_0");
}

static bool choose(exporting *e, const char *options)
{
    char store[32], format[32];
    if (!read_options(options ? options : "", store, format))
        return false;
    if (*store && !(e->form = s24m_form_find(store, "")))
        return false;
    if (*store && !e->form->type)
        return s24m_wrong(S24_E_OPTION, "--store %s: expected q4_0, q4_1 or q8_0", store);
    e->form = s24m_form_find(store, format);
    return e->form && s24m_job_check_holder(e->model, &e->origin, e->form);
}

/* ---- What there is ---- */

/* A record of a matrix that nobody has told of, if it obeys 2:4. */
static bool look_at(exporting *e, const s24m_linear *linear)
{
    char json[2 * S24M_NAME + 64];
    s24_problem *problem = NULL;
    bool done = s24m_good(s24_problem_create(e->model->ctx, &linear->weights, &problem), "%s",
                          linear->name);
    bool obeys = done && s24_problem_parse(problem, "2:4") == S24_OK &&
                 s24_problem_check(problem, &linear->weights) == S24_OK;
    s24_problem_destroy(problem);
    snprintf(json, sizeof json, "{\"tensor\": \"%s\", \"constraints\": \"2:4\"}", linear->name);
    return done && (!obeys || s24m_record_read(e->records + e->count++, json));
}

static bool make_records(exporting *e)
{
    bool done = true;
    for (int64_t layer = 0; done && layer < e->model->config.layers; layer++) {
        s24m_block block;
        if (!s24m_watch_show(&e->handle->watch, "export", "looking for 2:4",
                             (double)layer / (double)e->model->config.layers) ||
            !s24m_done(s24m_block_load(e->model, layer, &block)))
            return false;
        for (int32_t which = 0; done && which < block.program->count; which++)
            done = look_at(e, block.linear + which);
        s24m_block_free(&block);
    }
    return done && (e->count || s24m_wrong(S24_E_UNSUPPORTED,
                                           "%s: not from sparse24 compress, and none of its "
                                           "matrices obeys 2:4: there is nothing to export",
                                           e->handle->path));
}

static bool find_records(exporting *e)
{
    return s24m_records_of(e->model, &e->records, &e->count) && (e->count || make_records(e));
}

/* ---- Whether it can be done ---- */

/* What is packed already stays so. */
static bool check_type(const exporting *e, const char *name)
{
    const char *type = "";
    s24_file_info(e->model->file, name, NULL, NULL, &type);
    return *type != 'Q' || e->form->layout || e->form->holder == HOLDER_S24 ||
           s24m_wrong(S24_E_UNSUPPORTED,
                      "%s: it is stored as %s already, and %s writes the floats that are there",
                      name, type, e->form->option);
}

/* A tensor of codes has no place for a slice without any: the next one is there too, round and
 * round. */
static bool check_slices(const exporting *e, int64_t layer, int32_t which)
{
    const s24m_program *p = s24m_program_of(e->model, layer);
    const s24m_matrix *m = p->matrices + which;
    char next[S24M_NAME] = "";
    if (!m->slices || !e->form->type)
        return true;
    for (int32_t i = 0; i < p->count; i++)
        if (p->matrices[i].role == m->role && p->matrices[i].expert == (m->expert + 1) % m->slices)
            s24m_name(e->model, layer, i, next);
    for (int i = 0; i < e->count; i++)
        if (!strcmp(e->records[i].text[RECORD_TENSOR], next))
            return true;
    return s24m_wrong(S24_E_UNSUPPORTED,
                      "%s: is not compressed, and %s holds all matrices of a tensor or none", next,
                      e->form->option);
}

static bool check_matrices(const exporting *e)
{
    terms first = e->count ? s24m_terms(e->records->text[RECORD_CONSTRAINTS]) : (terms){0};
    bool ranks = false, all = e->count == (int)e->model->matrix_count;
    for (int i = 0; i < e->count; i++) {
        const char *name = e->records[i].text[RECORD_TENSOR];
        const char *constraints = e->records[i].text[RECORD_CONSTRAINTS];
        terms t = s24m_terms(constraints);
        int64_t layer, rows, cols;
        int32_t which;
        s24m_find_matrix(e->model, name, &layer, &which);
        s24m_shape(e->model, layer, which, &rows, &cols);
        ranks |= t.rank > 0;
        all = all && s24m_terms_same_grid(&t, &first);
        if (!s24m_form_check(e->form, name, constraints, rows, cols) || !check_type(e, name) ||
            !s24m_form_check_whole(e->form, e->model, layer, which) ||
            !check_slices(e, layer, which))
            return false;
        if (e->form->one_grid && !s24m_terms_same_grid(&t, &first))
            return s24m_wrong(S24_E_UNSUPPORTED,
                              "%s: %s describes one grid for all matrices, and %s has another: "
                              "take --format pack-quantized",
                              name, e->form->option, e->records->text[RECORD_TENSOR]);
    }
    if (!s24m_form_check_names(e->form, e->model, all))
        return false;
    return ranks || e->form->beside != BESIDE_FACTORS ||
           s24m_wrong(S24_E_UNSUPPORTED, "--format adapter: no matrix of the model has a rank");
}

static bool check_rest(const exporting *e)
{
    bool done = true;
    for (int64_t i = 0; done && i < s24_file_count(e->model->file); i++) {
        const char *name = s24_file_name(e->model->file, i), *type;
        done = s24m_good(s24_file_info(e->model->file, name, NULL, NULL, &type), "%s", name) &&
               s24m_form_check_type(e->form, name, type);
    }
    return done;
}

/* As what the matrices are stored now. */
static bool relabel(exporting *e)
{
    bool done = true;
    for (int i = 0; done && i < e->count; i++) {
        record *r = e->records + i;
        const char *type = NULL;
        int64_t layer;
        int32_t which;
        s24m_find_matrix(e->model, r->text[RECORD_TENSOR], &layer, &which);
        bool whole = s24m_is_whole(s24m_program_of(e->model, layer)->matrices + which);
        const char *now = s24m_form_stored_as(e->form, r->text[RECORD_CONSTRAINTS], whole);
        s24_file_info(e->model->file, r->text[RECORD_TENSOR], NULL, NULL, &type);
        now = now ? now : type;
        r->json = now ? s24m_json_put_text(r->json, "stored", now) : r->json;
        done = r->json;
    }
    return done;
}

/* ---- All of it ---- */

static bool write_card(void *arg, const char *folder)
{
    const exporting *e = arg;
    const s24m_card of = {.handle = e->handle,
                          .model = e->model,
                          .origin = &e->origin,
                          .records = e->records,
                          .count = e->count,
                          .form = e->form};
    char *text = s24m_card_write(&of, folder, false);
    bool done = text && s24m_beside_add(folder, CARD, text);
    free(text);
    return done;
}

static bool write(exporting *e, const char *out)
{
    const char *made = s24_file_meta(e->model->file, "sparse24.settings");
    assembly a = {.model = e->model,
                  .origin = &e->origin,
                  .c = &e->c,
                  .exporting = true,
                  .parts = e->parts,
                  .form = e->form,
                  .watch = &e->handle->watch,
                  .out = out,
                  .beside = write_card,
                  .arg = e};
    bool ours = s24m_checkpoint_open(&e->c, e->model->ctx, out, false); /* else somebody's work */
    bool done = ours && (e->c.settings = s24m_have(strdup(made ? made : ""))) &&
                s24m_assemble_check(&a) && s24m_assemble(&a, e->records, e->count);
    s24m_checkpoint_close(&e->c, &e->handle->watch, ours);
    return done;
}

static bool export(exporting *e, const char *options, const char *out)
{
    bool complete;
    return s24m_job_check_out(out, false, &complete) &&
           s24m_origin_open(&e->origin, e->handle->path) && choose(e, options) && find_records(e) &&
           check_matrices(e) && check_rest(e) && relabel(e) &&
           s24m_parts_open(e->model->ctx, e->handle->path, &e->parts) && write(e, out);
}

s24_status s24_model_export(s24_model *model, const char *options, const char *out)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    exporting e = {.handle = model, .model = model->network, .c = {.lock = -1}};
    bool done = export(&e, options, out ? out : "");
    status = s24m_status(done);
    char text[600];
    snprintf(text, sizeof text, "%s", s24_last_error());
    for (int i = 0; i < e.count; i++)
        s24m_record_close(e.records + i);
    free(e.records);
    s24_file_destroy(e.parts);
    s24m_origin_close(&e.origin);
    s24m_watch_begin(&model->watch);
    s24m_leave(model);
    if (!done)
        s24_fail(status, text);
    return status;
}
