#include "identity.h"
#include "activations.h"
#include "hash.h"
#include "matrix.h"
#include "message.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_tokens(FILE *out, const char *what, const sequences *t, int held)
{
    int64_t first = held ? t->count[0] : 0, size = t->count[held] * t->length;
    fprintf(out, "%s %lld x %lld", what, (long long)t->count[held], (long long)t->length);
    if (size)
        fprintf(out, " %016" PRIx64,
                hash(HASH_BEGIN, t->ids + first * t->length, (size_t)size * sizeof *t->ids));
    fputs("\n", out);
}

static void put_plan(FILE *out, const plan *p)
{
    fprintf(out, "constraints %s\n", p->constraints);
    for (const rule *r = p->rules; r < p->rules + p->count; r++)
        if (r->constraints)
            fprintf(out, "rule %s=%s\n", r->pattern, r->constraints);
        else
            fprintf(out, "skip %s\n", r->pattern);
}

char *identity_text(const settings *s, const origin *o, const sequences *t)
{
    char *text = NULL;
    size_t size;
    const char *isa = "", *blas = s24_build_info("blas");
    FILE *out = open_memstream(&text, &size);
    if (!out)
        must(NULL);
    s24_ctx_get_str(s->ctx, "isa", &isa);
    fprintf(out, "sparse24 %s\nblas %s\nisa %s\n", s24_version(), blas ? blas : "", isa);
    origin_describe(o, out);
    put_tokens(out, "calib", t, 0);
    put_tokens(out, "eval, held out", t, 1);
    put_plan(out, &s->plan);
    fprintf(out, "solver %s\noptions %s\ncorrect %.17g\n", s->solver ? s->solver : "by constraints",
            s->options ? s->options : "", s->correct);
    fprintf(out, "store %s\nactivations %s\n", s->store ? matrix_type(s->store) : "as it was",
            s->keep == KEEP_HALF ? "half" : "full");
    fclose(out);
    return text;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int64_t identity_rows(const sequences *t)
{
    int64_t rows = t->count[0], different = 0, i = 0;
    uint64_t *hashes = must(malloc((size_t)rows * sizeof *hashes));
    for (int64_t r = 0; r < rows; r++)
        hashes[r] = hash(HASH_BEGIN, t->ids + r * t->length, (size_t)t->length * sizeof *t->ids);
    qsort(hashes, (size_t)rows, sizeof *hashes, by_value);
    for (int64_t r = 0; r < rows; r++)
        different += !r || hashes[r] != hashes[r - 1];
    free(hashes);
    while (i < rows * t->length && t->ids[i] == t->ids[0])
        i++;
    return i == rows * t->length ? 1 : different * t->length;
}
