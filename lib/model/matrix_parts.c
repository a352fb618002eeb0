#include "matrix_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool s24m_result_part(const s24_result *result, int32_t index, const char **name, s24_mat *values)
{
    int32_t kind;
    if (!result)
        return false;
    for (int32_t i = 0; (*name = s24_result_name(result, i, &kind)); i++)
        if (kind == S24_RESULT_MATRIX && strcmp(*name, "weights") && strcmp(*name, "mask") &&
            !index--)
            return s24_result_matrix(result, *name, values) == S24_OK;
    return false;
}

static s24m_part *find(s24m_gathered *g, const char *name)
{
    for (int32_t i = 0; i < g->count; i++)
        if (!strcmp(g->part[i].name, name))
            return g->part + i;
    return NULL;
}

s24m_part *s24m_gathered_part(s24m_gathered *g, const char *name, int64_t rows, int64_t cols,
                              int32_t dtype)
{
    s24m_part *part = find(g, name);
    size_t width = (size_t)(dtype & 0xff) / 8; /* the low byte of a type is its width in bits */
    if (part &&
        (part->values.rows != rows || part->values.cols != cols || part->values.dtype != dtype)) {
        s24m_wrong(S24_E_INTERNAL, "ranks have %s of different shapes", name);
        return NULL;
    }
    if (part)
        return part;
    if (g->count == S24M_PARTS_MOST) {
        s24m_wrong(S24_E_INTERNAL, "more than %d parts of a matrix", (int)S24M_PARTS_MOST);
        return NULL;
    }
    part = g->part + g->count;
    void *values = s24m_have(calloc((size_t)(rows * cols) + 1, width));
    if (!values)
        return NULL;
    snprintf(part->name, sizeof part->name, "%s", name);
    s24_mat_rowmajor(&part->values, values, rows, cols, dtype);
    g->count++;
    return part;
}

void s24m_gathered_free(s24m_gathered *g)
{
    for (int32_t i = 0; g && i < g->count; i++)
        free(g->part[i].values.data);
    free(g);
}
