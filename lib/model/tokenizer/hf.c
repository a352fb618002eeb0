/* tokenizer.json: the vocabulary, its model and the added tokens. */
#include "hf.h"
#include <stdlib.h>
#include <string.h>

/* ---- Vocabularies ---- */

/* An object, piece to id. */
static bool read_pieces(hf_reader *r, const json_value *all)
{
    const json_tree *tree = r->tree;
    if (!all || all->kind != JSON_OBJECT || !all->count)
        return s24m_wrong(S24_E_FORMAT, "%s: model.vocab is no object with pieces", r->name);
    bool done = true;
    for (const json_value *v = s24m_json_first(tree, all); done && v; v = s24m_json_next(tree, v)) {
        int32_t id;
        done = s24m_json_integer(v, &id) ||
               s24m_wrong(S24_E_FORMAT, "%s: model.vocab: the id of '%.*s' is no number", r->name,
                          (int)(v->key_size < 40 ? v->key_size : 40), v->key);
        done = done &&
               s24m_vocabulary_add(&r->t->words, id, v->key, v->key_size, PIECE_NORMAL, 0, r->name);
    }
    return done;
}

/* An array of pairs, piece and score. */
static bool read_scored(hf_reader *r, const json_value *all)
{
    const json_tree *tree = r->tree;
    if (!all || all->kind != JSON_ARRAY || !all->count)
        return s24m_wrong(S24_E_FORMAT, "%s: model.vocab is no array with pieces", r->name);
    bool done = true;
    int32_t id = 0;
    for (const json_value *v = s24m_json_first(tree, all); done && v;
         v = s24m_json_next(tree, v), id++) {
        const json_value *text = v->kind == JSON_ARRAY ? s24m_json_first(tree, v) : NULL;
        const json_value *score = text ? s24m_json_next(tree, text) : NULL;
        double points;
        done = (text && text->kind == JSON_STRING && s24m_json_real(score, &points)) ||
               s24m_wrong(S24_E_FORMAT, "%s: model.vocab: item %d is no piece with a score",
                          r->name, (int)id);
        done = done && s24m_vocabulary_add(&r->t->words, id, text->text, text->size, PIECE_NORMAL,
                                           points, r->name);
    }
    return done;
}

/* ---- Merges ---- */

static bool bad_merge(const hf_reader *r, int32_t rank, const char *what)
{
    return s24m_wrong(S24_E_FORMAT, "%s: merge %d %s", r->name, (int)rank, what);
}

bool s24m_hf_merge(hf_reader *r, int32_t rank, const char *left, size_t left_size,
                   const char *right, size_t right_size)
{
    const vocabulary *v = &r->t->words;
    r->whole.size = 0;
    if (!s24m_buffer_add(&r->whole, left, left_size) ||
        !s24m_buffer_add(&r->whole, right, right_size))
        return false;
    int32_t a = s24m_vocabulary_find(v, left, left_size);
    int32_t b = s24m_vocabulary_find(v, right, right_size);
    int32_t id = s24m_vocabulary_find(v, r->whole.data, r->whole.size);
    if (a < 0 || b < 0 || id < 0)
        return bad_merge(r, rank, "has a part, or a whole, that is not in the vocabulary");
    s24m_merger_add(&r->t->merger, a, b, rank, id);
    return true;
}

/* "a b", or ["a", "b"]. */
static bool read_merge(hf_reader *r, const json_value *v, int32_t rank)
{
    if (v->kind == JSON_ARRAY && v->count == 2) {
        const json_value *a = s24m_json_first(r->tree, v), *b = s24m_json_next(r->tree, a);
        return a->kind == JSON_STRING && b->kind == JSON_STRING
                   ? s24m_hf_merge(r, rank, a->text, a->size, b->text, b->size)
                   : bad_merge(r, rank, "is no pair of texts");
    }
    const char *blank =
        v->kind == JSON_STRING && v->size > 2 ? memchr(v->text, ' ', v->size) : NULL;
    if (!blank)
        return bad_merge(r, rank, "is no pair");
    size_t left = (size_t)(blank - v->text);
    return s24m_hf_merge(r, rank, v->text, left, blank + 1, v->size - left - 1);
}

static bool read_merges(hf_reader *r, const json_value *merges)
{
    if (!merges || merges->kind != JSON_ARRAY)
        return s24m_wrong(S24_E_FORMAT, "%s: model.merges is missing: byte pair encoding needs it",
                          r->name);
    bool done = s24m_merger_open(&r->t->merger, (size_t)merges->count);
    int32_t rank = 0;
    for (const json_value *v = s24m_json_first(r->tree, merges); done && v;
         v = s24m_json_next(r->tree, v))
        done = read_merge(r, v, rank++);
    return done;
}

