#include "assemble.h"
#include "label.h"
#include "parts.h"
#include "fail.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RECORDS "records.jsonl"
#define PARTS "parts.safetensors"

/* ---- The model ---- */

typedef struct writing {
    const assembly *a;
    const s24m_model *model;
    const checkpoint *c;
    s24_file *out, *parts; /* parts: made when the first one is met */
    s24_file *block;       /* of the layer at hand */
    int layer;             /* -1: none */
} writing;

/* The next matrix from `which` on that lies in this tensor and was compressed; the layer's count if
 * there is none. */
static int32_t next_inside(const writing *w, const char *name, int32_t which)
{
    char tensor[S24M_NAME], whole[S24M_NAME];
    int32_t count = s24m_matrices(w->model, w->layer);
    for (; which < count; which++) {
        s24m_tensor_name(w->model, w->layer, which, false, tensor);
        s24m_name(w->model, w->layer, which, whole);
        if (!strcmp(tensor, name) && s24_file_info(w->block, whole, NULL, NULL, NULL) == S24_OK)
            break;
    }
    return which;
}

/* The layer whose name this is, -1 outside. */
static int layer_of(const s24m_model *model, const char *name)
{
    char prefix[S24M_NAME], *end;
    s24m_block_prefix(model, prefix);
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) || name[length] < '0' || name[length] > '9')
        return -1;
    long layer = strtol(name + length, &end, 10);
    return *end == '.' && layer < model->config.layers ? (int)layer : -1;
}

/* The first compressed matrix of a tensor, -1: it stays as it is. */
static bool find_matrix(writing *w, const char *name, int32_t *which)
{
    int layer = layer_of(w->model, name);
    *which = -1;
    if (layer < 0)
        return true;
    if (w->layer != layer) {
        s24_file_destroy(w->block);
        w->block = s24m_checkpoint_file(w->c, layer);
        w->layer = layer;
    }
    if (!w->block)
        return false;
    int32_t found = next_inside(w, name, 0);
    *which = found < s24m_matrices(w->model, layer) ? found : -1;
    return true;
}

/* The compressed values of one matrix into its place in the tensor. */
static bool put_slice(const writing *w, int32_t which, float *tensor)
{
    const s24m_matrix *m = s24m_program_of(w->model, w->layer)->matrices + which;
    char name[S24M_NAME];
    s24_mat to = s24m_mat(tensor, m->outputs, m->inputs);
    s24m_name(w->model, w->layer, which, name);
    to.data = tensor + (m->slices ? m->expert * m->outputs * m->inputs : 0);
    if (m->transposed) {
        to.row_stride = 1;
        to.col_stride = m->outputs;
    }
    return s24m_good(s24_file_read(w->block, name, &to), "%s", name);
}

/* A tensor of which compressed matrices are slices, or which is transposed. */
static bool put_folded(writing *w, const char *name, int32_t which)
{
    int64_t shape[8], rows = 1;
    int32_t rank = 0;
    const char *type;
    char whole[S24M_NAME];
    float *values = NULL;
    s24m_name(w->model, w->layer, which, whole);
    bool done = s24m_good(s24_file_info(w->model->file, name, shape, &rank, NULL), "%s", name) &&
                s24m_good(s24_file_info(w->block, whole, NULL, NULL, &type), "%s", whole) &&
                s24m_done(s24m_read_any(w->model, name, &values));
    for (; done && which < s24m_matrices(w->model, w->layer);
         which = next_inside(w, name, which + 1))
        done = put_slice(w, which, values);
    for (int32_t i = 0; i < rank - 1; i++)
        rows *= shape[i];
    s24_mat view = s24m_mat(values, rows, rank ? shape[rank - 1] : 0);
    done = done && s24m_good(s24_file_put(w->out, name, &view, shape, rank, type), "%s", name);
    free(values);
    return done;
}

