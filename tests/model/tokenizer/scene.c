/* Stored texts and ids, tokenizers in files, and GGUF files made of them. */
#include "scene.h"
#include "paths.h"

const char *folder;
s24_ctx *ctx;
char scratch[64];
static s24_file *expected;

void scene_open(void)
{
    char path[300];
    strcpy(scratch, "/tmp/sparse24-tokenizer-XXXXXX");
    ck_assert(mkdtemp(scratch) != NULL);
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
    snprintf(path, sizeof path, "%s/expected.safetensors", folder);
    ck_assert_int_eq(s24_file_open(ctx, path, &expected), S24_OK);
}

void scene_close(void)
{
    char command[128];
    s24_file_destroy(expected);
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    ck_assert_int_eq(system(command), 0);
}

const char *scratch_path(const char *name)
{
    static char paths[4][160];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", scratch, name);
    return paths[turn];
}

void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

s24_tokenizer *open_path(const char *path)
{
    s24_tokenizer *t = NULL;
    s24_status status = s24_tokenizer_open(ctx, path, &t);
    ck_assert_msg(status == S24_OK, "%s: %s", path, s24_last_error());
    return t;
}

s24_tokenizer *open_stored(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    return open_path(path);
}

/* ---- What is expected ---- */

part stored(const char *name)
{
    int64_t shape[8] = {0};
    const void *bytes;
    size_t size;
    ck_assert_msg(s24_file_info(expected, name, shape, NULL, NULL) == S24_OK, "%s",
                  s24_last_error());
    ck_assert_int_eq(s24_file_bytes(expected, name, &bytes, &size), S24_OK);
    return (part){bytes, (size_t)shape[0]};
}

static int32_t end_at(part ends, int64_t index)
{
    int32_t end = 0;
    if (index >= 0)
        memcpy(&end, ends.bytes + index * (int64_t)sizeof end, sizeof end);
    return end;
}

part stored_part(const char *name, const char *ends_name, int64_t index)
{
    part all = stored(name), ends = stored(ends_name);
    int32_t from = end_at(ends, index - 1), to = end_at(ends, index);
    int64_t shape[8];
    const char *type;
    s24_file_info(expected, name, shape, NULL, &type);
    return (part){all.bytes + from * (strcmp(type, "U8") ? 2 : 1), (size_t)(to - from)};
}

int64_t texts(void)
{
    return (int64_t)stored("ends").count;
}

void check_ids(s24_tokenizer *t, const char *name, const char *options, int64_t text,
               const int16_t *ids, size_t count)
{
    part p = stored_part("bytes", "ends", text);
    const int32_t *found;
    int64_t size;
    s24_status status = s24_tokenizer_encode(t, p.bytes, p.count, options, &found, &size);
    ck_assert_msg(status == S24_OK, "%s: %s", name, s24_last_error());
    ck_assert_msg(size == (int64_t)count, "%s, text %d: %d ids, expected %d", name, (int)text,
                  (int)size, (int)count);
    for (size_t i = 0; i < count; i++) {
        int16_t id;
        memcpy(&id, (const char *)ids + 2 * i, 2);
        ck_assert_msg(found[i] == id, "%s, text %d: id %d is %d, expected %d", name, (int)text,
                      (int)i, (int)found[i], (int)id);
    }
}

/* ---- GGUF ---- */

static void put(buffer *b, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ck_assert(s24m_buffer_add(b, &(char){(char)(value >> 8 * i)}, 1));
}

static void put_text(buffer *b, const char *text, size_t size)
{
    put(b, size, 8);
    ck_assert(s24m_buffer_add(b, text, size));
}

static void put_key(buffer *b, const char *key, uint32_t type)
{
    char full[80];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    put_text(b, full, strlen(full));
    put(b, type, 4);
}

static void put_array(buffer *b, const char *key, uint32_t type, uint64_t count)
{
    put_key(b, key, 9);
    put(b, type, 4);
    put(b, count, 8);
}

static void put_tokens(buffer *b, const tokenizer *t, const char *model)
{
    const vocabulary *v = &t->words;
    float *scores = calloc(v->count, sizeof *scores);
    put_array(b, "tokens", 8, v->count);
    for (size_t i = 0; i < v->count; i++)
        put_text(b, s24m_vocabulary_text(v, (int32_t)i), v->pieces[i].size);
    put_array(b, "token_type", 5, v->count);
    for (size_t i = 0; i < v->count; i++) {
        const piece *p = v->pieces + i;
        bool byte = s24m_vocabulary_byte(s24m_vocabulary_text(v, (int32_t)i), p->size) >= 0;
        put(b,
            byte                                                 ? PIECE_BYTE
            : !strcmp(s24m_vocabulary_text(v, 0), "<unk>") && !i ? 2
                                                                 : p->kind,
            4);
    }
    put_array(b, "scores", 6, v->count);
    for (size_t i = 0; i < v->count; i++) {
        uint32_t bits;
        scores[i] = strcmp(model, "t5") ? -(float)i : (float)v->pieces[i].score;
        memcpy(&bits, scores + i, 4);
        put(b, bits, 4);
    }
    free(scores);
}

