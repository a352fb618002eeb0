#include "assemble.h"
#include "beside.h"
#include "codes.h"
#include "cut.h"
#include "fail.h"
#include "label.h"
#include "parts.h"
#include "paths.h"
#include "store.h"
#include "tables.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define S24_NAME "model.s24"

enum { TABLES = 2 }; /* embedding and head */

/* ---- The model ---- */

typedef struct writing {
    const assembly *a;
    const s24m_model *model;
    s24_file *out;
    supply from;
    stored *matrices; /* of all blocks, and others, in the order of the file */
    int count;
} writing;

/* A tensor as it is in the source; where the holder has no such type, its blocks as a packed
 * matrix. */
static bool put_rest(writing *w, const char *name)
{
    s24_packed *packed = NULL;
    if (w->a->form->holder != HOLDER_S24 ||
        s24_file_packed(w->model->file, name, &packed) != S24_OK)
        return s24m_good(s24_file_put_stored(w->out, w->model->file, name), "%s", name);
    bool done = s24m_good(s24_file_put_packed(w->out, name, packed), "%s", name);
    s24_packed_destroy(packed);
    return done;
}

/* The values of one matrix, which is `lies` in the source: those that its codes give, or what
 * stands beside its factors. */
static bool slice_values(const writing *w, const solved *folded, const char *name,
                         const s24_mat *lies, s24_mat *to)
{
    const form *f = w->a->form;
    char part[S24M_NAME + 16];
    s24_mat sparse;
    codes c;
    const s24_file *file = s24m_supply_values(&w->from, name);
    const s24_file *parts = folded->parts ? s24m_supply_parts_of(&w->from, name) : NULL;
    s24_status status =
        file ? s24_file_read(file, name, to) : s24_mat_copy(w->model->ctx, lies, to);
    if (!s24m_good(status, "%s", name))
        return false;
    snprintf(part, sizeof part, "%s.sparse", name);
    if (f->beside == BESIDE_FACTORS && parts && s24_file_get(parts, part, &sparse) == S24_OK)
        return s24m_good(s24_mat_copy(w->model->ctx, &sparse, to), "%s", name);
    if (!f->layout || !parts || !s24m_codes_of_file(parts, name, &c))
        return true;
    return s24m_codes_decode(&c, w->model->ctx, s24m_supply_constraints(&w->from, name), to->data);
}

/* The compressed values of one matrix into its place in the tensor. */
static bool put_slice(const writing *w, const solved *folded, int32_t which, float *tensor)
{
    const s24m_matrix *m = s24m_program_of(w->model, folded->layer)->matrices + which;
    char name[S24M_NAME];
    s24_mat to = s24m_mat(tensor, m->outputs, m->inputs);
    s24m_name(w->model, folded->layer, which, name);
    float *values = s24m_have(malloc((size_t)(m->outputs * m->inputs) * sizeof *values));
    s24_mat from = s24m_mat(values, m->outputs, m->inputs);
    to.data = tensor + (m->slices ? m->expert * m->outputs * m->inputs : 0);
    if (m->transposed) {
        to.row_stride = 1;
        to.col_stride = m->outputs;
    }
    bool done = values && slice_values(w, folded, name, &to, &from) &&
                s24m_good(s24_mat_copy(w->model->ctx, &from, &to), "%s", name);
    free(values);
    return done;
}

/* A tensor of which compressed matrices are slices, or which is transposed. */
static bool put_folded(writing *w, const char *name, const solved *m)
{
    int64_t shape[8], rows = 1;
    int32_t rank = 0;
    const char *type;
    char first[S24M_NAME];
    float *values = NULL;
    s24m_name(w->model, m->layer, m->which, first);
    const char *holds = w->a->exporting ? name : first;
    bool done = s24m_good(s24_file_info(w->model->file, name, shape, &rank, NULL), "%s", name) &&
                s24m_good(s24_file_info(m->values, holds, NULL, NULL, &type), "%s", holds) &&
                s24m_done(s24m_read_any(w->model, name, &values));
    for (int32_t which = m->which; done && which >= 0;
         which = s24m_supply_next(&w->from, m, name, which + 1))
        done = put_slice(w, m, which, values);
    for (int32_t i = 0; i < rank - 1; i++)
        rows *= shape[i];
    type = done && w->a->form->type ? w->a->form->type : type;
    s24_mat view = s24m_mat(values, rows, rank ? shape[rank - 1] : 0);
    done = done && s24m_good(s24_file_put(w->out, name, &view, shape, rank, type), "%s", name);
    free(values);
    return done;
}

