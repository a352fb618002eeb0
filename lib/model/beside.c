#include "beside.h"
#include "codes.h"
#include "paths.h"
#include "program.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADAPTER "adapter"
#define ADAPTER_WEIGHTS ADAPTER "/adapter_model.safetensors"

static bool make_folder(const char *folder, const char *name)
{
    char *path = s24m_path_join(folder, name);
    bool done = path && (!mkdir(path, 0777) || errno == EEXIST ||
                         s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno)));
    free(path);
    return done;
}

/* ---- Files of tensors, made when the first one is met ---- */

typedef struct collection {
    const supply *s;
    const char *folder, *below, *name;
    s24_file *file;
} collection;

static bool open_file(collection *c)
{
    if (c->file)
        return true;
    char *path = make_folder(c->folder, c->below) ? s24m_path_join(c->folder, c->name) : NULL;
    bool done = path && s24m_good(s24_file_create(c->s->model->ctx, path, "safetensors", &c->file),
                                  "%s", path);
    free(path);
    return done;
}

static bool close_file(collection *c, bool done)
{
    if (done && c->file)
        done = s24m_good(s24_file_commit(c->file), "%s/%s", c->folder, c->name);
    s24_file_destroy(c->file);
    return done;
}

static bool put_part(void *arg, const s24_file *file, const char *name)
{
    collection *c = arg;
    return open_file(c) &&
           s24m_good(s24_file_put_stored(c->file, file, name), "%s/%s", c->folder, c->name);
}

bool s24m_beside_parts(const supply *s, const char *folder)
{
    collection c = {s, folder, PARTS_FOLDER, PARTS_PLACE, NULL};
    return close_file(&c, s24m_supply_parts(s, put_part, &c));
}

/* ---- Factors: W = base + B A, B (outputs, rank), A (rank, inputs) ---- */

typedef struct adapter {
    collection to;
    factors *each;
    int count;
} adapter;

/* "model.layers.0.mlp.up_proj" and which of the two; false: no factor. */
static bool split(const char *name, char module[S24M_NAME], const char **letter)
{
    static const struct {
        const char *end, *letter;
    } ends[] = {{".weight.lowrank_u", "B"}, {".weight.lowrank_v", "A"}};
    for (int i = 0; i < 2; i++)
        if (s24m_path_ends_with(name, ends[i].end)) {
            snprintf(module, S24M_NAME, "%.*s", (int)(strlen(name) - strlen(ends[i].end)), name);
            *letter = ends[i].letter;
            return true;
        }
    return false;
}

static void adapter_name(const char *module, const char *letter, char name[S24M_NAME + 48])
{
    snprintf(name, S24M_NAME + 48, "base_model.model.%s.lora_%s.weight", module, letter);
}

static bool put_factor(void *arg, const s24_file *file, const char *name)
{
    adapter *a = arg;
    char module[S24M_NAME], full[S24M_NAME + 48];
    const char *letter;
    s24_mat mat;
    if (!split(name, module, &letter))
        return true;
    adapter_name(module, letter, full);
    if (!open_file(&a->to) || !s24m_good(s24_file_get(file, name, &mat), "%s", name) ||
        !s24m_good(s24_file_put(a->to.file, full, &mat, NULL, 2, NULL), "%s", full))
        return false;
    if (*letter == 'A') {
        factors *one = a->each + a->count++;
        memcpy(one->module, module, sizeof module);
        one->rank = mat.rows;
    }
    return true;
}

/* All matrices of an architecture lie so, or none. */
static bool is_turned(const s24m_model *model)
{
    return s24m_program_of(model, 0)->matrices->transposed;
}

bool s24m_beside_factors(const supply *s, const char *folder)
{
    size_t most = (size_t)s->model->matrix_count;
    adapter a = {.to = {s, folder, ADAPTER, ADAPTER_WEIGHTS, NULL},
                 .each = s24m_have(calloc(most + 1, sizeof *a.each))};
    bool done = a.each && s24m_supply_parts(s, put_factor, &a);
    if (done && a.to.file)
        done = s24m_good(s24_file_set_meta(a.to.file, "format", "pt"), "%s", folder);
    done = close_file(&a.to, done);
    char *text =
        done && a.count ? s24m_describe_adapter(a.each, a.count, is_turned(s->model)) : NULL;
    done = done &&
           (!a.count || (text && s24m_beside_text(folder, ADAPTER "/adapter_config.json", text)));
    free(text);
    free(a.each);
    return done;
}

