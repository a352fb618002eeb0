#include "assemble.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = must(malloc(size));
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

char *assemble_model_path(const char *path, const char *out)
{
    return is_folder(path) ? must(strdup(out)) : join(out, base_name(path));
}

/* Directory entries are on disk when the folder is. */
static bool sync_folder(const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = file >= 0 && !fsync(file);
    if (!done)
        fail("%s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    return done;
}

/* ---- The model ---- */

typedef struct writing {
    const llama_model *model;
    const checkpoint *c;
    s24_file *out, *parts; /* parts: made when the first one is met */
    s24_file *block;       /* of the layer at hand */
    int layer;             /* -1: none */
} writing;

/* The block that holds a tensor as it was compressed, or NULL. */
static bool find_block(writing *w, const char *name, s24_file **block)
{
    char linear[LLAMA_NAME];
    *block = NULL;
    for (int layer = 0; layer < w->model->config.layers; layer++)
        for (int32_t which = 0; which < LLAMA_LINEARS; which++) {
            llama_name(w->model, layer, which, linear);
            if (strcmp(linear, name))
                continue;
            if (w->layer != layer) {
                s24_file_destroy(w->block);
                w->block = checkpoint_file(w->c, layer);
                w->layer = layer;
            }
            if (!w->block)
                return false;
            if (s24_file_info(w->block, name, NULL, NULL, NULL) == S24_OK)
                *block = w->block;
            return true;
        }
    return true;
}

/* Compressed tensors are put with the shape that the source has. */
static bool put_tensor(writing *w, const char *name)
{
    s24_file *block;
    const char *type;
    s24_mat v;
    if (!find_block(w, name, &block))
        return false;
    s24_status status = !block ? s24_file_put_stored(w->out, w->model->file, name)
                        : s24_file_info(block, name, NULL, NULL, &type) == S24_OK &&
                                s24_file_get(block, name, &v) == S24_OK
                            ? s24_file_put(w->out, name, &v, NULL, 2, type)
                            : S24_E_IO;
    return status == S24_OK || fail_library("%s", name);
}

static bool put_tensors(writing *w)
{
    int64_t count = s24_file_count(w->model->file);
    for (int64_t i = 0; i < count; i++) {
        progress_show("writing", "model", i, count);
        if (progress_interrupted() || !put_tensor(w, s24_file_name(w->model->file, i)))
            return false;
    }
    return true;
}

static char *stable_records(const char *const *records, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; i++)
        size += strlen(records[i]) + 1;
    char *text = must(malloc(size)), *end = text;
    *end = 0;
    for (int i = 0; i < count; i++) {
        char *record = record_drop_volatile(must(strdup(records[i])));
        end += sprintf(end, "%s\n", record);
        free(record);
    }
    return text;
}

static bool write_model(writing *w, const char *format, const char *path,
                        const char *const *records, int count)
{
    char *lines = stable_records(records, count);
    bool done = (s24_file_create(w->model->ctx, path, format, &w->out) == S24_OK &&
                 s24_file_copy_meta(w->out, w->model->file) == S24_OK &&
                 s24_file_set_meta(w->out, "sparse24.records", lines) == S24_OK &&
                 s24_file_set_meta(w->out, "sparse24.settings", w->c->settings) == S24_OK) ||
                fail_library("%s", path);
    done = done && put_tensors(w);
    done = done && (s24_file_commit(w->out) == S24_OK || fail_library("%s", path));
    s24_file_destroy(w->out);
    free(lines);
    return done;
}

/* ---- What lies beside it ---- */

static bool put_part(writing *w, const char *folder, s24_file *block, const char *name)
{
    char *path = join(folder, "parts.safetensors");
    bool done =
        (w->parts || s24_file_create(w->model->ctx, path, "safetensors", &w->parts) == S24_OK) &&
        s24_file_put_stored(w->parts, block, name) == S24_OK;
    if (!done)
        fail_library("%s", path);
    free(path);
    return done;
}

/* Tensors of the blocks that the model does not have: codes, scales, factors. */
static bool write_parts(writing *w, const char *folder)
{
    bool done = true;
    for (int layer = 0; done && layer < w->model->config.layers; layer++) {
        s24_file *block = checkpoint_file(w->c, layer);
        done = block != NULL;
        for (int64_t i = 0; done && i < s24_file_count(block); i++) {
            const char *name = s24_file_name(block, i);
            if (s24_file_info(w->model->file, name, NULL, NULL, NULL) != S24_OK)
                done = put_part(w, folder, block, name);
        }
        s24_file_destroy(block);
    }
    done = done && (!w->parts || s24_file_commit(w->parts) == S24_OK ||
                    fail_library("%s/parts.safetensors", folder));
    s24_file_destroy(w->parts);
    return done;
}

static bool write_records(const char *folder, const char *const *records, int count)
{
    char *path = join(folder, "records.jsonl");
    FILE *file = fopen(path, "w");
    for (int i = 0; file && i < count; i++)
        fprintf(file, "%s\n", records[i]);
    bool done = file && !ferror(file) && !fflush(file) && !fsync(fileno(file));
    if (file)
        done = !fclose(file) && done;
    if (!done)
        fail("%s: %s", path, strerror(errno));
    free(path);
    return done;
}

bool assemble(const llama_model *model, const char *path, const checkpoint *c, const char *out,
              const char *const *records, int count)
{
    writing w = {.model = model, .c = c, .layer = -1};
    const char *format = is_folder(path) ? "folder" : model->config.gguf ? "gguf" : "safetensors";
    char *folder = checkpoint_path(c, "model"), *place = assemble_model_path(path, folder);
    checkpoint_remove(folder); /* what a run that was killed here left */
    bool done =
        (is_folder(path) || !mkdir(folder, 0777) || fail("%s: %s", folder, strerror(errno))) &&
        write_model(&w, format, place, records, count) && write_parts(&w, folder) &&
        write_records(folder, records, count) && sync_folder(folder) &&
        (!rename(folder, out) || fail("--out %s: %s", out, strerror(errno)));
    s24_file_destroy(w.block);
    progress_clear();
    free(place);
    free(folder);
    return done;
}