/* A vector that was trained, or a matrix of which no more is known. */
static bool put_trained(writing *w, const char *name, const s24_file *values)
{
    int64_t shape[8];
    int32_t rank = 0;
    const char *type;
    s24_mat v;
    return s24m_good(s24_file_info(w->model->file, name, shape, &rank, NULL), "%s", name) &&
           s24m_good(s24_file_info(values, name, NULL, NULL, &type), "%s", name) &&
           s24m_good(s24_file_get(values, name, &v), "%s", name) &&
           s24m_good(s24_file_put(w->out, name, &v, shape, rank, type), "%s", name);
}

/* Embedding or head as codes. */
static bool put_table(writing *w, const char *name)
{
    stored told[2];
    int count;
    bool done = s24m_tables_put(w->model, w->out, name, told, &count);
    for (int i = 0; done && i < count; i++)
        w->matrices[w->count++] = told[i];
    return done;
}

/* A matrix outside the blocks that is no table of the vocabulary: of a pooler, a classifier, a
 * vision tower. */
static bool is_other(const s24m_model *model, const char *name)
{
    char own[S24M_NAME];
    int64_t shape[8];
    int32_t rank = 0;
    s24_file_info(model->file, name, shape, &rank, NULL);
    bool other = rank == 2 && s24m_layer_of(model, name) < 0;
    for (int32_t i = 0; other && i < S24M_GLOBALS; i++)
        other = !s24m_global(model, i, own) || strcmp(own, name);
    return other;
}

/* Tensors of several matrices are made anew; not where they are exported as the floats that they
 * are. */
static bool is_rewritten(const assembly *a)
{
    return !a->exporting || a->tuned || a->form->layout || a->form->beside == BESIDE_FACTORS;
}

/* In which a tensor is written that was read as floats and cut: its own type, if that has a place
 * for any number of rows. */
static const char *cut_type(const writing *w, const char *type, bool rows_only)
{
    static const char *const types[] = {"F64", "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0"};
    for (int i = 0; i < (rows_only ? 7 : 4); i++)
        if (!strcmp(types[i], type))
            return types[i];
    return w->model->config.gguf ? "F16" : "F32";
}

/* A tensor without the channels or heads that were removed. */
static bool put_cut(writing *w, const char *name, const solved *m, const s24m_cuts *cuts)
{
    const s24_file *from = m->values ? m->values : w->model->file;
    int64_t shape[8], rows = 1;
    int32_t rank = 0;
    const char *type;
    float *values = NULL;
    if (!s24m_good(s24_file_info(w->model->file, name, shape, &rank, NULL), "%s", name) ||
        !s24m_good(s24_file_info(from, name, NULL, NULL, &type), "%s", name))
        return false;
    for (int32_t i = 0; i < rank - 1; i++)
        rows *= shape[i];
    values = s24m_floats(rows * shape[rank - 1]);
    s24_mat view = s24m_mat(values, rows, shape[rank - 1]);
    bool done = values && s24m_good(s24_file_read(from, name, &view), "%s", name);
    if (done) {
        s24m_cut_apply(cuts, values, &rows, &shape[rank - 1]);
        shape[0] = rank > 1 ? rows : shape[0];
        view = s24m_mat(values, rows, shape[rank - 1]);
        type = cut_type(w, type, !cuts->cols.kept);
        done = s24m_good(s24_file_put(w->out, name, &view, shape, rank, type), "%s", name);
    }
    free(values);
    return done;
}

static bool put_tensor(writing *w, const char *name)
{
    s24m_cuts cuts;
    bool cut = false;
    solved m;
    stored told = {.solved = false};
    if (s24m_tables_have(w->a->form, w->model, name))
        return put_table(w, name);
    if (!s24m_supply_find(&w->from, name, &m))
        return false;
    if (w->a->shrink && !s24m_cuts_of(&w->from, w->a->shrink, name, &cuts, &cut))
        return false;
    if (cut)
        return put_cut(w, name, &m, &cuts);
    if (m.folded && is_rewritten(w->a))
        return m.values ? put_folded(w, name, &m) : put_rest(w, name);
    if (m.folded)
        m.values = NULL;
    if (m.values && !m.constraints)
        return put_trained(w, name, m.values);
    s24m_module(name, told.module);
    bool done = m.values ? s24m_store(w->model->ctx, w->a->form, w->out, name, &m, &told)
                         : put_rest(w, name);
    if (m.matrix || is_other(w->model, name))
        w->matrices[w->count++] = told;
    return done;
}

static bool put_tensors(writing *w)
{
    int64_t count = s24_file_count(w->model->file);
    for (int64_t i = 0; i < count; i++) {
        if (!s24m_watch_show(w->a->watch, "writing", "model", (double)i / (double)count) ||
            !put_tensor(w, s24_file_name(w->model->file, i)))
            return false;
    }
    return true;
}

