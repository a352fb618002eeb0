/* sparse24 bench: tokens a second of a model, against what memory gives. */
#include "commands.h"
#include "engine.h"
#include "layer.h"
#include "message.h"
#include "outcome.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct speed {
    int64_t given, written, packed, token; /* tokens; bytes */
    double prompt_seconds, decode_seconds, limit;
} speed;

static int64_t at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

static bool find_lengths(const s24_model *model, const args *a, speed *s)
{
    int64_t context = 0;
    s24_model_int(model, "context", &context);
    s->given = a->prompt_tokens ? a->prompt_tokens : at_most(512, context / 2);
    s->written = a->new_tokens ? a->new_tokens : at_most(128, context - s->given);
    return s->given + s->written <= context ||
           fail("--prompt-tokens %lld and --new-tokens %lld are more than the model's context of "
                "%lld",
                (long long)s->given, (long long)s->written, (long long)context);
}

/* Any tokens: only their number matters. */
static bool generate(s24_model *model, const speed *s)
{
    int64_t vocab = 1, length = s->given + s->written;
    s24_model_int(model, "vocab", &vocab);
    int32_t *ids = must(malloc((size_t)(s->given + length) * sizeof *ids));
    s24_mat prompt, row;
    for (int64_t i = 0; i < s->given; i++)
        ids[i] = (int32_t)((7919 * i + 1) % vocab);
    s24_mat_rowmajor(&prompt, ids, 1, s->given, S24_I32);
    s24_mat_rowmajor(&row, ids + s->given, 1, length, S24_I32);
    s24_status status = s24_model_generate(model, &prompt, "bench", "temperature=0", &row);
    progress_clear();
    free(ids);
    return status == S24_OK ||
           fail("%s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

/* The first turn brings weights into memory, the fastest of the others counts. */
static bool measure(s24_model *model, speed *s)
{
    enum { TURNS = 3 };
    s->prompt_seconds = s->decode_seconds = INFINITY;
    for (int i = 0; i <= TURNS; i++) {
        double prompt = 0, decode = 0;
        if (!generate(model, s) || s24_model_float(model, "prompt_seconds", &prompt) != S24_OK ||
            s24_model_float(model, "decode_seconds", &decode) != S24_OK)
            return false;
        s->prompt_seconds = i ? fmin(s->prompt_seconds, prompt) : INFINITY;
        s->decode_seconds = i ? fmin(s->decode_seconds, decode) : INFINITY;
    }
    s24_model_int(model, "packed_bytes", &s->packed);
    s24_model_int(model, "token_bytes", &s->token);
    return s24_model_float(model, "read_rate", &s->limit) == S24_OK || fail_library("bench");
}

/* The first token behind the prompt is the prompt's. */
static void report(const s24_model *model, const speed *s, bool as_json)
{
    double decode = (double)(s->written - 1) / s->decode_seconds;
    double prompt = (double)s->given / s->prompt_seconds, rate = decode * (double)s->token;
    char *layouts = s->packed ? engine_layouts(model) : NULL;
    if (as_json) {
        char *record = must(strdup("{}"));
        record = record_put_number(record, "packed_bytes", (double)s->packed);
        record = record_put_number(record, "token_bytes", (double)s->token);
        record = record_put_number(record, "prompt_tokens_per_second", prompt);
        record = record_put_number(record, "decode_tokens_per_second", decode);
        record = record_put_number(record, "bytes_per_second", rate);
        record = record_put_number(record, "read_bytes_per_second", s->limit);
        puts(record);
        free(record);
    } else {
        if (layouts)
            printf("%-10s%.1f MiB: %s\n", "packed", (double)s->packed / (1 << 20), layouts);
        printf("%-10s%.1f tokens/s, %lld tokens\n", "prompt", prompt, (long long)s->given);
        printf("%-10s%.1f tokens/s, %lld tokens one after the other\n", "decode", decode,
               (long long)s->written);
        printf("%-10s%.1f MiB of weights a token: %.2f GB/s, %.2f of the %.2f GB/s that a loop "
               "reads\n",
               "memory", (double)s->token / (1 << 20), 1e-9 * rate, rate / s->limit,
               1e-9 * s->limit);
    }
    free(layouts);
}

int run_bench(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_model *model = NULL;
    speed s = {0};
    progress_start(a->progress);
    bool done = context_open(&ctx, a) &&
                (s24_model_open(ctx, a->operand, &model) == S24_OK ||
                 fail_library("bench %s", a->operand)) &&
                find_lengths(model, a, &s) && engine_pack(model, a, "stored") && measure(model, &s);
    if (done)
        report(model, &s, a->json);
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
