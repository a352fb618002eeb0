/* GPT-2's own two files, which OPT still comes in: vocab.json, piece to id, and merges.txt. */
#include "hf.h"
#include <string.h>

static bool read_pieces(hf_reader *r)
{
    const json_value *root = s24m_json_root(r->tree);
    bool done = root->kind == JSON_OBJECT ||
                s24m_wrong(S24_E_FORMAT, "%s: expected an object, piece to id", r->name);
    for (const json_value *v = s24m_json_first(r->tree, root); done && v;
         v = s24m_json_next(r->tree, v)) {
        int32_t id;
        done = s24m_json_integer(v, &id)
                   ? s24m_vocabulary_add(&r->t->words, id, v->key, v->key_size, PIECE_NORMAL, 0,
                                         r->name)
                   : s24m_wrong(S24_E_FORMAT, "%s: the id of '%.*s' is no number", r->name,
                                (int)(v->key_size < 40 ? v->key_size : 40), v->key);
    }
    return done && s24m_tokenizer_finish(r->t, r->name);
}

/* A line that is a pair; those that begin with "#version" are none. */
static bool read_line(hf_reader *r, const char *line, size_t size, int32_t *rank)
{
    const char *blank = memchr(line, ' ', size);
    if (!size || (size >= 8 && !memcmp(line, "#version", 8)))
        return true;
    if (!blank)
        return s24m_wrong(S24_E_FORMAT, "merges.txt: line '%.*s' is no pair",
                          (int)(size < 40 ? size : 40), line);
    size_t left = (size_t)(blank - line);
    return s24m_hf_merge(r, (*rank)++, line, left, blank + 1, size - left - 1);
}

static bool read_merges(hf_reader *r, const buffer *merges)
{
    size_t lines = 0;
    int32_t rank = 0;
    bool done = true;
    for (size_t i = 0; i < merges->size; i++)
        lines += merges->data[i] == '\n';
    done = s24m_merger_open(&r->t->merger, lines + 1);
    for (size_t i = 0, to; done && i < merges->size; i = to + 1) {
        const char *end = memchr(merges->data + i, '\n', merges->size - i);
        to = end ? (size_t)(end - merges->data) : merges->size;
        bool returned = to > i && merges->data[to - 1] == '\r';
        done = read_line(r, merges->data + i, to - i - returned, &rank);
    }
    return done;
}

/* What stands in angle brackets, as the packages' own defaults do. */
static bool add_special(hf_reader *r)
{
    static const char *const names[] = {"<|endoftext|>", "</s>", "<s>", "<pad>", "<unk>"};
    vocabulary *v = &r->t->words;
    bool done = true;
    for (size_t i = 0; done && i < sizeof names / sizeof *names; i++) {
        int32_t id = s24m_vocabulary_find_any(v, names[i], strlen(names[i]));
        if (id < 0)
            continue;
        v->pieces[id].kind = PIECE_CONTROL;
        done = s24m_added_add(&r->t->added, (added_token){.id = id, .special = true}, names[i],
                              strlen(names[i]));
    }
    return done;
}

bool s24m_tokenizer_pair(tokenizer *t, const buffer *pieces, const buffer *merges, const char *name)
{
    json_tree tree;
    t->kind = "bpe";
    t->decode = DECODE_LETTERS;
    if (!s24m_json_parse(&tree, name, pieces->data, pieces->size))
        return false;
    hf_reader r = {.t = t, .tree = &tree, .name = name};
    bool done =
        read_pieces(&r) && read_merges(&r, merges) && add_special(&r) &&
        s24m_split_add_cut(&t->split, S24M_GPT2, sizeof S24M_GPT2 - 1, ISOLATED, false, name) &&
        s24m_split_add(&t->split, SPLIT_LETTERS, "", false, name);
    s24m_buffer_free(&r.whole);
    s24m_json_free(&tree);
    return done;
}