/* ---- Models ---- */

/* What would change ids and is not done here. */
static bool check_absent(const hf_reader *r, const json_value *model)
{
    static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    double dropout = 0;
    for (int i = 0; i < 2; i++) {
        const json_value *v = s24m_json_get(r->tree, model, keys[i]);
        if (v && v->size)
            return s24m_wrong(S24_E_UNSUPPORTED, "%s: model.%s is '%.*s': not supported", r->name,
                              keys[i], (int)(v->size < 20 ? v->size : 20), v->text);
    }
    const json_value *v = s24m_json_get(r->tree, model, "dropout");
    return !v || (s24m_json_real(v, &dropout) && dropout == 0) ||
           s24m_wrong(S24_E_UNSUPPORTED, "%s: model.dropout: ids would be random", r->name);
}

static bool read_bpe(hf_reader *r, const json_value *model)
{
    tokenizer *t = r->t;
    const json_tree *tree = r->tree;
    t->kind = "bpe";
    t->model = MODEL_MERGE;
    if (!check_absent(r, model) || !read_pieces(r, s24m_json_get(tree, model, "vocab")) ||
        !s24m_tokenizer_finish(t, r->name))
        return false;
    const json_value *unknown = s24m_json_get(tree, model, "unk_token");
    t->merger.byte_fallback = s24m_json_truth(tree, model, "byte_fallback", false);
    t->merger.fuse_unknown = s24m_json_truth(tree, model, "fuse_unk", false);
    t->merger.whole = s24m_json_truth(tree, model, "ignore_merges", false);
    t->merger.unknown = unknown && unknown->kind == JSON_STRING
                            ? s24m_vocabulary_find(&t->words, unknown->text, unknown->size)
                            : -1;
    t->unknown = t->merger.unknown;
    return read_merges(r, s24m_json_get(tree, model, "merges"));
}

static bool read_unigram(hf_reader *r, const json_value *model)
{
    tokenizer *t = r->t;
    const json_value *unknown = s24m_json_get(r->tree, model, "unk_id");
    t->kind = "unigram";
    t->model = MODEL_UNIGRAM;
    t->unigram.byte_fallback = s24m_json_truth(r->tree, model, "byte_fallback", false);
    t->unigram.unknown = -1;
    if (!read_scored(r, s24m_json_get(r->tree, model, "vocab")) ||
        !s24m_tokenizer_finish(t, r->name) || !s24m_unigram_open(&t->unigram, &t->words))
        return false;
    if (unknown && (!s24m_json_integer(unknown, &t->unigram.unknown) ||
                    t->unigram.unknown >= (int32_t)t->words.count))
        return s24m_wrong(S24_E_FORMAT, "%s: model.unk_id is no id of the vocabulary", r->name);
    t->unknown = t->unigram.unknown;
    return true;
}

/* Old files do not name the type. */
static bool read_model(hf_reader *r, const json_value *model)
{
    const json_value *type = s24m_json_get(r->tree, model, "type");
    if (s24m_json_is(type, "BPE") || (!type && s24m_json_get(r->tree, model, "merges")))
        return read_bpe(r, model);
    if (s24m_json_is(type, "Unigram") || (!type && s24m_json_get(r->tree, model, "unk_id")))
        return read_unigram(r, model);
    return s24m_wrong(S24_E_UNSUPPORTED, "%s: model '%.*s': only BPE and Unigram are supported",
                      r->name, type ? (int)type->size : 4, type ? type->text : "none");
}

/* ---- Added tokens ---- */

/* The piece of an added token: the model's, or a new one that the model does not make. */
static bool place_added(hf_reader *r, int32_t id, const json_value *content, bool special)
{
    vocabulary *v = &r->t->words;
    piece_kind kind = special ? PIECE_CONTROL : PIECE_USER;
    if (id < (int32_t)v->count && v->pieces[id].kind) {
        piece *p = v->pieces + id;
        bool same = p->size == content->size &&
                    !memcmp(s24m_vocabulary_text(v, id), content->text, p->size);
        p->kind = kind;
        return same ||
               s24m_wrong(S24_E_FORMAT, "%s: the added token '%.*s' has the id %d of another piece",
                          r->name, (int)(content->size < 40 ? content->size : 40), content->text,
                          (int)id);
    }
    if (!s24m_vocabulary_add(v, id, content->text, content->size, kind, 0, r->name))
        return false;
    v->pieces[id].hidden = true;
    return true;
}

/* What stands behind the normaliser is looked for as that would write it. */
static bool find_added(hf_reader *r, added_token token, const json_value *content)
{
    const char *text = content->text;
    size_t size = content->size;
    if (token.normalized && !s24m_normalize(&r->t->normal, &text, &size))
        return false;
    return s24m_added_add(&r->t->added, token, text, size);
}

