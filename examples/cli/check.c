/* sparse24 check: do weights obey constraints? */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool obeys(s24_ctx *ctx, const source *s, const char *name, const char *constraints)
{
    s24_problem *problem = NULL;
    s24_mat view;
    void *decoded;
    bool done = tensor_view(s->file, name, &view, &decoded) &&
                s24_problem_create(ctx, &view, &problem) == S24_OK &&
                s24_problem_parse(problem, constraints) == S24_OK &&
                s24_problem_check(problem, &view) == S24_OK;
    s24_problem_destroy(problem);
    free(decoded);
    if (done)
        printf("%s: obeys %s\n", name, constraints);
    return done || fail_library("%s: %s", s->path, name);
}

/* Whether weights can be in it: rank 2, floats that the library computes with or decodes, or would
 * have to. */
static bool is_float_matrix(const s24_file *file, const char *name)
{
    int64_t shape[8];
    int32_t rank = 0;
    const char *type;
    s24_mat view;
    if (s24_file_info(file, name, shape, &rank, &type) != S24_OK || rank != 2)
        return false;
    if (is_block_type(type))
        return true;
    if (s24_file_get(file, name, &view) != S24_OK)
        return false;
    return view.dtype == S24_F16 || view.dtype == S24_BF16 || view.dtype == S24_F32 ||
           view.dtype == S24_F64;
}

static bool has_weights(const s24_file *file)
{
    int64_t shape[8];
    int32_t rank;
    const char *type;
    return s24_file_info(file, "weights", shape, &rank, &type) == S24_OK;
}

/* Whether the name is one of a numbered transformer block, "model.layers.7.mlp.up_proj.weight" or
 * "blk.7.ffn_up.weight". */
static bool is_in_block(const char *name)
{
    static const char *const words[] = {"blk.", "layers.", "layer.", "blocks.", "h."};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (const char *at = name; (at = strstr(at, words[i])); at++)
            if ((at == name || at[-1] == '.') && isdigit((unsigned char)at[strlen(words[i])]))
                return true;
    return false;
}

/* Every matrix of floats; only those in the blocks of a model, if there are any. */
static bool all_obey(s24_ctx *ctx, const source *s, const char *constraints)
{
    int64_t count = s24_file_count(s->file), checked = 0;
    bool model = false;
    for (int64_t i = 0; i < count; i++) {
        const char *name = s24_file_name(s->file, i);
        model |= is_in_block(name) && is_float_matrix(s->file, name);
    }
    for (int64_t i = 0; i < count; i++) {
        const char *name = s24_file_name(s->file, i);
        if ((model && !is_in_block(name)) || !is_float_matrix(s->file, name))
            continue;
        if (!obeys(ctx, s, name, constraints))
            return false;
        checked++;
    }
    if (model)
        printf("%s: all %lld matrices of its blocks obey %s\n", s->path, (long long)checked,
               constraints);
    return checked || fail("%s: holds no matrix of floats", s->path);
}

static bool check(s24_ctx *ctx, const source *s, const char *constraints)
{
    if (s->tensor)
        return obeys(ctx, s, s->tensor, constraints);
    if (has_weights(s->file))
        return obeys(ctx, s, "weights", constraints);
    return all_obey(ctx, s, constraints);
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
