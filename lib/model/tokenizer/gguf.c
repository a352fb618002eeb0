/* The tokenizer in the metadata of a GGUF file. */
#include "json.h"
#include "tokenizer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    tokenizer *t;
    const s24_file *file;
    const char *name;
} source;

/* ---- Keys ---- */

static const char *text_of(const source *s, const char *key)
{
    char full[80];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    return s24_file_meta(s->file, full);
}

static bool truth_of(const source *s, const char *key, bool otherwise)
{
    const char *text = text_of(s, key);
    return text ? !strcmp(text, "true") : otherwise;
}

/* An id of the vocabulary, -1 if the file has none that fits. */
static int32_t id_of(const source *s, const char *key)
{
    const char *text = text_of(s, key);
    char *end;
    long id = text ? strtol(text, &end, 10) : -1;
    return text && end != text && !*end && id >= 0 && id < (long)s->t->words.count ? (int32_t)id
                                                                                   : -1;
}

/* Text of a key that is there is missing only for want of memory. */
static bool is_listed(const source *s, const char *key)
{
    const char *name;
    for (int64_t i = 0; (name = s24_file_meta_key(s->file, i)); i++)
        if (!strncmp(name, "tokenizer.ggml.", 15) && !strcmp(name + 15, key))
            return true;
    return false;
}

/* An array; `what` NULL: it may be missing, and the tree is empty then. */
static bool array_of(const source *s, const char *key, const char *what, json_tree *tree)
{
    const char *text = text_of(s, key);
    *tree = (json_tree){0};
    if (!text && is_listed(s, key))
        return !s24m_fail(S24_E_MEMORY, "out of memory");
    if (!text)
        return !what ||
               s24m_wrong(S24_E_FORMAT, "%s: no tokenizer.ggml.%s: %s", s->name, key, what);
    if (!s24m_json_parse(tree, s->name, text, strlen(text)))
        return false;
    return s24m_json_root(tree)->kind == JSON_ARRAY ||
           s24m_wrong(S24_E_FORMAT, "%s: tokenizer.ggml.%s is no array", s->name, key);
}

/* ---- Vocabulary ---- */

typedef struct columns {
    json_tree tokens, types, scores;
} columns;

static bool add_token(const source *s, const columns *c, int32_t id, const json_value *token,
                      const json_value *type, const json_value *score)
{
    int32_t kind = PIECE_NORMAL;
    double points = 0;
    if (token->kind != JSON_STRING ||
        (type && (!s24m_json_integer(type, &kind) || kind < PIECE_NORMAL || kind >= PIECE_KINDS)))
        return s24m_wrong(S24_E_FORMAT, "%s: token %d: expected a text, and a type of 1 .. %d",
                          s->name, (int)id, PIECE_KINDS - 1);
    if (score && score->kind != JSON_NULL && !s24m_json_real(score, &points))
        return s24m_wrong(S24_E_FORMAT, "%s: the score of token %d is no number", s->name, (int)id);
    return s24m_vocabulary_add(&s->t->words, id, token->text, token->size, (piece_kind)kind, points,
                               s->name);
}

static bool check_lengths(const source *s, const columns *c)
{
    int32_t count = s24m_json_root(&c->tokens)->count;
    const json_tree *others[] = {&c->types, &c->scores};
    static const char *const names[] = {"token_type", "scores"};
    for (int i = 0; i < 2; i++)
        if (others[i]->values && s24m_json_root(others[i])->count != count)
            return s24m_wrong(S24_E_FORMAT,
                              "%s: tokenizer.ggml.%s has %d items, but there are %d tokens",
                              s->name, names[i], (int)s24m_json_root(others[i])->count, (int)count);
    return count > 0 || s24m_wrong(S24_E_FORMAT, "%s: tokenizer.ggml.tokens is empty", s->name);
}

static bool add_tokens(const source *s, const columns *c)
{
    if (!check_lengths(s, c))
        return false;
    const json_value *token = s24m_json_first(&c->tokens, s24m_json_root(&c->tokens));
    const json_value *type = s24m_json_first(&c->types, c->types.values);
    const json_value *score = s24m_json_first(&c->scores, c->scores.values);
    for (int32_t id = 0; token; id++) {
        if (!add_token(s, c, id, token, type, score))
            return false;
        token = s24m_json_next(&c->tokens, token);
        type = type ? s24m_json_next(&c->types, type) : NULL;
        score = score ? s24m_json_next(&c->scores, score) : NULL;
    }
    return true;
}

