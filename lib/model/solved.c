#include "solved.h"
#include "parts.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- One matrix ---- */

static bool take_block(supply *s, int64_t layer)
{
    if (s->layer == layer)
        return s->block;
    s24_file_destroy(s->block);
    s->block = s24m_checkpoint_file(s->blocks, (int)layer);
    s->layer = layer;
    return s->block;
}

const char *s24m_supply_constraints(const supply *s, const char *tensor)
{
    for (int i = 0; i < s->count; i++)
        if (s->records[i].text[RECORD_TENSOR] && !strcmp(s->records[i].text[RECORD_TENSOR], tensor))
            return s->records[i].text[RECORD_CONSTRAINTS];
    return NULL;
}

/* The first matrix that lies in this tensor. */
static bool find_place(const s24m_model *model, const char *tensor, solved *found)
{
    char name[S24M_NAME];
    found->layer = s24m_layer_of(model, tensor);
    int32_t count = found->layer < 0 ? 0 : s24m_matrices(model, found->layer);
    for (found->which = 0; found->which < count; found->which++) {
        const s24m_matrix *m = s24m_program_of(model, found->layer)->matrices + found->which;
        s24m_tensor_name(model, found->layer, found->which, false, name);
        found->folded = m->slices || m->transposed;
        if (!strcmp(name, tensor))
            return found->matrix = true;
    }
    return found->folded = false;
}

static bool has(const s24_file *file, const char *name)
{
    return file && s24_file_info(file, name, NULL, NULL, NULL) == S24_OK;
}

const s24_file *s24m_supply_values(const supply *s, const char *name)
{
    return has(s->tuned, name) ? s->tuned : s->blocks && has(s->block, name) ? s->block : NULL;
}

int32_t s24m_supply_next(const supply *s, const solved *m, const char *tensor, int32_t which)
{
    char lies[S24M_NAME], name[S24M_NAME];
    int32_t count = s24m_matrices(s->model, m->layer);
    for (; which < count; which++) {
        s24m_tensor_name(s->model, m->layer, which, false, lies);
        s24m_name(s->model, m->layer, which, name);
        bool there = has(s->tuned, name) ||
                     (s->blocks ? has(s->block, name) : s24m_supply_constraints(s, name) != NULL);
        if (!strcmp(lies, tensor) && there)
            return which;
    }
    return -1;
}

const s24_file *s24m_supply_parts_of(const supply *s, const char *name)
{
    static const char *const parts[] = {"codes", "lowrank_u"};
    char part[S24M_NAME + 16];
    for (int i = 0; i < 2; i++) {
        snprintf(part, sizeof part, "%s.%s", name, parts[i]);
        if (has(s->tuned, part))
            return s->tuned;
    }
    return s->blocks ? s->block : s->parts;
}

/* One from elsewhere has no constraints that are known. */
static bool take_matrix(const supply *s, const char *tensor, solved *found)
{
    found->constraints = s24m_supply_constraints(s, tensor);
    if (has(s->tuned, tensor)) {
        found->values = s->tuned;
        found->parts = s24m_supply_parts_of(s, tensor);
        return true;
    }
    const s24_file *file = s->blocks ? s->block : s->model->file;
    bool there = s->blocks ? has(file, tensor) : found->constraints != NULL;
    if (there) {
        found->values = file;
        found->parts = s->blocks ? file : s->parts;
    }
    return !there || found->constraints ||
           s24m_wrong(S24_E_FORMAT, "%s: its record names no constraints", tensor);
}

bool s24m_supply_find(supply *s, const char *tensor, solved *found)
{
    *found = (solved){.matrix = false};
    bool is_matrix = find_place(s->model, tensor, found);
    if (found->layer >= 0 && s->blocks && !take_block(s, found->layer))
        return false;
    if (!is_matrix) {
        found->values =
            found->layer >= 0 || has(s->tuned, tensor) ? s24m_supply_values(s, tensor) : NULL;
        return true;
    }
    if (found->folded) {
        found->which = s24m_supply_next(s, found, tensor, found->which);
        found->values = found->which < 0 ? NULL : s->blocks ? s->block : s->model->file;
        found->parts = s->blocks ? s->block : s->parts;
        return true;
    }
    return take_matrix(s, tensor, found);
}

void s24m_supply_close(supply *s)
{
    s24_file_destroy(s->block);
    s->block = NULL;
    s->layer = -1;
}

/* ---- Records ---- */

static bool take_record(const s24m_model *model, const char *line, size_t length, record *r)
{
    int64_t layer;
    int32_t which;
    char *one = s24m_have(strndup(line, length));
    bool done = one && s24m_record_read(r, one);
    free(one);
    return done && ((r->text[RECORD_TENSOR] && r->text[RECORD_CONSTRAINTS] &&
                     s24m_find_matrix(model, r->text[RECORD_TENSOR], &layer, &which)) ||
                    s24m_wrong(S24_E_FORMAT, "sparse24.records: %.80s is of no matrix of the model",
                               r->json));
}

bool s24m_records_of(const s24m_model *model, record **records, int *count)
{
    int most = (int)model->matrix_count;
    const char *line = s24_file_meta(model->file, "sparse24.records");
    bool done = (*records = s24m_have(calloc((size_t)most + 1, sizeof **records)));
    *count = 0;
    while (done && line && *line && *count < most) {
        size_t length = strcspn(line, "\n");
        done = take_record(model, line, length, *records + (*count)++);
        line += length + (line[length] == '\n');
    }
    return done;
}

/* ---- Parts ---- */

static bool visit_file(const supply *s, const s24_file *file, part_fn visit, void *arg)
{
    bool done = true;
    for (int64_t i = 0; done && i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        bool slice = name[strlen(name) - 1] == ']';
        if (!slice && s24_file_info(s->model->file, name, NULL, NULL, NULL) != S24_OK)
            done = visit(arg, has(s->tuned, name) ? s->tuned : file, name);
    }
    return done;
}

bool s24m_supply_parts(const supply *s, part_fn visit, void *arg)
{
    bool done = true;
    if (!s->blocks)
        return !s->parts || visit_file(s, s->parts, visit, arg);
    for (int layer = 0; done && layer < s->model->config.layers; layer++) {
        s24_file *block = s24m_checkpoint_file(s->blocks, layer);
        done = block && visit_file(s, block, visit, arg);
        s24_file_destroy(block);
    }
    return done;
}

static bool try_open(s24_ctx *ctx, const char *folder, const char *name, s24_file **parts)
{
    char *path = s24m_path_join(folder, name);
    bool done = path && (*parts || access(path, F_OK) ||
                         s24m_good(s24_file_open(ctx, path, parts), "%s", path));
    free(path);
    return done;
}

bool s24m_parts_open(s24_ctx *ctx, const char *path, s24_file **parts)
{
    char *folder = s24m_have(strdup(path));
    *parts = NULL;
    if (!folder)
        return false;
    if (!s24m_path_is_folder(path)) {
        char *slash = strrchr(folder, '/');
        strcpy(slash ? slash + (slash == folder) : folder, slash ? "" : ".");
    }
    bool done =
        try_open(ctx, folder, PARTS_PLACE, parts) && try_open(ctx, folder, PARTS_OLD_PLACE, parts);
    free(folder);
    return done;
}
