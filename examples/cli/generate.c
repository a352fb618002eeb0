/* sparse24 generate: rows of tokens that a language model writes. */
#include "commands.h"
#include "engine.h"
#include "layer.h"
#include "message.h"
#include "outcome.h"
#include "progress.h"
#include "tokens.h"
#include <inttypes.h>
#include <sparse24/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FURTHER = 128 }; /* tokens behind the beginning, if --length does not say */

/* What rows begin with, and what came of them. */
typedef struct writing {
    const args *a;
    s24_ctx *ctx;
    s24_model *model;
    s24_tokenizer *tokenizer; /* of a text; else NULL */
    tokens given;
    int32_t *starts, *ids;
    s24_mat prompts, rows;
} writing;

/* These ids for each of the rows. */
static bool repeat(writing *w, const char *what, const int32_t *ids, int64_t count)
{
    int64_t rows = w->a->rows ? w->a->rows : 1;
    w->starts = must(malloc((size_t)(rows * count + 1) * sizeof *ids));
    for (int64_t i = 0; i < rows * count; i++)
        w->starts[i] = ids[i % count];
    return s24_mat_rowmajor(&w->prompts, w->starts, rows, count, S24_I32) == S24_OK ||
           fail_library("%s", what);
}

static bool repeat_start(writing *w)
{
    int64_t count = 0;
    int32_t *ids = must(malloc((strlen(w->a->start) + 1) * sizeof *ids));
    bool done = true;
    for (const char *at = w->a->start; done && *at;) {
        char *end;
        long id = strtol(at, &end, 10);
        done = (end != at && (!*end || *end == ',') && id >= 0 && id <= INT32_MAX) ||
               fail("--start %s: expected token ids, 1,2,3", w->a->start);
        ids[count++] = (int32_t)id;
        at = end + (*end == ',');
    }
    done = done && repeat(w, "--start", ids, count);
    free(ids);
    return done;
}

/* Special tokens in it are taken as such, so that it may be a conversation. */
static bool repeat_text(writing *w)
{
    const int32_t *ids;
    int64_t count;
    if (s24_model_tokenizer(w->model, NULL, &w->tokenizer) != S24_OK ||
        s24_tokenizer_encode(w->tokenizer, w->a->prompt, strlen(w->a->prompt), "special=1", &ids,
                             &count) != S24_OK)
        return fail_library("generate");
    return count ? repeat(w, "generate", ids, count) : fail("generate: the text has no tokens");
}

static bool open_prompts(writing *w)
{
    const args *a = w->a;
    if (!a->tokens + !a->start + !a->prompt != 2)
        return fail("generate: what do rows begin with? Give one of a text, --start ID,... and "
                    "--tokens FILE");
    if (!tokens_choose(w->model, a))
        return false;
    if (!a->tokens)
        return a->start ? repeat_start(w) : repeat_text(w);
    if (!tokens_open(&w->given, w->model, a, "--tokens", a->tokens, a->rows))
        return false;
    w->prompts = w->given.ids;
    return true;
}

/* The tokens that end a text, or a turn of a conversation, end a text that goes on. */
static void put_stops(const writing *w, FILE *out)
{
    static const char *const keys[] = {"eos", "eot"};
    const char *comma = "";
    if (w->a->stop)
        fprintf(out, "stop=[%s],", w->a->stop);
    else if (w->tokenizer && !w->a->out) {
        fputs("stop=[", out);
        for (int i = 0; i < 2; i++) {
            int64_t id = -1;
            if (s24_tokenizer_int(w->tokenizer, keys[i], &id) == S24_OK && id >= 0) {
                fprintf(out, "%s%" PRId64, comma, id);
                comma = ",";
            }
        }
        fputs("],", out);
    }
}

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

static bool generate(writing *w)
{
    const args *a = w->a;
    const struct {
        const char *key, *value;
    } texts[] = {{"temperature", a->temperature}, {"top_k", a->top_k}, {"top_p", a->top_p}};
    char *options;
    size_t size;
    int64_t length = a->length ? a->length : w->prompts.cols + FURTHER;
    FILE *out = must(open_memstream(&options, &size));
    put_stops(w, out);
    fprintf(out, "seed=%" PRId64 ",memory_limit=%" PRId64, a->seed, a->memory_limit);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].value)
            fprintf(out, ",%s=%s", texts[i].key, texts[i].value);
    fclose(out);
    w->ids = must(malloc((size_t)(w->prompts.rows * length) * sizeof *w->ids));
    s24_mat_rowmajor(&w->rows, w->ids, w->prompts.rows, length, S24_I32);
    s24_model_set_progress(w->model, on_progress, NULL);
    s24_status status = s24_model_generate(
        w->model, &w->prompts, w->given.name ? w->given.name : "--start", must(options), &w->rows);
    progress_clear();
    free(options);
    return status == S24_OK ||
           fail("%s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

/* What lies behind a token that ended its row is left out. */
static bool print_rows(const writing *w)
{
    for (int64_t r = 0; r < w->rows.rows; r++) {
        const int32_t *ids = w->ids + r * w->rows.cols;
        int64_t count = 0;
        const char *text;
        while (count < w->rows.cols && ids[count] >= 0)
            count++;
        if (w->tokenizer) {
            if (s24_tokenizer_decode(w->tokenizer, ids, count, NULL, &text, NULL) != S24_OK)
                return fail_library("generate");
            puts(text);
            continue;
        }
        for (int64_t t = 0; t < count; t++)
            printf(t ? " %d" : "%d", (int)ids[t]);
        puts("");
    }
    return true;
}

/* Rows that ended early are as long as the others: a file's rows are calibration. */
static bool write_rows(const writing *w)
{
    s24_file *file = NULL;
    source text = {.path = (char *)(uintptr_t)w->a->tokens};
    const source *const inputs[] = {&text};
    for (int64_t i = 0; i < w->rows.rows * w->rows.cols; i++)
        if (w->ids[i] < 0)
            return fail("--out %s: row %" PRId64 " ends early: rows of a file are whole, leave "
                        "out --stop",
                        w->a->out, i / w->rows.cols);
    bool done = output_create(&file, w->ctx, w->a->out, inputs, w->a->tokens ? 1 : 0) &&
                ((s24_file_put(file, "tokens", &w->rows, NULL, 2, NULL) == S24_OK &&
                  s24_file_commit(file) == S24_OK) ||
                 fail_library("--out %s", w->a->out));
    s24_file_destroy(file);
    return done;
}

int run_generate(const args *a)
{
    writing w = {.a = a};
    progress_start(a->progress);
    bool done = context_open(&w.ctx, a) &&
                (s24_model_open(w.ctx, a->operand, &w.model) == S24_OK ||
                 fail_library("generate %s", a->operand)) &&
                open_prompts(&w) && engine_pack(w.model, a, a->prompt ? "stored" : "none") &&
                generate(&w) && (!a->out || write_rows(&w));
    if (done && !a->out)
        done = print_rows(&w);
    tokens_close(&w.given);
    free(w.starts);
    free(w.ids);
    s24_model_destroy(w.model);
    s24_ctx_destroy(w.ctx);
    return done ? DONE : FAILED;
}
