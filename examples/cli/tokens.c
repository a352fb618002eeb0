#include "tokens.h"
#include "message.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_integer(int32_t dtype)
{
    return dtype == S24_I16 || dtype == S24_I32 || dtype == S24_I64 || dtype == S24_U16 ||
           dtype == S24_U32;
}

static bool cut(tokens *t, int32_t rank, int64_t rows, int64_t context)
{
    const source *s = &t->source;
    int64_t size = s->view.rows * s->view.cols, length = context ? context : s->view.cols;
    int64_t found = length ? size / length : 0;
    if (!is_integer(s->view.dtype) || rank > 2)
        return fail("%s: expected integers of 16, 32 or 64 bits, of rank 1 or 2", t->name);
    if (rank < 2 && !context)
        return fail("%s: is one list of ids, --context tells how long its rows are", t->name);
    if (!found)
        return fail("%s: holds %" PRId64 " ids, no row of %" PRId64, t->name, size, length);
    if (rows > found)
        return fail("--rows %" PRId64 ": %s:%s has %" PRId64, rows, s->path, s->tensor, found);
    return s24_mat_rowmajor(&t->ids, s->view.data, rows ? rows : found, length, s->view.dtype) ==
               S24_OK ||
           fail_library("%s", t->name);
}

bool tokens_open(tokens *t, s24_ctx *ctx, const char *what, const char *text, int64_t rows,
                 int64_t context)
{
    int32_t rank;
    if (!source_open_ranks(&t->source, ctx, what, text, 1, &rank))
        return false;
    if (asprintf(&t->name, "%s %s:%s", what, t->source.path, t->source.tensor) < 0)
        t->name = NULL;
    return must(t->name) && cut(t, rank, rows, context);
}

void tokens_close(tokens *t)
{
    source_close(&t->source);
    free(t->name);
}
