#include "tokens.h"
#include "message.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool tokens_choose(s24_model *model, const args *a)
{
    return !a->tokenizer || s24_model_tokenizer(model, a->tokenizer, NULL) == S24_OK ||
           fail_library("--tokenizer %s", a->tokenizer);
}

bool tokens_open(tokens *t, s24_model *model, const args *a, const char *what, const char *path,
                 int64_t rows)
{
    char *options = NULL;
    const char *name = "";
    if (asprintf(&options, "rows=%" PRId64 ",context=%" PRId64 ",field=[%s],bos=[%s]", rows,
                 a->context, a->field ? a->field : "text", a->bos ? a->bos : "auto") < 0)
        options = NULL;
    bool done = s24_tokens_open(model, path, must(options), &t->rows) == S24_OK &&
                s24_tokens_get(t->rows, &t->ids, &name) == S24_OK;
    free(options);
    if (done && asprintf(&t->name, "%s %s", what, name) < 0)
        t->name = NULL;
    return done ? must(t->name) != NULL : fail_library("%s", what);
}

void tokens_close(tokens *t)
{
    s24_tokens_destroy(t->rows);
    free(t->name);
}