bool s24m_beside_open_adapter(s24_ctx *ctx, const char *out, s24_file **file)
{
    char *path = s24m_path_join(out, ADAPTER_WEIGHTS);
    bool done = path && s24m_good(s24_file_open(ctx, path, file), "%s", path);
    free(path);
    return done;
}

bool s24m_beside_add_factors(const s24_file *file, s24_ctx *ctx, const char *tensor,
                             s24_mat *values)
{
    char module[S24M_NAME], full[S24M_NAME + 48];
    s24_mat u, v;
    s24m_module(tensor, module);
    adapter_name(module, "B", full);
    if (s24_file_get(file, full, &u) != S24_OK)
        return true;
    adapter_name(module, "A", full);
    return s24m_good(s24_file_get(file, full, &v), "%s", full) &&
           s24m_codes_add_product(ctx, &u, &v, values);
}

/* ---- Texts ---- */

/* Written and synced, or the error. */
static bool close_text(FILE *file, const char *path)
{
    bool done = file && !ferror(file) && !fflush(file) && s24m_path_sync(fileno(file));
    if (file)
        done = !fclose(file) && done;
    if (!done)
        s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
    return done;
}

bool s24m_beside_text(const char *folder, const char *name, const char *text)
{
    char *path = s24m_path_join(folder, name);
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file)
        fputs(text, file);
    bool done = path && close_text(file, path);
    free(path);
    return done;
}

bool s24m_beside_records(const char *folder, const record *records, int count)
{
    char *path = s24m_path_join(folder, RECORDS_PLACE);
    FILE *file = path ? fopen(path, "w") : NULL;
    for (int i = 0; file && i < count; i++)
        fprintf(file, "%s\n", records[i].json);
    bool done = path && close_text(file, path);
    free(path);
    return done;
}

/* "README.source.md", "README.source.source.md" ...: the first that is not there. */
static bool move_away(const char *path)
{
    const char *dot = strrchr(path, '.');
    int stem = (int)(dot && !strchr(dot, '/') ? dot - path : (ptrdiff_t)strlen(path));
    size_t size = strlen(path) + 80;
    char *kept = s24m_have(malloc(size));
    bool done = kept != NULL;
    if (done)
        snprintf(kept, size, "%s", path);
    for (int i = 1; done && !access(kept, F_OK); i++) {
        snprintf(kept, size, "%.*s", stem, path);
        for (int j = 0; j < i && strlen(kept) + 20 < size; j++)
            strcat(kept, ".source");
        strcat(kept, path + stem);
        done = i < 10 || s24m_wrong(S24_E_IO, "%s: move it elsewhere", kept);
    }
    done = done && (!strcmp(kept, path) || !rename(path, kept) ||
                    s24m_wrong(S24_E_IO, "%s: %s", kept, strerror(errno)));
    free(kept);
    return done;
}

bool s24m_beside_add(const char *folder, const char *name, const char *text)
{
    char *path = s24m_path_join(folder, name);
    bool done = path && move_away(path) && s24m_beside_text(folder, name, text);
    free(path);
    return done;
}

static bool holds(const char *path, const char *text)
{
    FILE *file = fopen(path, "r");
    size_t at = 0, size = strlen(text);
    int c = 0;
    while (file && (c = getc(file)) != EOF && at < size && (char)c == text[at])
        at++;
    if (file)
        fclose(file);
    return file && c == EOF && at == size;
}

bool s24m_beside_replace(const char *folder, const char *name, const char *was, const char *text)
{
    char fresh[300];
    snprintf(fresh, sizeof fresh, ".%s.sparse24", name);
    char *path = s24m_path_join(folder, name), *made = s24m_path_join(folder, fresh);
    bool done = path && made, ours = done && holds(path, was);
    if (ours)
        done = s24m_beside_text(folder, fresh, text) &&
               (!rename(made, path) || s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno)));
    if (ours && !done)
        unlink(made);
    free(path);
    free(made);
    return done;
}
