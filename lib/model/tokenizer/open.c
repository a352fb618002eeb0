/* Which tokenizer a path means. */
#include "../paths.h"
#include "contents.h"
#include "tokenizer.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file of that name in the folder; NULL without error if there is none. */
static bool in_folder(const char *folder, const char *name, char **path)
{
    *path = s24m_path_join(folder, name);
    if (!*path)
        return false;
    if (access(*path, F_OK)) {
        free(*path);
        *path = NULL;
    }
    return true;
}

/* ---- One file ---- */

static bool open_gguf(tokenizer *t, s24_ctx *ctx, const char *path)
{
    s24_file *file = NULL;
    bool done = s24m_good(s24_file_open(ctx, path, &file), "%s", path) &&
                s24m_tokenizer_gguf(t, file, s24m_path_name(path));
    s24_file_destroy(file);
    return done;
}

typedef bool (*reader_fn)(tokenizer *t, const char *text, size_t size, const char *name);

static bool read_file(tokenizer *t, const char *path, reader_fn read)
{
    buffer b = {0};
    bool done = s24m_contents_read(&b, path) && read(t, b.data, b.size, s24m_path_name(path));
    s24m_buffer_free(&b);
    return done;
}

/* By its first bytes: GGUF, JSON, or SentencePiece's first piece. */
static bool open_file(tokenizer *t, s24_ctx *ctx, const char *path)
{
    char first[16] = "";
    size_t got, blank = 0;
    if (!s24m_contents_peek(path, first, sizeof first - 1, &got))
        return false;
    if (got >= 4 && (!memcmp(first, "GGUF", 4) || !memcmp(first, "FUGG", 4)))
        return open_gguf(t, ctx, path);
    while (blank < got && memchr(" \t\r\n", first[blank], 4))
        blank++;
    if (first[blank] == '{')
        return read_file(t, path, s24m_tokenizer_json);
    if (*first == '\n' && got > 3 && first[2] == '\n')
        return read_file(t, path, s24m_tokenizer_sentencepiece);
    return s24m_wrong(
        S24_E_FORMAT,
        "%s: is no tokenizer: expected a GGUF file, tokenizer.json or tokenizer.model", path);
}

/* ---- A folder ---- */

/* What stands beside a tokenizer that says more about special tokens. */
static bool take_settings(tokenizer *t, const char *folder)
{
    char *path;
    bool done = in_folder(folder, "tokenizer_config.json", &path) &&
                (!path || read_file(t, path, s24m_tokenizer_settings));
    free(path);
    return done;
}

static bool open_pair(tokenizer *t, const char *pieces_path, const char *merges_path)
{
    buffer pieces = {0}, pairs = {0};
    bool done = s24m_contents_read(&pieces, pieces_path) &&
                s24m_contents_read(&pairs, merges_path) &&
                s24m_tokenizer_pair(t, &pieces, &pairs, s24m_path_name(pieces_path));
    s24m_buffer_free(&pieces);
    s24m_buffer_free(&pairs);
    return done;
}

static bool open_folder(tokenizer *t, s24_ctx *ctx, const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.json",
                                        "merges.txt"};
    char *paths[4] = {NULL};
    bool done = true;
    for (int i = 0; done && i < 4; i++)
        done = in_folder(folder, names[i], paths + i);
    if (done && paths[0])
        done = read_file(t, paths[0], s24m_tokenizer_json) && take_settings(t, folder);
    else if (done && paths[1])
        done = read_file(t, paths[1], s24m_tokenizer_sentencepiece) && take_settings(t, folder);
    else if (done && paths[2] && paths[3])
        done = open_pair(t, paths[2], paths[3]) && take_settings(t, folder);
    else if (done)
        done = open_gguf(t, ctx, folder);
    for (int i = 0; i < 4; i++)
        free(paths[i]);
    return done;
}

/* The folder that a model of one safetensors file lies in. */
static bool open_beside(tokenizer *t, s24_ctx *ctx, const char *path)
{
    char *folder = s24m_have(strdup(path));
    if (!folder)
        return false;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    bool done = open_folder(t, ctx, slash ? (*folder ? folder : "/") : ".");
    free(folder);
    return done;
}

bool s24m_tokenizer_open(tokenizer *t, s24_ctx *ctx, const char *path)
{
    t->bos = t->eos = t->eot = t->unknown = t->pad = t->merger.unknown = t->unigram.unknown = -1;
    if (s24m_path_is_folder(path))
        return open_folder(t, ctx, path);
    return s24m_path_ends_with(path, ".safetensors") ? open_beside(t, ctx, path)
                                                     : open_file(t, ctx, path);
}