static char *stable_records(const record *records, int count)
{
    size_t size = 1, used = 0;
    for (int i = 0; i < count; i++)
        size += strlen(records[i].json) + 1;
    char *text = s24m_have(calloc(1, size));
    for (int i = 0; text && i < count; i++) {
        char *line = s24m_record_stable(records + i);
        if (line) {
            used += (size_t)sprintf(text + used, "%s\n", line);
        } else {
            free(text);
            text = NULL;
        }
        free(line);
    }
    return text;
}

static bool is_model_folder(const assembly *a)
{
    return a->origin->folder && !a->model->config.gguf;
}

/* All metadata as texts. */
static bool copy_texts(s24_file *out, const s24_file *from)
{
    const char *key;
    bool done = true;
    for (int64_t i = 0; done && (key = s24_file_meta_key(from, i)); i++) {
        const char *value = s24_file_meta(from, key);
        done = (value || s24m_wrong(S24_E_MEMORY, "no memory for %s", key)) &&
               s24m_good(s24_file_set_meta(out, key, value), "%s", key);
    }
    return done;
}

/* A new file or folder with all but tensors. */
static bool begin_model(writing *w, const char *path)
{
    bool own = w->a->form->holder == HOLDER_S24;
    const char *format = own                     ? "safetensors"
                         : is_model_folder(w->a) ? "folder"
                         : w->model->config.gguf ? "gguf"
                                                 : "safetensors";
    return path && s24m_good(s24_file_create(w->model->ctx, path, format, &w->out), "%s", path) &&
           (own ? copy_texts(w->out, w->model->file)
                : s24m_good(s24_file_copy_meta(w->out, w->model->file), "%s", path));
}

bool s24m_assemble_check(const assembly *a)
{
    writing w = {.a = a, .model = a->model};
    if (a->form->holder == HOLDER_S24)
        return true;
    char *path = s24m_checkpoint_path(a->c, ".sparse24-check");
    bool done =
        begin_model(&w, path) && s24m_good(s24_file_check_copy(w.out, a->model->file), "--out");
    s24_file_destroy(w.out);
    free(path);
    return done;
}

static int is_gguf(const struct dirent *entry)
{
    return s24m_path_ends_with(entry->d_name, ".gguf");
}

char *s24m_assemble_model_path(const assembly *a, const char *folder)
{
    struct dirent **names;
    if (a->form->holder == HOLDER_S24)
        return s24m_path_join(folder, S24_NAME);
    if (is_model_folder(a))
        return s24m_have(strdup(folder));
    if (!a->model->config.gguf)
        return s24m_path_join(folder, s24m_path_name(a->origin->files->path));
    int count = scandir(folder, &names, is_gguf, alphasort);
    char *path = count > 0 ? s24m_path_join(folder, names[0]->d_name) : s24m_have(strdup(folder));
    for (int i = 0; i < count; i++)
        free(names[i]);
    if (count >= 0)
        free(names);
    return path;
}

/* ---- What it is called ---- */

/* The type of a tensor in the source, and as it will be written. */
static bool types_of(void *from, const char *name, const char **before, const char **after)
{
    writing *w = from;
    char first[S24M_NAME];
    solved m;
    if (!s24m_supply_find(&w->from, name, &m) ||
        !s24m_good(s24_file_info(w->model->file, name, NULL, NULL, before), "%s", name))
        return false;
    *after = m.values ? w->a->form->type : *before;
    if (m.folded && m.values)
        s24m_name(w->model, m.layer, m.which, first);
    return *after || s24m_good(s24_file_info(m.values, m.folded && !w->a->exporting ? first : name,
                                             NULL, NULL, after),
                               "%s", name);
}

/* The name of a GGUF file and its general.file_type follow the type that most weights have. */
static bool name_model(writing *w, const char *folder, char **path, const char **file_type)
{
    const origin_file *source = w->a->origin->files;
    label l = {0};
    *file_type = NULL;
    if (w->a->form->holder == HOLDER_S24)
        return (*path = s24m_path_join(folder, S24_NAME));
    while (w->model->config.gguf && !s24m_path_ends_with(source->path, ".gguf") &&
           source < w->a->origin->files + w->a->origin->count - 1)
        source++;
    if (is_model_folder(w->a))
        return (*path = s24m_have(strdup(folder)));
    if (w->model->config.gguf && !s24m_label_types(&l, w->model->file, types_of, w))
        return false;
    char *name = s24m_label_name(&l, s24m_path_name(source->path));
    *path = name ? s24m_path_join(folder, name) : NULL;
    *file_type = s24m_label_file_type(&l);
    free(name);
    return *path;
}

static bool set(writing *w, const char *key, const char *value)
{
    return s24m_good(s24_file_set_meta(w->out, key, value), "%s", w->a->out);
}

