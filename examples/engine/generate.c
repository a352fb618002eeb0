/* The engine in a page: a model's weights are packed, it goes on with a text, and its speed is told.
 * What `sparse24 generate` and `sparse24 bench` do, by the interface alone.
 * Usage: generate MODEL TEXT [WEIGHTS]      WEIGHTS: stored, bf16, int8, int4 .. */
#include <sparse24/model.h>
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FURTHER = 64 }; /* tokens behind the text */

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static double number(s24_model *model, const char *key)
{
    double value = 0;
    must(s24_model_float(model, key, &value));
    return value;
}

/* Ids of the text, and room for what follows. */
static int32_t *encode(s24_tokenizer *tokenizer, const char *text, int64_t *count)
{
    const int32_t *found;
    must(s24_tokenizer_encode(tokenizer, text, strlen(text), "special=1", &found, count));
    int32_t *ids = malloc((size_t)(2 * *count + FURTHER) * sizeof *ids);
    if (!ids)
        exit(1);
    memcpy(ids, found, (size_t)*count * sizeof *ids);
    return ids;
}

int main(int argc, char **argv)
{
    s24_ctx *ctx;
    s24_model *model;
    s24_tokenizer *tokenizer;
    s24_mat prompt, row;
    const char *text, *layout, *kernel, *isa;
    char options[64];
    int64_t given, token = 0, eos = -1;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL TEXT [WEIGHTS]\n", *argv);
        return 2;
    }
    must(s24_ctx_create(&ctx));
    must(s24_model_open(ctx, argv[1], &model));
    must(s24_model_tokenizer(model, NULL, &tokenizer));
    snprintf(options, sizeof options, "weights=%.20s", argc > 3 ? argv[3] : "stored");
    must(s24_model_pack(model, options));

    int32_t *ids = encode(tokenizer, argv[2], &given), *made = ids + given;
    must(s24_mat_rowmajor(&prompt, ids, 1, given, S24_I32));
    must(s24_mat_rowmajor(&row, made, 1, given + FURTHER, S24_I32));
    must(s24_tokenizer_int(tokenizer, "eos", &eos));
    snprintf(options, sizeof options, eos < 0 ? "temperature=0" : "temperature=0,stop=%d",
             (int)eos);
    must(s24_model_generate(model, &prompt, NULL, options, &row));
    int64_t count = 0;
    while (count < row.cols && made[count] >= 0)
        count++;
    must(s24_tokenizer_decode(tokenizer, made, count, NULL, &text, NULL));
    puts(text);

    must(s24_model_int(model, "token_bytes", &token));
    must(s24_model_packed(model, 0, &layout, &kernel, &isa, NULL));
    double rate = number(model, "decode_tokens") / number(model, "decode_seconds");
    printf("\n%s by %s (%s): %.1f tokens/s, %.1f MiB of weights each: %.2f of what memory gives\n",
           layout, kernel, isa, rate, (double)token / (1 << 20),
           rate * (double)token / number(model, "read_rate"));
    free(ids);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return 0;
}