/* Compressed tensors are put with the shape that the source has. */
static bool put_tensor(writing *w, const char *name)
{
    int32_t which;
    const char *type;
    s24_mat v;
    if (!find_matrix(w, name, &which))
        return false;
    if (which < 0)
        return s24m_good(s24_file_put_stored(w->out, w->model->file, name), "%s", name);
    const s24m_matrix *m = s24m_program_of(w->model, w->layer)->matrices + which;
    if (m->slices || m->transposed)
        return put_folded(w, name, which);
    return s24m_good(s24_file_info(w->block, name, NULL, NULL, &type), "%s", name) &&
           s24m_good(s24_file_get(w->block, name, &v), "%s", name) &&
           s24m_good(s24_file_put(w->out, name, &v, NULL, 2, type), "%s", name);
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

/* A new file or folder with all but tensors. */
static bool begin_model(writing *w, const char *path)
{
    const char *format = is_model_folder(w->a)   ? "folder"
                         : w->model->config.gguf ? "gguf"
                                                 : "safetensors";
    return path && s24m_good(s24_file_create(w->model->ctx, path, format, &w->out), "%s", path) &&
           s24m_good(s24_file_copy_meta(w->out, w->model->file), "%s", path);
}

bool s24m_assemble_check(const assembly *a)
{
    writing w = {.a = a, .model = a->model, .c = a->c};
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
    char whole[S24M_NAME];
    int32_t which;
    if (!find_matrix(w, name, &which))
        return false;
    if (which >= 0)
        s24m_name(w->model, w->layer, which, whole);
    return s24m_good(s24_file_info(w->model->file, name, NULL, NULL, before), "%s", name) &&
           s24m_good(which < 0 ? s24_file_info(w->model->file, name, NULL, NULL, after)
                               : s24_file_info(w->block, whole, NULL, NULL, after),
                     "%s", name);
}

/* The name of a GGUF file and its general.file_type follow the type that most weights have. */
static bool name_model(writing *w, const char *folder, char **path, const char **file_type)
{
    const origin_file *source = w->a->origin->files;
    label l = {0};
    *file_type = NULL;
    while (w->model->config.gguf && !s24m_path_ends_with(source->path, ".gguf") &&
           source < w->a->origin->files + w->a->origin->count - 1)
        source++;
    if (is_model_folder(w->a)) {
        return (*path = s24m_have(strdup(folder)));
    }
    if (w->model->config.gguf && !s24m_label_types(&l, w->model->file, types_of, w))
        return false;
    char *name = s24m_label_name(&l, s24m_path_name(source->path));
    *path = name ? s24m_path_join(folder, name) : NULL;
    *file_type = s24m_label_file_type(&l);
    free(name);
    return *path;
}

/* The types of the whole where they are told: both names of config.json, the older one if there is
 * neither. */
static bool set_types(writing *w, const char *file_type)
{
    static const char *const keys[] = {"config.dtype", "config.torch_dtype"};
    const char *out = w->a->out;
    bool done =
        !file_type || s24m_good(s24_file_set_meta(w->out, LABEL_FILE_TYPE, file_type), "%s", out);
    bool wanted = w->a->store && !w->model->config.gguf,
         none = !s24_file_meta(w->model->file, *keys);
    for (int i = 0; done && wanted && i < 2; i++)
        if (s24_file_meta(w->model->file, keys[i]) || (i && none))
            done = s24m_good(s24_file_set_meta(w->out, keys[i], s24m_label_dtype(w->a->store)),
                             "%s", out);
    return done;
}

/* What was in several parts is one file now. */
static bool drop_parts(writing *w)
{
    static const char *const keys[] = {"split.no", "split.count", "split.tensors.count"};
    bool done = true;
    for (int i = 0; done && i < 3; i++)
        done = !s24_file_meta(w->model->file, keys[i]) ||
               s24m_good(s24_file_set_meta(w->out, keys[i], NULL), "%s", w->a->out);
    return done;
}

static bool write_model(writing *w, const char *folder, const record *records, int count)
{
    const char *file_type;
    char *path, *lines;
    if (!name_model(w, folder, &path, &file_type))
        return false;
    lines = stable_records(records, count);
    bool done =
        lines && begin_model(w, path) && set_types(w, file_type) && drop_parts(w) &&
        s24m_good(s24_file_set_meta(w->out, "sparse24.records", lines), "%s", path) &&
        s24m_good(s24_file_set_meta(w->out, "sparse24.settings", w->c->settings), "%s", path) &&
        put_tensors(w) && s24m_good(s24_file_commit(w->out), "%s", path);
    s24_file_destroy(w->out);
    free(lines);
    free(path);
    return done;
}

/* ---- What lies beside it ---- */

static bool put_part(writing *w, const char *folder, s24_file *block, const char *name)
{
    char *path = s24m_path_join(folder, PARTS);
    bool done =
        path &&
        (w->parts ||
         s24m_good(s24_file_create(w->model->ctx, path, "safetensors", &w->parts), "%s", path)) &&
        s24m_good(s24_file_put_stored(w->parts, block, name), "%s", path);
    free(path);
    return done;
}

/* Tensors of the blocks that the model does not have: codes, scales, factors. */
static bool write_parts(writing *w, const char *folder)
{
    bool done = true;
    for (int layer = 0; done && layer < w->model->config.layers; layer++) {
        s24_file *block = s24m_checkpoint_file(w->c, layer);
        done = block != NULL;
        for (int64_t i = 0; done && i < s24_file_count(block); i++) {
            const char *name = s24_file_name(block, i);
            bool slice = name[strlen(name) - 1] == ']';
            if (!slice && s24_file_info(w->model->file, name, NULL, NULL, NULL) != S24_OK)
                done = put_part(w, folder, block, name);
        }
        s24_file_destroy(block);
    }
    done = done && (!w->parts || s24m_good(s24_file_commit(w->parts), "%s/" PARTS, folder));
    s24_file_destroy(w->parts);
    return done;
}

static bool write_records(const char *folder, const record *records, int count)
{
    char *path = s24m_path_join(folder, RECORDS);
    FILE *file = path ? fopen(path, "w") : NULL;
    for (int i = 0; file && i < count; i++)
        fprintf(file, "%s\n", records[i].json);
    bool done = file && !ferror(file) && !fflush(file) && s24m_path_sync(fileno(file));
    if (file)
        done = !fclose(file) && done;
    if (!done && path)
        s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
    free(path);
    return done;
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

bool s24m_assemble(const assembly *a, const record *records, int count)
{
    writing w = {.a = a, .model = a->model, .c = a->c, .layer = -1};
    char *folder = s24m_checkpoint_path(a->c, "model");
    if (folder)
        s24m_checkpoint_remove(folder); /* what a run that was killed here left */
    bool done = folder &&
                (is_model_folder(a) || !mkdir(folder, 0777) ||
                 s24m_wrong(S24_E_IO, "%s: %s", folder, strerror(errno))) &&
                write_model(&w, folder, records, count) && write_parts(&w, folder) &&
                write_records(folder, records, count) &&
                (!a->beside || a->beside(a->arg, folder)) && appear(a, folder);
    s24_file_destroy(w.block);
    free(folder);
    return done;
}
