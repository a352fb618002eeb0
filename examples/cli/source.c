#include "source.h"
#include "message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void split(source *s, const char *text)
{
    const char *colon = access(text, F_OK) ? strrchr(text, ':') : NULL;
    s->path = must(colon ? strndup(text, (size_t)(colon - text)) : strdup(text));
    s->tensor = colon ? must(strdup(colon + 1)) : NULL;
}

bool source_open_file(source *s, s24_ctx *ctx, const char *what, const char *text)
{
    split(s, text);
    return s24_file_open(ctx, s->path, &s->file) == S24_OK || fail_library("%s", what);
}

static bool decode(const s24_file *file, const char *name, s24_mat *view, void **decoded)
{
    int64_t shape[8], rows = 1;
    int32_t rank = 0;
    if (s24_file_check_read(file, name) != S24_OK ||
        s24_file_info(file, name, shape, &rank, NULL) != S24_OK)
        return false;
    for (int32_t i = 0; i < rank - 1; i++)
        rows *= shape[i];
    int64_t cols = rank ? shape[rank - 1] : 1;
    void *block = must(calloc((size_t)(rows * cols) + 1, sizeof(float)));
    s24_mat made;
    if (s24_mat_rowmajor(&made, block, rows, cols, S24_F32) == S24_OK &&
        s24_file_read(file, name, &made) == S24_OK) {
        *view = made;
        *decoded = block;
        return true;
    }
    free(block);
    return false;
}

bool tensor_view(const s24_file *file, const char *name, s24_mat *view, void **decoded)
{
    *decoded = NULL;
    return s24_file_get(file, name, view) == S24_OK || decode(file, name, view, decoded);
}

/* Its rank, -1 if there is no such tensor. */
static int32_t rank_of(const s24_file *file, const char *name)
{
    int64_t shape[8];
    int32_t rank = -1;
    const char *type;
    s24_file_info(file, name, shape, &rank, &type);
    return rank;
}

bool source_has(const source *s, const char *name)
{
    return rank_of(s->file, name) >= 0;
}

/* As `solve --out` calls it; NULL: there is no such name. */
static const char *usual_tensor(const char *what)
{
    return !strcmp(what, "--mask")                               ? "mask"
           : !strcmp(what, "--weights") || !strcmp(what, "pack") ? "weights"
                                                                 : NULL;
}

/* No tensor was named: take the only one of such a rank, or say which ones there are. */
static bool only_tensor(source *s, const char *what, int32_t lowest, int32_t highest)
{
    char names[400] = "", ranks[40] = "";
    size_t used = 0;
    int64_t found = 0, count = s24_file_count(s->file);
    for (int64_t i = 0; i < count; i++) {
        const char *name = s24_file_name(s->file, i);
        int32_t rank = rank_of(s->file, name);
        if (rank < lowest || rank > highest)
            continue;
        if (!found++)
            s->tensor = must(strdup(name));
        if (used + strlen(name) + 3 < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, " %s", name);
    }
    if (found == 1)
        return true;
    const char *usual = usual_tensor(what);
    if (usual && source_has(s, usual)) {
        free(s->tensor);
        s->tensor = must(strdup(usual));
        return true;
    }
    snprintf(ranks, sizeof ranks, lowest < highest ? "%d or %d" : "%d", (int)lowest, (int)highest);
    if (!found)
        return fail("%s %s: holds no tensor of rank %s", what, s->path, ranks);
    return fail("%s %s: holds %lld tensors of rank %s, name one as FILE:TENSOR:%s", what, s->path,
                (long long)found, ranks, names);
}

bool source_open_ranks(source *s, s24_ctx *ctx, const char *what, const char *text, int32_t lowest,
                       int32_t *rank)
{
    int64_t shape[8];
    const char *type;
    if (!source_open_file(s, ctx, what, text) || (!s->tensor && !only_tensor(s, what, lowest, 2)))
        return false;
    if (s24_file_info(s->file, s->tensor, shape, rank, &type) != S24_OK)
        return fail_library("%s %s", what, s->path);
    if (*rank < lowest)
        return fail("%s %s:%s: has rank %d, expected %d", what, s->path, s->tensor, (int)*rank,
                    (int)lowest);
    return tensor_view(s->file, s->tensor, &s->view, &s->decoded) ||
           fail_library("%s %s", what, s->path);
}

bool source_open(source *s, s24_ctx *ctx, const char *what, const char *text, bool folded)
{
    int32_t rank;
    if (!source_open_ranks(s, ctx, what, text, 2, &rank))
        return false;
    return rank == 2 || folded ||
           fail("%s %s:%s: has rank %d, expected 2", what, s->path, s->tensor, (int)rank);
}

void source_close(source *s)
{
    s24_file_destroy(s->file);
    free(s->decoded);
    free(s->tensor);
    free(s->path);
}

s24_mat rows_of(const s24_mat *mat, int64_t first, int64_t count)
{
    s24_mat part = *mat;
    int64_t bytes = (mat->dtype & 0xff) / 8; /* the low byte of a type is its width in bits */
    part.data = (char *)mat->data + first * mat->row_stride * bytes;
    part.rows = count;
    return part;
}
