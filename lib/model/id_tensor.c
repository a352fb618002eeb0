/* Token ids in a tensor of a file. */
#include "ids.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t rank_of(const s24_file *file, const char *name)
{
    int64_t shape[8];
    int32_t rank = -1;
    s24_file_info(file, name, shape, &rank, NULL);
    return rank;
}

/* The only tensor of rank 1 or 2; else NULL, and the error lists them. */
static const char *only_tensor(const s24_file *file, const char *path)
{
    char names[400] = "";
    size_t used = 0;
    const char *only = NULL;
    int64_t found = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        int32_t rank = rank_of(file, name);
        if (rank != 1 && rank != 2)
            continue;
        only = found++ ? only : name;
        if (used + strlen(name) + 3 < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, " %s", name);
    }
    if (found == 1)
        return only;
    if (!found)
        s24m_fail(S24_E_FORMAT, "%s: holds no tensor of rank 1 or 2", path);
    else
        s24m_fail(S24_E_FORMAT,
                  "%s: holds %" PRId64 " tensors of rank 1 or 2, name one as FILE:TENSOR:%s", path,
                  found, names);
    return NULL;
}

bool s24m_id_tensor_open(id_source *s, s24_ctx *ctx, const char *path, const char *tensor)
{
    if (!s24m_done(s24_file_open(ctx, path, &s->file)))
        return false;
    const char *name = tensor ? tensor : only_tensor(s->file, path);
    if (!name)
        return false;
    if (asprintf(&s->name, "%s:%s", path, name) < 0)
        s->name = NULL;
    if (!s24m_have(s->name) ||
        !s24m_good(s24_file_info(s->file, name, NULL, NULL, NULL), "%s", path))
        return false;
    int32_t rank = rank_of(s->file, name);
    if (rank != 1 && rank != 2)
        return s24m_wrong(S24_E_SHAPE, "%s: has rank %d, expected integers of rank 1 or 2", s->name,
                          (int)rank);
    s->is_list = rank == 1;
    return s24m_good(s24_file_get(s->file, name, &s->ids), "%s", path);
}