static void put_merges(buffer *b, const char *name)
{
    char path[300], pair[200];
    buffer text = {0};
    json_tree tree;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    ck_assert(s24m_contents_read(&text, path) &&
              s24m_json_parse(&tree, name, text.data, text.size));
    const json_value *list =
        s24m_json_get(&tree, s24m_json_get(&tree, s24m_json_root(&tree), "model"), "merges");
    put_array(b, "merges", 8, (uint64_t)list->count);
    for (const json_value *v = s24m_json_first(&tree, list); v; v = s24m_json_next(&tree, v)) {
        const json_value *left = s24m_json_first(&tree, v), *right = s24m_json_next(&tree, left);
        int size = snprintf(pair, sizeof pair, "%.*s %.*s", (int)left->size, left->text,
                            (int)right->size, right->text);
        put_text(b, pair, (size_t)size);
    }
    s24m_json_free(&tree);
    s24m_buffer_free(&text);
}

void write_gguf(const char *path, const char *name, const char *model, const char *pre)
{
    s24_tokenizer *h = open_stored(name);
    const tokenizer *t = &h->t;
    bool scored = strcmp(model, "gpt2") != 0;
    buffer b = {0};
    ck_assert(s24m_buffer_add(&b, "GGUF", 4));
    put(&b, 3, 4);
    put(&b, 0, 8); /* tensors */
    put(&b, scored ? 7 : 6, 8);
    put_key(&b, "model", 8);
    put_text(&b, model, strlen(model));
    put_tokens(&b, t, model);
    if (scored) {
        put_key(&b, "unknown_token_id", 4);
        put(&b, 0, 4);
        put_key(&b, "bos_token_id", 4);
        put(&b, 1, 4);
        put_key(&b, "eos_token_id", 4);
        put(&b, 2, 4);
    } else {
        put_key(&b, "pre", 8);
        put_text(&b, pre, strlen(pre));
        put_merges(&b, name);
    }
    write_file(path, b.data, b.size);
    s24m_buffer_free(&b);
    s24_tokenizer_destroy(h);
}

/* ---- SentencePiece ---- */

static void put_varint(buffer *b, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put(b, (value & 127) | 128, 1);
    put(b, value, 1);
}

/* A field with bytes. */
static void put_field(buffer *b, uint32_t number, const char *bytes, size_t size)
{
    put_varint(b, number << 3 | 2);
    put_varint(b, size);
    ck_assert(s24m_buffer_add(b, bytes, size));
}

void write_sentencepiece(const char *path)
{
    s24_tokenizer *h = open_stored("sentencepiece");
    const vocabulary *v = &h->t.words;
    buffer b = {0}, one = {0};
    for (size_t i = 0; i < v->count; i++) {
        const char *text = s24m_vocabulary_text(v, (int32_t)i);
        bool byte = s24m_vocabulary_byte(text, v->pieces[i].size) >= 0;
        float score = -(float)i;
        uint32_t bits;
        memcpy(&bits, &score, 4);
        one.size = 0;
        put_field(&one, 1, text, v->pieces[i].size);
        put(&one, 2 << 3 | 5, 1);
        put(&one, bits, 4);
        put(&one, 3 << 3, 1);
        put(&one, i == 0 ? PIECE_UNKNOWN : byte ? PIECE_BYTE : v->pieces[i].kind, 1);
        put_field(&b, 1, one.data, one.size);
    }
    put_field(&b, 2, "\x18\x02\x98\x02\x01", 5); /* byte pairs, bytes for what is unknown */
    put_field(&b, 3, "\x18\x01\x20\x00", 4);     /* a blank before, no blank left out */
    write_file(path, b.data, b.size);
    s24m_buffer_free(&b);
    s24m_buffer_free(&one);
    s24_tokenizer_destroy(h);
}

/* ---- GPT-2's two files ---- */

void write_pair(const char *name)
{
    char path[300];
    buffer text = {0}, merges = {0};
    json_tree tree;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    ck_assert(s24m_contents_read(&text, path));
    const char *from = strstr(text.data, "\"vocab\":") + 8, *to = strstr(from, ",\"merges\":");
    write_file(scratch_path("vocab.json"), from, (size_t)(to - from));
    ck_assert(s24m_json_parse(&tree, name, text.data, text.size));
    const json_value *list =
        s24m_json_get(&tree, s24m_json_get(&tree, s24m_json_root(&tree), "model"), "merges");
    ck_assert(s24m_buffer_add(&merges, "#version: 0.2\n", 14));
    for (const json_value *v = s24m_json_first(&tree, list); v; v = s24m_json_next(&tree, v)) {
        const json_value *left = s24m_json_first(&tree, v), *right = s24m_json_next(&tree, left);
        ck_assert(s24m_buffer_add(&merges, left->text, left->size) &&
                  s24m_buffer_add(&merges, " ", 1) &&
                  s24m_buffer_add(&merges, right->text, right->size) &&
                  s24m_buffer_add(&merges, "\r\n", 2));
    }
    write_file(scratch_path("merges.txt"), merges.data, merges.size);
    s24m_json_free(&tree);
    s24m_buffer_free(&text);
    s24m_buffer_free(&merges);
}
