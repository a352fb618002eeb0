#include "solved.h"
#include "parts.h"
#include "paths.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static const char *constraints_of(const supply *s, const char *tensor)
{
    for (int i = 0; i < s->count; i++)
        if (s->records[i].text[RECORD_TENSOR] && !strcmp(s->records[i].text[RECORD_TENSOR], tensor))
            return s->records[i].text[RECORD_CONSTRAINTS];
    return NULL;
}

bool s24m_supply_find(supply *s, const char *tensor, solved *found)
{
    int64_t layer;
    int32_t which;
    *found = (solved){.matrix = s24m_find_matrix(s->model, tensor, &layer, &which)};
    if (!found->matrix)
        return true;
    found->constraints = constraints_of(s, tensor);
    if (s->blocks && !take_block(s, layer))
        return false;
    const s24_file *file = s->blocks ? s->block : s->model->file;
    bool found_it = s->blocks ? s24_file_info(file, tensor, NULL, NULL, NULL) == S24_OK
                              : found->constraints != NULL;
    if (found_it)
        found->values = file;
    found->parts = found_it && s->blocks ? file : found_it ? s->parts : NULL;
    return !found_it || found->constraints ||
           s24m_wrong(S24_E_FORMAT, "%s: its record names no constraints", tensor);
}

void s24m_supply_close(supply *s)
{
    s24_file_destroy(s->block);
    s->block = NULL;
    s->layer = -1;
}

/* ---- Parts ---- */

static bool visit_file(const supply *s, const s24_file *file, part_fn visit, void *arg)
{
    bool done = true;
    for (int64_t i = 0; done && i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        if (s24_file_info(s->model->file, name, NULL, NULL, NULL) != S24_OK)
            done = visit(arg, file, name);
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
    struct stat s;
    char *folder = s24m_have(strdup(path));
    *parts = NULL;
    if (!folder)
        return false;
    if (stat(path, &s) || !S_ISDIR(s.st_mode)) {
        char *slash = strrchr(folder, '/');
        strcpy(slash ? slash + (slash == folder) : folder, slash ? "" : ".");
    }
    bool done =
        try_open(ctx, folder, PARTS_PLACE, parts) && try_open(ctx, folder, PARTS_OLD_PLACE, parts);
    free(folder);
    return done;
}
