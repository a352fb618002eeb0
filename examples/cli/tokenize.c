/* sparse24 tokenize: a text as rows of token ids, for runs that shall not depend on a tokenizer. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include "outcome.h"
#include "tokens.h"

static bool write_rows(s24_ctx *ctx, const args *a, const tokens *t)
{
    source text = {.path = (char *)(uintptr_t)a->text};
    const source *const inputs[] = {&text};
    s24_file *file = NULL;
    bool done = output_create(&file, ctx, a->out, inputs, 1) &&
                ((s24_file_put(file, "tokens", &t->ids, NULL, 0, NULL) == S24_OK &&
                  s24_file_commit(file) == S24_OK) ||
                 fail_library("--out %s", a->out));
    s24_file_destroy(file);
    return done;
}

int run_tokenize(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_model *model = NULL;
    tokens t = {0};
    bool done = context_open(&ctx, a) &&
                (s24_model_open(ctx, a->operand, &model) == S24_OK ||
                 fail_library("tokenize %s", a->operand)) &&
                tokens_choose(model, a) && tokens_open(&t, model, a, "--text", a->text, a->rows) &&
                write_rows(ctx, a, &t);
    if (done)
        say("tokens       %lld rows of %lld", (long long)t.ids.rows, (long long)t.ids.cols);
    tokens_close(&t);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
