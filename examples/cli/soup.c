/* sparse24 soup: the average of models that share a mask. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include <sparse24/model.h>

int run_soup(const args *a)
{
    s24_ctx *ctx = NULL;
    const char *paths[1 + ARGS_MORE] = {a->operand};
    for (int i = 0; i < a->more_count; i++)
        paths[1 + i] = a->more[i];
    bool done =
        context_open(&ctx, a) &&
        (s24_model_soup(ctx, paths, 1 + a->more_count, a->out) == S24_OK || fail_library("soup"));
    if (done)
        say("written      %s", a->out);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
