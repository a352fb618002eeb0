/* tokenizer.model of SentencePiece, a protocol buffer: pieces, and how the text is normalised. */
#include "tokenizer.h"
#include "utf8.h"
#include <string.h>

/* What is left of a message. */
typedef struct message {
    const unsigned char *at, *end;
    const char *name;
} message;

typedef struct field {
    uint32_t number;
    uint64_t value; /* of a number, its bits */
    message inner;  /* of a text or a message */
} field;

static bool cut_off(const message *m)
{
    return s24m_wrong(S24_E_FORMAT, "%s: is cut off, or no model of SentencePiece", m->name);
}

static bool read_varint(message *m, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; m->at < m->end && shift < 64; shift += 7) {
        unsigned char byte = *m->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return cut_off(m);
}

static bool read_fixed(message *m, int size, uint64_t *value)
{
    *value = 0;
    if (m->end - m->at < size)
        return cut_off(m);
    for (int i = 0; i < size; i++)
        *value |= (uint64_t)*m->at++ << 8 * i;
    return true;
}

static bool read_field(message *m, field *f)
{
    uint64_t tag, size;
    *f = (field){.inner = {NULL, NULL, m->name}};
    if (!read_varint(m, &tag))
        return false;
    f->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0:
        return read_varint(m, &f->value);
    case 1:
        return read_fixed(m, 8, &f->value);
    case 2:
        if (!read_varint(m, &size))
            return false;
        if (size > (uint64_t)(m->end - m->at))
            return cut_off(m);
        f->inner = (message){m->at, m->at + size, m->name};
        m->at += size;
        return true;
    case 5:
        return read_fixed(m, 4, &f->value);
    default:
        return cut_off(m);
    }
}

/* trainer_spec and normalizer_spec, as far as they matter. */
typedef struct settings {
    uint64_t type; /* 1: unigram, 2: byte pairs */
    int32_t unknown, bos, eos, pad;
    bool byte_fallback, prefix, squeeze, escape;
    message charsmap;
} settings;

static bool read_piece(tokenizer *t, message m, int32_t id)
{
    message text = {NULL, NULL, m.name};
    uint64_t kind = PIECE_NORMAL;
    float score = 0;
    field f;
    while (m.at < m.end) {
        if (!read_field(&m, &f))
            return false;
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1)
            text = f.inner;
        else if (f.number == 2)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3)
            kind = f.value;
    }
    /* Here unknown is 2 and control 3, as in GGUF; unused 5, byte 6. */
    if (!kind || kind >= PIECE_KINDS || score != score)
        return s24m_wrong(S24_E_FORMAT, "%s: piece %d: its type or score makes no sense", m.name,
                          (int)id);
    size_t size = (size_t)(text.end - text.at);
    if (size && !s24m_utf8_clean((const char *)text.at, size))
        return s24m_wrong(S24_E_FORMAT, "%s: piece %d is not UTF-8", m.name, (int)id);
    return s24m_vocabulary_add(&t->words, id, size ? (const char *)text.at : "", size,
                               (piece_kind)kind, score, m.name);
}

static bool read_trainer(settings *s, message m)
{
    field f;
    while (m.at < m.end) {
        if (!read_field(&m, &f))
            return false;
        int32_t id = (int32_t)f.value;
        switch (f.number) {
        case 3:
            s->type = f.value;
            break;
        case 35:
            s->byte_fallback = f.value;
            break;
        case 40:
            s->unknown = id;
            break;
        case 41:
            s->bos = id;
            break;
        case 42:
            s->eos = id;
            break;
        case 43:
            s->pad = id;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool read_normalizer(settings *s, message m)
{
    field f;
    while (m.at < m.end) {
        if (!read_field(&m, &f))
            return false;
        if (f.number == 2)
            s->charsmap = f.inner;
        else if (f.number == 3)
            s->prefix = f.value;
        else if (f.number == 4)
            s->squeeze = f.value;
        else if (f.number == 5)
            s->escape = f.value;
    }
    return true;
}

static bool read_all(tokenizer *t, message m, settings *s)
{
    int32_t id = 0;
    bool done = true;
    field f;
    while (done && m.at < m.end) {
        if (!read_field(&m, &f))
            return false;
        if (f.number == 1)
            done = read_piece(t, f.inner, id++);
        else if (f.number == 2)
            done = read_trainer(s, f.inner);
        else if (f.number == 3)
            done = read_normalizer(s, f.inner);
    }
    return done && (id > 0 || cut_off(&m));
}

static int32_t within(const tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->words.count ? id : -1;
}

static bool set_normal(tokenizer *t, const settings *s, const char *name)
{
    size_t size = (size_t)(s->charsmap.end - s->charsmap.at);
    if (size) {
        normal_step *table = s24m_normalizer_add(&t->normal, NORMAL_CHARSMAP, name);
        if (!table || !s24m_buffer_add(&table->what, (const char *)s->charsmap.at, size) ||
            !s24m_charsmap_check(&table->what, name))
            return false;
    }
    if (s->squeeze) {
        normal_step *ends = s24m_normalizer_add(&t->normal, NORMAL_STRIP, name);
        if (!ends)
            return false;
        ends->left = ends->right = true;
        normal_step *runs = s24m_normalizer_add(&t->normal, NORMAL_REPLACE, name);
        if (!runs || !s24m_regex_open(&runs->regex, " {2,}", 5, name) ||
            !s24m_buffer_add(&runs->with, " ", 1))
            return false;
    }
    return s24m_tokenizer_blanks(t, s->prefix, name);
}

static bool add_tokens(tokenizer *t)
{
    const vocabulary *v = &t->words;
    bool done = true;
    for (size_t id = 0; done && id < v->count; id++) {
        const piece *p = v->pieces + id;
        bool special = p->kind == PIECE_CONTROL || p->kind == PIECE_UNKNOWN;
        if (special || p->kind == PIECE_USER)
            done = s24m_added_add(&t->added, (added_token){.id = (int32_t)id, .special = special},
                                  s24m_vocabulary_text(v, (int32_t)id), p->size);
    }
    return done;
}

bool s24m_tokenizer_sentencepiece(tokenizer *t, const char *bytes, size_t size, const char *name)
{
    const unsigned char *from = (const unsigned char *)bytes;
    settings s = {.type = 1, .bos = 1, .eos = 2, .pad = -1, .prefix = true, .squeeze = true};
    s.escape = true;
    if (!read_all(t, (message){from, from + size, name}, &s) || !s24m_tokenizer_finish(t, name) ||
        !add_tokens(t))
        return false;
    if ((s.type != 1 && s.type != 2) || !s.escape)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: only unigram and bpe models with escaped blanks are supported",
                          name);
    t->unknown = t->merger.unknown = t->unigram.unknown = within(t, s.unknown);
    t->bos = within(t, s.bos);
    t->eos = within(t, s.eos);
    t->pad = within(t, s.pad);
    t->kind = s.type == 1 ? "unigram" : "sentencepiece";
    t->model = s.type == 1 ? MODEL_UNIGRAM : MODEL_MERGE;
    t->decode = DECODE_BLANKS;
    t->strip_first = s.prefix;
    t->merger.byte_fallback = t->unigram.byte_fallback = s.byte_fallback;
    t->merger.fuse_unknown = true;
    bool done = s.type == 1 ? s24m_unigram_open(&t->unigram, &t->words)
                            : s24m_merger_rank(&t->merger, &t->words);
    return done && set_normal(t, &s, name) && s24m_tokenizer_cut_blanks(t, name) &&
           (t->bos < 0 || s24m_ids_add(&t->prefix, t->bos));
}