static bool read_tokens(const source *s, bool scores)
{
    columns c = {0};
    bool done =
        array_of(s, "tokens", "the file has no vocabulary: give a tokenizer.json", &c.tokens) &&
        array_of(s, "token_type", NULL, &c.types) &&
        array_of(s, "scores", scores ? "this kind of vocabulary needs them" : NULL, &c.scores) &&
        add_tokens(s, &c) && s24m_tokenizer_finish(s->t, s->name);
    s24m_json_free(&c.tokens);
    s24m_json_free(&c.types);
    s24m_json_free(&c.scores);
    return done;
}

/* Tokens that stand in texts as a whole: the user's, and the special ones where they are asked
 * for. */
static bool read_added(const source *s)
{
    const vocabulary *v = &s->t->words;
    bool done = true;
    for (size_t id = 0; done && id < v->count; id++) {
        const piece *p = v->pieces + id;
        bool special = p->kind == PIECE_CONTROL || p->kind == PIECE_UNKNOWN;
        if (special || p->kind == PIECE_USER)
            done =
                s24m_added_add(&s->t->added, (added_token){.id = (int32_t)id, .special = special},
                               s24m_vocabulary_text(v, (int32_t)id), p->size);
    }
    return done;
}

/* ---- Merges ---- */

static bool add_merge(const source *s, int32_t rank, const json_value *text, buffer *whole)
{
    const vocabulary *v = &s->t->words;
    const char *blank = text->kind == JSON_STRING && text->size > 2
                            ? memchr(text->text + 1, ' ', text->size - 1)
                            : NULL;
    if (!blank)
        return s24m_wrong(S24_E_FORMAT, "%s: merge %d is no pair", s->name, (int)rank);
    size_t left = (size_t)(blank - text->text), right = text->size - left - 1;
    whole->size = 0;
    if (!s24m_buffer_add(whole, text->text, left) || !s24m_buffer_add(whole, blank + 1, right))
        return false;
    int32_t a = s24m_vocabulary_find_any(v, text->text, left);
    int32_t b = s24m_vocabulary_find_any(v, blank + 1, right);
    int32_t id = s24m_vocabulary_find_any(v, whole->data, whole->size);
    if (a < 0 || b < 0 || id < 0)
        return s24m_wrong(S24_E_FORMAT,
                          "%s: merge %d, '%.*s': a part or the whole is not in the vocabulary",
                          s->name, (int)rank, (int)(text->size < 60 ? text->size : 60), text->text);
    s24m_merger_add(&s->t->merger, a, b, rank, id);
    return true;
}

static bool read_merges(const source *s)
{
    json_tree tree;
    buffer whole = {0};
    bool done = array_of(s, "merges", "byte pair encoding needs them", &tree) &&
                s24m_merger_open(&s->t->merger, (size_t)s24m_json_root(&tree)->count);
    const json_value *item = done ? s24m_json_first(&tree, s24m_json_root(&tree)) : NULL;
    for (int32_t rank = 0; done && item; rank++, item = s24m_json_next(&tree, item))
        done = add_merge(s, rank, item, &whole);
    s24m_buffer_free(&whole);
    s24m_json_free(&tree);
    return done;
}

/* ---- Kinds ---- */

static bool read_gpt2(const source *s)
{
    tokenizer *t = s->t;
    const char *pre = text_of(s, "pre");
    t->kind = "bpe";
    t->decode = DECODE_LETTERS;
    if (!pre)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: no tokenizer.ggml.pre: how its text is cut into words is unknown; "
                          "give the model's tokenizer.json with --tokenizer",
                          s->name);
    return read_tokens(s, false) && read_merges(s) && (t->bos = id_of(s, "bos_token_id"), true) &&
           s24m_tokenizer_pre(t, pre, s->name) &&
           s24m_split_add(&t->split, SPLIT_LETTERS, "", false, s->name);
}

static bool read_llama(const source *s)
{
    tokenizer *t = s->t;
    bool prefix = truth_of(s, "add_space_prefix", true);
    t->kind = "sentencepiece";
    t->decode = DECODE_BLANKS;
    t->strip_first = prefix;
    t->merger.byte_fallback = true;
    if (!read_tokens(s, true) || !s24m_tokenizer_blanks(t, prefix, s->name) ||
        !s24m_merger_rank(&t->merger, &t->words))
        return false;
    t->bos = id_of(s, "bos_token_id");
    t->merger.unknown = id_of(s, "unknown_token_id");
    return (t->bos < 0 || s24m_ids_add(&t->prefix, t->bos)) &&
           s24m_tokenizer_cut_blanks(t, s->name);
}

