#include "start.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Texts ---- */

static int32_t find_piece(const s24_model *model, const char *piece)
{
    int64_t id = -1;
    return s24_tokenizer_find(model->tokenizer, piece, &id) == S24_OK ? (int32_t)id : -1;
}

static int32_t find_id(const s24m_model *model, const char *key)
{
    const char *text = s24_file_meta(model->file, key);
    long id = text && *text >= '0' && *text <= '9' ? strtol(text, NULL, 10) : -1;
    return id < model->config.vocab ? (int32_t)id : -1;
}

/* The token that stands between texts, or else before one. */
static int32_t find_open(const s24_model *model)
{
    int64_t bos = -1;
    int32_t id = model->tokenizer ? find_piece(model, "<|endoftext|>") : -1;
    if (id < 0)
        id = find_id(model->network, "tokenizer.ggml.bos_token_id");
    if (id < 0)
        id = find_id(model->network, "config.bos_token_id");
    if (id < 0 && model->tokenizer && s24_tokenizer_int(model->tokenizer, "bos", &bos) == S24_OK)
        id = (int32_t)bos;
    return id < model->network->config.vocab ? id : -1;
}

/* ---- Conversations ---- */

/* What a user's turn begins with, by a word of the template. */
static const char *const turns[][2] = {
    {"<|im_start|>", "<|im_start|>user\n"},
    {"<|start_header_id|>", "<|start_header_id|>user<|end_header_id|>\n\n"},
    {"<start_of_turn>", "<start_of_turn>user\n"},
    {"<|user|>", "<|user|>\n"},
    {"[INST]", "[INST]"},
};

static char *read_text(const char *folder, const char *name)
{
    char *path = s24m_path_join(folder, name), *text = NULL;
    size_t size = 0, got = 0;
    FILE *file = path ? fopen(path, "rb") : NULL, *out = file ? open_memstream(&text, &size) : NULL;
    char part[4096];
    while (out && (got = fread(part, 1, sizeof part, file)) > 0)
        fwrite(part, 1, got, out);
    if (out)
        fclose(out);
    if (file)
        fclose(file);
    free(path);
    return text;
}

/* The template as the files have it, in JSON or not; NULL: there is none. To be freed. */
static char *find_template(const s24_model *model)
{
    const char *meta = s24_file_meta(model->network->file, "tokenizer.chat_template");
    if (meta)
        return strdup(meta);
    char *text = read_text(model->path, "chat_template.jinja");
    if (!text)
        text = read_text(model->path, "tokenizer_config.json");
    if (text && !strstr(text, "chat_template") && !strstr(text, "{%")) {
        free(text);
        text = NULL;
    }
    return text;
}

/* The system's turn that the template has ready, as in '<|im_start|>system\n...<|im_end|>\n', with
 * its escapes undone: "" if there is none. */
static void copy_system(const char *template, char *out, size_t room)
{
    const char *at = strstr(template, "'<|im_start|>system");
    size_t used = 0;
    for (at = at ? at + 1 : ""; *at && *at != '\'' && used + 1 < room; at++) {
        const char *next = at;
        while (*next == '\\')
            next++;
        if (next > at && *next == 'n')
            at = next;
        out[used++] = at == next && next > template && next[-1] == '\\' ? '\n' : *at;
    }
    out[used] = 0;
    if (used < 12 || strcmp(out + used - 11, "<|im_end|>\n"))
        out[0] = 0;
}

/* A conversation up to the user's first words. */
static bool find_chat(s24_model *model, s24m_start *start)
{
    enum { TEXT = 2000 };
    char text[TEXT + 64], *template = find_template(model);
    const int32_t *ids;
    int64_t count = 0;
    size_t i = 0, kinds = sizeof turns / sizeof *turns;
    while (template && i < kinds && !strstr(template, turns[i][0]))
        i++;
    if (template && i < kinds) {
        copy_system(template, text, TEXT);
        strcat(text, turns[i][1]);
        if (s24_tokenizer_encode(model->tokenizer, text, strlen(text), "special=1", &ids, &count))
            count = 0;
    }
    free(template);
    for (start->count = 0; count <= S24M_START && start->count < count; start->count++)
        start->ids[start->count] = ids[start->count];
    return true;
}

/* ---- Either ---- */

static bool find(s24_model *model, s24m_start *start, bool open)
{
    if (!model->tokenizer && !s24m_find_tokenizer(model, NULL) && s24_last_status() == S24_E_MEMORY)
        return false;
    if (!open)
        return !model->tokenizer || find_chat(model, start);
    start->ids[0] = find_open(model);
    start->count = start->ids[0] >= 0;
    return true;
}

bool s24m_start_read(s24m_start *start, const char *option, const char *text, s24_model *model)
{
    int64_t vocab = model->network->config.vocab;
    *start = (s24m_start){.count = 0};
    if (!*text)
        return find(model, start, !strcmp(option, "open_start"));
    for (char *end; *text; text = end + (*end == ',')) {
        long long id = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',') || id < 0 || id >= vocab ||
            start->count == S24M_START)
            return s24m_wrong(S24_E_OPTION, "%s: \"%.40s\": expected at most %d ids below %lld",
                              option, text, (int)S24M_START, (long long)vocab);
        start->ids[start->count++] = (int32_t)id;
    }
    return true;
}
