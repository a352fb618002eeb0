#include "tokens.h"
#include <inttypes.h>
#include <stdlib.h>

bool s24m_is_integer(int32_t dtype)
{
    return dtype == S24_I16 || dtype == S24_I32 || dtype == S24_I64 || dtype == S24_U16 ||
           dtype == S24_U32;
}

static int64_t id_at(const s24_mat *ids, int64_t row, int64_t col)
{
    int64_t index = row * ids->row_stride + col * ids->col_stride;
    switch (ids->dtype) {
    case S24_I16:
        return ((const int16_t *)ids->data)[index];
    case S24_U16:
        return ((const uint16_t *)ids->data)[index];
    case S24_I32:
        return ((const int32_t *)ids->data)[index];
    case S24_U32:
        return ((const uint32_t *)ids->data)[index];
    default:
        return ((const int64_t *)ids->data)[index];
    }
}

static bool check(const s24_mat *ids, const char *name, int64_t least)
{
    if (!ids || !ids->data || ids->device != S24_CPU)
        return s24m_wrong(S24_E_ARG, "%s: no matrix in memory", name);
    if (!s24m_is_integer(ids->dtype))
        return s24m_wrong(S24_E_DTYPE, "%s: expected integers of 16, 32 or 64 bits, of rank 1 or 2",
                          name);
    if (ids->rows < 1 || ids->cols < 1 || ids->rows > INT64_MAX / 8 / ids->cols)
        return s24m_wrong(S24_E_SHAPE, "%s: %" PRId64 " rows of %" PRId64 " ids", name, ids->rows,
                          ids->cols);
    return ids->cols >= least ||
           s24m_wrong(S24_E_SHAPE, "%s: rows of one token predict nothing", name);
}

/* Rows of at least `least` tokens. */
static bool take(tokens *t, const s24_mat *ids, const char *name, int64_t vocabulary, int64_t least)
{
    if (!check(ids, name, least))
        return false;
    *t = (tokens){.rows = ids->rows, .length = ids->cols};
    t->ids = s24m_have(malloc((size_t)(t->rows * t->length) * sizeof *t->ids));
    for (int64_t i = 0; t->ids && i < t->rows * t->length; i++) {
        int64_t row = i / t->length, col = i % t->length, id = id_at(ids, row, col);
        t->ids[i] = (int32_t)id;
        if (id < 0 || id >= vocabulary) {
            s24m_tokens_close(t);
            return s24m_wrong(S24_E_ARG,
                              "%s: row %" PRId64 ", column %" PRId64 " is %" PRId64
                              ", but the model's ids are 0 .. %" PRId64,
                              name, row, col, id, vocabulary - 1);
        }
    }
    return t->ids;
}

bool s24m_tokens_take(tokens *t, const s24_mat *ids, const char *name, int64_t vocabulary)
{
    return take(t, ids, name, vocabulary, 2);
}

bool s24m_tokens_take_prompts(tokens *t, const s24_mat *ids, const char *name, int64_t vocabulary)
{
    return take(t, ids, name, vocabulary, 1);
}

void s24m_tokens_close(tokens *t)
{
    free(t->ids);
    *t = (tokens){0};
}
