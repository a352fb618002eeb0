/* sparse24 check: do weights obey constraints? */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is asked of every matrix, and what was met. */
typedef struct inspection {
    s24_ctx *ctx;
    const source *file;
    const char *constraints;
    int64_t matrices, none, outside, closed;
    char *first_closed;
} inspection;

static bool obeys(const inspection *in, const s24_mat *w)
{
    s24_problem *problem = NULL;
    bool done = s24_problem_create(in->ctx, w, &problem) == S24_OK &&
                s24_problem_parse(problem, in->constraints) == S24_OK &&
                s24_problem_check(problem, w) == S24_OK;
    s24_problem_destroy(problem);
    return done;
}

static bool tensor_obeys(inspection *in, const char *name, const weights *w)
{
    s24_mat view;
    void *decoded;
    char expert[40] = "";
    if (!tensor_view(in->file->file, name, &view, &decoded))
        return fail_library("%s: %s", in->file->path, name);
    bool done = true;
    for (int64_t i = 0; done && i < w->count; i++) {
        s24_mat matrix = weights_matrix(w, &view, i);
        done = obeys(in, &matrix);
        if (w->count > 1)
            snprintf(expert, sizeof expert, ", matrix %lld", (long long)i);
    }
    free(decoded);
    const char *turned = w->turned ? " (inputs x outputs, transposed)" : "";
    if (!done)
        return fail_library("%s: %s%s%s", in->file->path, name, expert, turned);
    if (w->count > 1)
        say("%s%s: %lld matrices obey %s", name, turned, (long long)w->count, in->constraints);
    else
        say("%s%s: obeys %s", name, turned, in->constraints);
    in->matrices += w->count;
    return true;
}

/* Check the tensor if it is weights, else note what it is. */
static bool visit(inspection *in, const survey *s, const char *name)
{
    weights w = weights_of(in->file->file, s, name);
    if (w.kind == WEIGHTS)
        return tensor_obeys(in, name, &w);
    in->none += w.kind == WEIGHTS_NONE;
    in->outside += w.kind == WEIGHTS_OUTSIDE;
    if (w.kind == WEIGHTS_LEFT)
        say("%s: not checked: %s", name, w.why);
    if (w.kind == WEIGHTS_CLOSED) {
        say("%s: not checked: weights of type %s, which is not decoded", name, w.why);
        if (!in->closed++)
            in->first_closed = must(strdup(name));
    }
    return true;
}

static bool summarise(const inspection *in, bool model)
{
    const char *path = in->file->path;
    if (in->none || in->outside)
        say("%s: not checked: %lld outside the blocks (embeddings, head), %lld biases, norms and "
            "the "
            "like",
            path, (long long)in->outside, (long long)in->none);
    if (in->closed)
        return fail("%s: %lld matrices obey %s, but %lld tensors of weights were not checked, the "
                    "first is %s: decode the model to F16, BF16 or F32 first",
                    path, (long long)in->matrices, in->constraints, (long long)in->closed,
                    in->first_closed);
    if (!in->matrices)
        return fail("%s: holds no matrix of floats", path);
    say("%s: all %lld matrices%s obey %s", path, (long long)in->matrices,
        model ? " of its blocks" : "", in->constraints);
    return true;
}

static bool check(s24_ctx *ctx, const source *file, const char *constraints)
{
    inspection in = {.ctx = ctx, .file = file, .constraints = constraints};
    survey s = weights_survey(file->file);
    const char *only = file->tensor ? file->tensor : source_has(file, "weights") ? "weights" : NULL;
    if (only) {
        weights w = weights_of(file->file, &s, only);
        return tensor_obeys(&in, only, &w);
    }
    bool done = true;
    for (int64_t i = 0; done && i < s24_file_count(file->file); i++)
        done = visit(&in, &s, s24_file_name(file->file, i));
    done = done && summarise(&in, s.model);
    free(in.first_closed);
    return done;
}

int run_check(const args *a)
{
    s24_ctx *ctx = NULL;
    source s = {0};
    bool done = context_open(&ctx, a) && source_open_file(&s, ctx, "check", a->operand) &&
                check(ctx, &s, a->constraints);
    source_close(&s);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