static bool read_charsmap(const source *s)
{
    json_tree tree;
    normal_step *step = NULL;
    int32_t byte;
    bool done = array_of(s, "precompiled_charsmap", NULL, &tree);
    const json_value *item = done ? s24m_json_first(&tree, tree.values) : NULL;
    if (item)
        done = (step = s24m_normalizer_add(&s->t->normal, NORMAL_CHARSMAP, s->name)) != NULL;
    for (; done && item; item = s24m_json_next(&tree, item)) {
        double value;
        done = s24m_json_real(item, &value) && value >= -128 && value < 256;
        byte = done ? (int32_t)value : 0;
        done = done ? s24m_buffer_add(&step->what, &(char){(char)byte}, 1)
                    : s24m_wrong(S24_E_FORMAT, "%s: precompiled_charsmap holds no bytes", s->name);
    }
    s24m_json_free(&tree);
    return done && (!step || s24m_charsmap_check(&step->what, s->name));
}

/* Blanks at the ends are left out, and of several one stays. */
static bool squeeze(const source *s)
{
    normal_step *ends = s24m_normalizer_add(&s->t->normal, NORMAL_STRIP, s->name);
    if (!ends)
        return false;
    ends->left = ends->right = true;
    normal_step *runs = s24m_normalizer_add(&s->t->normal, NORMAL_REPLACE, s->name);
    return runs && s24m_regex_open(&runs->regex, " {2,}", 5, s->name) &&
           s24m_buffer_add(&runs->with, " ", 1);
}

static bool read_t5(const source *s)
{
    tokenizer *t = s->t;
    bool prefix = truth_of(s, "add_space_prefix", true);
    t->kind = "unigram";
    t->model = MODEL_UNIGRAM;
    t->decode = DECODE_BLANKS;
    t->strip_first = prefix;
    if (!read_tokens(s, true) || !s24m_unigram_open(&t->unigram, &t->words) || !read_charsmap(s) ||
        (truth_of(s, "remove_extra_whitespaces", false) && !squeeze(s)) ||
        !s24m_tokenizer_blanks(t, prefix, s->name))
        return false;
    t->unigram.unknown = id_of(s, "unknown_token_id");
    int32_t eos = id_of(s, "eos_token_id");
    return (eos < 0 || s24m_ids_add(&t->suffix, eos)) && s24m_tokenizer_cut_blanks(t, s->name);
}

/* ---- All ---- */

static bool put_around(id_list *list, bool wanted, int32_t id)
{
    list->count = 0;
    return !wanted || id < 0 || s24m_ids_add(list, id);
}

static bool read_special(const source *s)
{
    tokenizer *t = s->t;
    t->bos = id_of(s, "bos_token_id");
    t->eos = id_of(s, "eos_token_id");
    t->eot = id_of(s, "eot_token_id");
    t->unknown = id_of(s, "unknown_token_id");
    t->pad = id_of(s, "padding_token_id");
    return put_around(&t->prefix, truth_of(s, "add_bos_token", t->prefix.count > 0), t->bos) &&
           put_around(&t->suffix, truth_of(s, "add_eos_token", t->suffix.count > 0), t->eos);
}

bool s24m_tokenizer_gguf(tokenizer *t, const s24_file *file, const char *name)
{
    source s = {t, file, name};
    const char *model = text_of(&s, "model");
    static const struct {
        const char *name;
        bool (*read)(const source *);
    } kinds[] = {{"gpt2", read_gpt2}, {"llama", read_llama}, {"t5", read_t5}};
    if (!model)
        return s24m_wrong(
            S24_E_UNSUPPORTED,
            "%s: holds no tokenizer (tokenizer.ggml.model): name one with --tokenizer", name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(model, kinds[i].name))
            return kinds[i].read(&s) && read_added(&s) && read_special(&s);
    return s24m_wrong(S24_E_UNSUPPORTED,
                      "%s: tokenizer.ggml.model is '%.40s', but only gpt2, llama and t5 are "
                      "supported: give the model's tokenizer.json with --tokenizer",
                      name, model);
}