/* The types of the whole where they are told: both names of config.json, the older one if there is
 * neither. */
static bool set_types(writing *w, const char *file_type)
{
    static const char *const keys[] = {"config.dtype", "config.torch_dtype"};
    bool done = (!file_type || set(w, LABEL_FILE_TYPE, file_type)) &&
                (!w->a->form->type || set(w, LABEL_BLOCKS, LABEL_BLOCKS_NOW));
    bool wanted = w->a->store && !w->model->config.gguf,
         none = !s24_file_meta(w->model->file, *keys);
    for (int i = 0; done && wanted && i < 2; i++)
        if (s24_file_meta(w->model->file, keys[i]) || (i && none))
            done = set(w, keys[i], s24m_label_dtype(w->a->store));
    return done;
}

/* What was in several parts is one file now. */
static bool drop_parts(writing *w)
{
    static const char *const keys[] = {"split.no", "split.count", "split.tensors.count"};
    bool done = true;
    for (int i = 0; done && i < 3; i++)
        done = !s24_file_meta(w->model->file, keys[i]) || set(w, keys[i], NULL);
    return done;
}

/* What loaders read first of a folder of packed matrices: *text, to be freed. */
static bool describe(writing *w, char **text)
{
    const form *f = w->a->form;
    if (f->holder != HOLDER_FOLDER || !f->layout)
        return true;
    described of = {w->matrices, w->count, s24m_is_encoder(w->model)};
    *text = s24m_describe(f, &of);
    return *text && set(w, "config.quantization_config", NULL) &&
           set(w, "config.quantization_config", *text);
}

static bool write_model(writing *w, const char *folder, const char *records, char **description)
{
    const char *file_type;
    char *path;
    if (!name_model(w, folder, &path, &file_type))
        return false;
    bool done = begin_model(w, path) && set_types(w, file_type) && drop_parts(w) &&
                (!w->a->shrink || s24m_shrink_put(w->a->shrink, w->model, w->out)) &&
                set(w, "sparse24.records", records) &&
                set(w, "sparse24.settings", w->a->c->settings) && put_tensors(w) &&
                describe(w, description) && s24m_good(s24_file_commit(w->out), "%s", path);
    s24_file_destroy(w->out);
    free(path);
    return done;
}

/* ---- What lies beside it ---- */

static bool write_beside(writing *w, const char *folder, const char *description)
{
    const form *f = w->a->form;
    const char *file = s24m_description_file(f);
    return (f->beside != BESIDE_PARTS || s24m_beside_parts(&w->from, folder)) &&
           (f->beside != BESIDE_FACTORS || s24m_beside_factors(&w->from, folder)) &&
           (!file || s24m_beside_text(folder, file, description));
}

/* In place of an empty folder, whose mode stays, or of nothing. */
static bool appear(const assembly *a, const char *folder)
{
    struct stat s;
    if (!s24m_origin_check(a->origin) || !s24m_path_sync_folder(folder))
        return false;
    return ((stat(a->out, &s) || !chmod(folder, s.st_mode & 07777)) && !rename(folder, a->out)) ||
           s24m_wrong(S24_E_IO, "--out %s: %s", a->out, strerror(errno));
}

static bool make_folder(const assembly *a, const char *folder)
{
    s24m_checkpoint_remove(folder); /* what a run that was killed here left */
    return (is_model_folder(a) && a->form->holder != HOLDER_S24) || !mkdir(folder, 0777) ||
           s24m_wrong(S24_E_IO, "%s: %s", folder, strerror(errno));
}

bool s24m_assemble(const assembly *a, const record *records, int count)
{
    writing w = {.a = a,
                 .model = a->model,
                 .from = {.model = a->model,
                          .blocks = a->exporting ? NULL : a->c,
                          .parts = a->parts,
                          .tuned = a->tuned,
                          .records = records,
                          .count = count,
                          .layer = -1}};
    size_t most = (size_t)(a->model->matrix_count + s24_file_count(a->model->file));
    char *folder = s24m_checkpoint_path(a->c, "model"), *description = NULL;
    char *lines = folder ? stable_records(records, count) : NULL;
    w.matrices = lines ? s24m_have(calloc(most + TABLES, sizeof *w.matrices)) : NULL;
    bool done =
        w.matrices && make_folder(a, folder) && write_model(&w, folder, lines, &description) &&
        write_beside(&w, folder, description) && s24m_beside_records(folder, records, count) &&
        (!a->beside || a->beside(a->arg, folder)) && appear(a, folder);
    s24m_supply_close(&w.from);
    free(w.matrices);
    free(description);
    free(lines);
    free(folder);
    return done;
}
