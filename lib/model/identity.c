#include "identity.h"
#include "activations.h"
#include "hash.h"
#include "matrix.h"
#include "fail.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last line: it decides what is measured, not what is made. */
#define HELD_OUT "--eval, held out"

static void put_tokens(FILE *out, const char *what, const sequences *t, int64_t begin,
                       int64_t count)
{
    int64_t first = begin * t->width, size = count * t->width;
    fprintf(out, "%s %lld x %lld", what, (long long)count, (long long)t->length);
    if (size)
        fprintf(out, " %016" PRIx64,
                hash(HASH_BEGIN, t->ids + first, (size_t)size * sizeof *t->ids));
    fputs("\n", out);
}

static void put_plan(FILE *out, const plan *p)
{
    fprintf(out, "constraints %s\n", p->constraints ? p->constraints : "");
    for (const rule *r = p->rules; r < p->rules + p->count; r++)
        if (r->constraints)
            fprintf(out, "rule %s=%s\n", r->pattern, r->constraints);
        else
            fprintf(out, "skip %s\n", r->pattern);
}

char *s24m_identity_text(const settings *s, const origin *o, const sequences *t)
{
    char *text = NULL;
    size_t size;
    const char *isa = "", *blas = s24_build_info("blas");
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    s24_ctx_get_str(s->ctx, "isa", &isa);
    fprintf(out, "sparse24 %s\nblas %s\nisa %s\n", s24_version(), blas ? blas : "", isa);
    s24m_origin_describe(o, out);
    put_tokens(out, "--calib", t, 0, t->count[0] - s->self.rows);
    if (!s->permute)
        fputs("permute none\n", out);
    if (s->preset)
        fprintf(out, "preset %s\n", s->preset);
    if (s->scores.file)
        fprintf(out, "importance %s %016" PRIx64 "\n", s->scores.norm,
                s24m_scores_hash(&s->scores));
    if (s->refine)
        fprintf(out, "refine block rate %.17g epochs %" PRId64 "\n", s->refine_rate,
                s->refine_epochs);
    if (s->tune)
        fprintf(out, "tune rate %.17g epochs %" PRId64 "\n", s->tune_rate, s->tune_epochs);
    char *own = s24m_self_text(&s->self, t->length);
    fprintf(out, "%s\n", own ? own : "");
    put_plan(out, &s->plan);
    fprintf(out, "solver %s\noptions %s\ncorrect %.17g\n", s->solver ? s->solver : "by constraints",
            s->options ? s->options : "", s->correct);
    fprintf(out, "store %s\nactivations %s\n", s->store ? s24m_matrix_type(s->store) : "as it was",
            s->keep == KEEP_HALF ? "half" : "full");
    if (*s->form->option)
        fprintf(out, "form %s\n", s->form->option);
    put_tokens(out, HELD_OUT, t, t->count[0], t->count[1]);
    bool good = !ferror(out) && own;
    free(own);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

/* Name the first line in which `theirs`, of length b, differs. */
static bool compare(const char *what, const char *theirs, size_t b, const char *ours, size_t a)
{
    while (a || b) {
        size_t n = strcspn(ours, "\n"), k = strcspn(theirs, "\n");
        n = n < a ? n : a;
        k = k < b ? k : b;
        if (n != k || strncmp(ours, theirs, n))
            return s24m_wrong(S24_E_STATE,
                              "--resume: %s was begun with \"%.*s\", now it is \"%.*s\"", what,
                              (int)k, theirs, (int)n, ours);
        n += n < a;
        k += k < b;
        ours += n;
        theirs += k;
        a -= n;
        b -= k;
    }
    return true;
}

bool s24m_identity_same(const char *what, const char *theirs, const char *ours)
{
    return compare(what, theirs, strlen(theirs), ours, strlen(ours));
}

static size_t made_length(const char *text)
{
    const char *end = strstr(text, "\n" HELD_OUT);
    return end ? (size_t)(end - text) : strlen(text);
}

bool s24m_identity_made_same(const char *what, const char *theirs, const char *ours)
{
    return compare(what, theirs, made_length(theirs), ours, made_length(ours));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int64_t s24m_identity_rows(const sequences *t, int64_t own)
{
    int64_t rows = t->count[0] - own, different = own, i = 0;
    uint64_t *hashes = s24m_have(malloc((size_t)rows * sizeof *hashes + 1));
    if (!hashes)
        return 0;
    for (int64_t r = 0; r < rows; r++)
        hashes[r] = hash(HASH_BEGIN, t->ids + r * t->width, (size_t)t->width * sizeof *t->ids);
    qsort(hashes, (size_t)rows, sizeof *hashes, by_value);
    for (int64_t r = 0; r < rows; r++)
        different += !r || hashes[r] != hashes[r - 1];
    free(hashes);
    while (i < rows * t->width && t->ids[i] == t->ids[0])
        i++;
    return i == rows * t->width && !own ? 1 : different * t->length;
}