static bool read_added(hf_reader *r, const json_value *v)
{
    const json_tree *tree = r->tree;
    const json_value *content = s24m_json_get(tree, v, "content");
    added_token token = {.special = s24m_json_truth(tree, v, "special", false),
                         .word = s24m_json_truth(tree, v, "single_word", false),
                         .left = s24m_json_truth(tree, v, "lstrip", false),
                         .right = s24m_json_truth(tree, v, "rstrip", false)};
    token.normalized = s24m_json_truth(tree, v, "normalized", !token.special);
    if (!content || content->kind != JSON_STRING ||
        !s24m_json_integer(s24m_json_get(tree, v, "id"), &token.id))
        return s24m_wrong(S24_E_FORMAT, "%s: added_tokens: expected content and id", r->name);
    return place_added(r, token.id, content, token.special) && find_added(r, token, content);
}

static bool read_all_added(hf_reader *r, const json_value *list)
{
    bool done = true;
    const json_value *v = list && list->kind == JSON_ARRAY ? s24m_json_first(r->tree, list) : NULL;
    for (; done && v; v = s24m_json_next(r->tree, v))
        done = read_added(r, v);
    /* Those that were added are found by their texts from here on. */
    free(r->t->words.slots);
    r->t->words.slots = NULL;
    return done && s24m_vocabulary_index(&r->t->words, r->name);
}

/* ---- All ---- */

static bool read_json(hf_reader *r)
{
    const json_value *root = s24m_json_root(r->tree);
    const json_value *model = s24m_json_get(r->tree, root, "model");
    if (root->kind != JSON_OBJECT || !model)
        return s24m_wrong(S24_E_FORMAT, "%s: no \"model\": this is no tokenizer.json", r->name);
    return read_model(r, model) &&
           s24m_hf_normalizer(r, s24m_json_get(r->tree, root, "normalizer")) &&
           read_all_added(r, s24m_json_get(r->tree, root, "added_tokens")) &&
           s24m_hf_splitter(r, s24m_json_get(r->tree, root, "pre_tokenizer")) &&
           s24m_hf_around(r, s24m_json_get(r->tree, root, "post_processor")) &&
           s24m_hf_decoder(r, s24m_json_get(r->tree, root, "decoder")) &&
           s24m_tokenizer_cut_blanks(r->t, r->name);
}

bool s24m_tokenizer_json(tokenizer *t, const char *text, size_t size, const char *name)
{
    json_tree tree;
    if (!s24m_json_parse(&tree, name, text, size))
        return false;
    hf_reader r = {.t = t, .tree = &tree, .name = name};
    bool done = read_json(&r);
    s24m_buffer_free(&r.whole);
    s24m_json_free(&tree);
    return done;
}

/* ---- tokenizer_config.json ---- */

/* "</s>", or an object with "content"; -1: none, or no piece. */
static int32_t token_of(const hf_reader *r, const char *key)
{
    const json_value *v = s24m_json_get(r->tree, s24m_json_root(r->tree), key);
    if (v && v->kind == JSON_OBJECT)
        v = s24m_json_get(r->tree, v, "content");
    return v && v->kind == JSON_STRING ? s24m_vocabulary_find_any(&r->t->words, v->text, v->size)
                                       : -1;
}

static void take_token(const hf_reader *r, const char *key, int32_t *id)
{
    int32_t found = token_of(r, key);
    *id = found >= 0 ? found : *id;
}

/* The file's word on a token around texts goes above the post-processor's. */
static bool take_around(const hf_reader *r, const char *key, id_list *list, int32_t id)
{
    const json_value *v = s24m_json_get(r->tree, s24m_json_root(r->tree), key);
    if (!v || (v->kind == JSON_TRUE && list->count))
        return true;
    list->count = 0;
    return v->kind != JSON_TRUE || id < 0 || s24m_ids_add(list, id);
}

bool s24m_tokenizer_settings(tokenizer *t, const char *text, size_t size, const char *name)
{
    json_tree tree;
    if (!s24m_json_parse(&tree, name, text, size))
        return false;
    hf_reader r = {.t = t, .tree = &tree, .name = name};
    take_token(&r, "bos_token", &t->bos);
    take_token(&r, "eos_token", &t->eos);
    take_token(&r, "unk_token", &t->unknown);
    take_token(&r, "pad_token", &t->pad);
    bool done = take_around(&r, "add_bos_token", &t->prefix, t->bos) &&
                take_around(&r, "add_eos_token", &t->suffix, t->eos);
    s24m_json_free(&tree);
    return done;
}
