#include "tokens.h"
#include "message.h"
#include "source.h"
#include <inttypes.h>
#include <stdlib.h>

static bool is_integer(int32_t dtype)
{
    return dtype == S24_I16 || dtype == S24_I32 || dtype == S24_I64 || dtype == S24_U16 ||
           dtype == S24_U32;
}

/* Element `index` of a contiguous view. */
static int64_t id_at(const s24_mat *view, int64_t index)
{
    switch (view->dtype) {
    case S24_I16:
        return ((const int16_t *)view->data)[index];
    case S24_U16:
        return ((const uint16_t *)view->data)[index];
    case S24_I32:
        return ((const int32_t *)view->data)[index];
    case S24_U32:
        return ((const uint32_t *)view->data)[index];
    default:
        return ((const int64_t *)view->data)[index];
    }
}

static bool cut(tokens *t, const source *s, const char *what, int32_t rank, int64_t rows,
                int64_t context)
{
    if (!is_integer(s->view.dtype) || rank > 2)
        return fail("%s %s:%s: expected integers of 16, 32 or 64 bits, of rank 1 or 2", what,
                    s->path, s->tensor);
    if (rank < 2 && !context)
        return fail("%s %s:%s: is one list of ids, --context tells how long its rows are", what,
                    s->path, s->tensor);
    t->length = context ? context : s->view.cols;
    t->rows = t->length ? s->view.rows * s->view.cols / t->length : 0;
    if (!t->rows)
        return fail("%s %s:%s: holds %" PRId64 " ids, no row of %" PRId64, what, s->path, s->tensor,
                    s->view.rows * s->view.cols, t->length);
    if (t->length < 2)
        return fail("%s %s:%s: rows of one token predict nothing", what, s->path, s->tensor);
    if (rows > t->rows)
        return fail("--rows %" PRId64 ": %s:%s has %" PRId64, rows, s->path, s->tensor, t->rows);
    t->rows = rows ? rows : t->rows;
    return true;
}

static bool copy(tokens *t, const source *s, const char *what, int64_t vocabulary)
{
    int64_t count = t->rows * t->length;
    t->ids = must(malloc((size_t)count * sizeof *t->ids));
    for (int64_t i = 0; i < count; i++) {
        int64_t id = id_at(&s->view, i);
        if (id < 0 || id >= vocabulary)
            return fail("%s %s:%s: row %" PRId64 ", column %" PRId64 " is %" PRId64
                        ", but the model's ids are 0 .. %" PRId64,
                        what, s->path, s->tensor, i / t->length, i % t->length, id, vocabulary - 1);
        t->ids[i] = (int32_t)id;
    }
    return true;
}

bool tokens_open(tokens *t, s24_ctx *ctx, const char *what, const char *text, int64_t rows,
                 int64_t context, int64_t vocabulary)
{
    source s = {0};
    int32_t rank;
    bool done = source_open_ranks(&s, ctx, what, text, 1, &rank) &&
                cut(t, &s, what, rank, rows, context) && copy(t, &s, what, vocabulary);
    source_close(&s);
    return done;
}

void tokens_close(tokens *t)
{
    free(t->ids);
}
