#include "self.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is asked ---- */

bool s24m_self_read(s24m_self *self, const char *text, int64_t given)
{
    char *end = NULL;
    self->weight = given ? 0.25 : 1;
    if (!strcmp(text, "auto")) {
        self->rows = given ? (int64_t)(16 * sqrt((double)given)) : 128;
        return true;
    }
    self->rows = strtoll(text, &end, 10);
    bool good = end != text && self->rows >= 0 && self->rows <= 1 << 24;
    if (good && *end == '*') {
        const char *weight = end + 1;
        self->weight = strtod(weight, &end);
        good = end != weight && self->weight > 0 && self->weight <= 1e6;
    }
    return (good && !*end) || s24m_wrong(S24_E_OPTION,
                                         "--calib self:%.40s: expected ROWS or ROWS*WEIGHT, as in "
                                         "self:128*0.25",
                                         text);
}

/* The id of a piece in the list of a GGUF file; -1: there is none. */
static int32_t find_piece(const s24m_model *model, const char *piece)
{
    const char *list = s24_file_meta(model->file, "tokenizer.ggml.tokens"), *found = NULL;
    char quoted[S24M_NAME];
    int32_t id = 0;
    snprintf(quoted, sizeof quoted, "\"%s\"", piece);
    if (list)
        found = strstr(list, quoted);
    bool inside = false;
    for (const char *at = list; found && at < found; at++) {
        inside ^= *at == '"';
        id += *at == ',' && !inside;
        at += *at == '\\';
    }
    return found && id < model->config.vocab ? id : -1;
}

static int32_t find_id(const s24m_model *model, const char *key)
{
    const char *text = s24_file_meta(model->file, key);
    long id = text && *text >= '0' && *text <= '9' ? strtol(text, NULL, 10) : -1;
    return id < model->config.vocab ? (int32_t)id : -1;
}

/* The token that stands between texts, or else before one. */
static int32_t find_open(const s24m_model *model)
{
    int32_t id = find_piece(model, "<|endoftext|>");
    if (id < 0)
        id = find_id(model, "tokenizer.ggml.bos_token_id");
    return id < 0 ? find_id(model, "config.bos_token_id") : id;
}

bool s24m_start_read(s24m_start *start, const char *option, const char *text,
                     const s24m_model *model)
{
    *start = (s24m_start){.count = 0};
    if (!*text && !strcmp(option, "open_start")) {
        start->ids[0] = find_open(model);
        start->count = start->ids[0] >= 0;
    }
    for (char *end; *text; text = end + (*end == ',')) {
        long long id = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',') || id < 0 || id >= model->config.vocab ||
            start->count == S24M_START)
            return s24m_wrong(S24_E_OPTION, "%s: \"%.40s\": expected at most %d ids below %lld",
                              option, text, (int)S24M_START, (long long)model->config.vocab);
        start->ids[start->count++] = (int32_t)id;
    }
    return true;
}

char *s24m_self_text(const s24m_self *self, int64_t length)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    fprintf(out, "self %" PRId64 " x %" PRId64 " weight %.17g seed %" PRIu64 " chat", self->rows,
            length, self->weight, self->seed);
    for (int64_t i = 0; i < self->chat.count; i++)
        fprintf(out, " %d", (int)self->chat.ids[i]);
    fputs(" open", out);
    for (int64_t i = 0; i < self->open.count; i++)
        fprintf(out, " %d", (int)self->open.ids[i]);
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

bool s24m_self_check(const s24m_self *self, int64_t given)
{
    return !self->rows || given || self->chat.count || self->open.count ||
           s24m_wrong(S24_E_OPTION,
                      "--calib self: the model's metadata name no token that begins a text: give "
                      "--open-start ID, or text of your own");
}
