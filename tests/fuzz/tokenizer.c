#include "fuzz.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"
#include <stdio.h>
#include <unistd.h>

/*
 * Tokenizers from anywhere, and texts from anywhere. The first byte says what follows: 'j' a
 * tokenizer.json, 's' a tokenizer.model, 'g' a GGUF file, each up to the last line end, then a
 * text;
 * 'l' a text alone, for a byte-level vocabulary, whose ids give the same bytes back.
 */

static const char letters[] =
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}}";

/* All letters, and some merges. */
static bool open_letters(tokenizer *t)
{
    buffer b = {0};
    char text[80];
    CLAIM(s24m_buffer_add(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{", 32));
    for (int i = 0; i < 256; i++) {
        char c[4];
        size_t size = s24m_letter((unsigned char)i, c);
        bool escape = *c == '"' || *c == '\\';
        int length =
            snprintf(text, sizeof text, "\"%s%.*s\":%d,", escape ? "\\" : "", (int)size, c, i);
        CLAIM(s24m_buffer_add(&b, text, (size_t)length));
    }
    static const char rest[] = "\"th\":256,\"the\":257,\"aa\":258,\"aaaa\":259},"
                               "\"merges\":[\"t h\",\"th e\",\"a a\",\"aa aa\"]},";
    CLAIM(s24m_buffer_add(&b, rest, sizeof rest - 1) &&
          s24m_buffer_add(&b, letters, sizeof letters - 1));
    bool done = s24m_tokenizer_json(t, b.data, b.size, "letters");
    s24m_buffer_free(&b);
    return done;
}

static bool open_gguf(tokenizer *t, const uint8_t *bytes, size_t size)
{
    static char path[64];
    if (!*path)
        snprintf(path, sizeof path, "%s/sparse24-fuzz-%d.gguf",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
    FILE *out = fopen(path, "wb");
    CLAIM(out && fwrite(bytes, 1, size, out) == size && !fclose(out));
    s24_ctx *ctx = fuzz_open();
    s24_file *file = NULL;
    bool done = s24_file_open(ctx, path, &file) == S24_OK && s24m_tokenizer_gguf(t, file, "fuzz");
    s24_file_destroy(file);
    fuzz_close(ctx);
    unlink(path);
    return done;
}

/* Ids of the vocabulary, the same again, and text that can be made of them. */
static void both_ways(tokenizer *t, const char *text, size_t size, bool special, bool same)
{
    t->ids.count = t->text.size = 0;
    if (!s24m_tokenizer_encode(t, text, size, special)) {
        fuzz_check_status(s24_last_status());
        return;
    }
    size_t count = t->ids.count;
    int32_t *ids = malloc(count * sizeof *ids + 1);
    CLAIM(ids);
    if (count)
        memcpy(ids, t->ids.ids, count * sizeof *ids);
    for (size_t i = 0; i < count; i++)
        CLAIM(ids[i] >= 0 && (size_t)ids[i] < t->words.count && t->words.pieces[ids[i]].kind);
    t->ids.count = 0;
    CLAIM(s24m_tokenizer_encode(t, text, size, special) && t->ids.count == count);
    CLAIM(!count || !memcmp(ids, t->ids.ids, count * sizeof *ids));
    CLAIM(s24m_tokenizer_decode(t, ids, count, true, true));
    CLAIM(!same || (t->text.size == size && (!size || !memcmp(t->text.data, text, size))));
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tokenizer t = {.bos = -1, .eos = -1, .eot = -1, .unknown = -1, .pad = -1};
    t.merger.unknown = t.unigram.unknown = -1;
    if (!size)
        return 0;
    const uint8_t *from = data + 1, *end = data + size, *cut = from;
    for (const uint8_t *s = from; *data != 'l' && s < end; s++)
        if (*s == '\n')
            cut = s + 1;
    size_t head = (size_t)(cut - from) - (cut > from); /* without the line end */
    const char *bytes = (const char *)from;
    bool done = *data == 'l'   ? open_letters(&t)
                : *data == 's' ? s24m_tokenizer_sentencepiece(&t, bytes, head, "fuzz")
                : *data == 'g' ? open_gguf(&t, from, head)
                               : s24m_tokenizer_json(&t, bytes, head, "fuzz");
    if (done)
        for (int special = 0; special < 2; special++)
            both_ways(&t, (const char *)cut, (size_t)(end - cut), special, *data == 'l');
    else
        fuzz_check_status(s24_last_status());
    s24m_tokenizer_free(&t);
    return 0;
}
