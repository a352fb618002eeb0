/* tokenizer.json: what happens to a text before the model, after it and on the way back. Each type
 * is a row of a table; what is no row is refused by its name. */
#include "hf.h"
#include <string.h>

typedef bool (*read_fn)(hf_reader *r, const json_value *v);

typedef struct type_row {
    const char *name;
    read_fn read;
} type_row;

static bool read_type(hf_reader *r, const char *what, const type_row *rows, const json_value *v)
{
    const json_value *type = s24m_json_get(r->tree, v, "type");
    for (; rows->name; rows++)
        if (s24m_json_is(type, rows->name))
            return rows->read(r, v);
    return s24m_wrong(S24_E_UNSUPPORTED, "%s: %s of type '%.*s': not supported", r->name, what,
                      type && type->kind == JSON_STRING ? (int)(type->size < 40 ? type->size : 40)
                                                        : 4,
                      type && type->kind == JSON_STRING ? type->text : "none");
}

static bool read_each(hf_reader *r, const json_value *list, read_fn read)
{
    bool done = true;
    for (const json_value *v = s24m_json_first(r->tree, list); done && v;
         v = s24m_json_next(r->tree, v))
        done = read(r, v);
    return done;
}

static bool missing(const hf_reader *r, const char *what)
{
    return s24m_wrong(S24_E_FORMAT, "%s: expected %s", r->name, what);
}

static const json_value *member(const hf_reader *r, const json_value *v, const char *key)
{
    return s24m_json_get(r->tree, v, key);
}

static bool truth(const hf_reader *r, const json_value *v, const char *key, bool otherwise)
{
    return s24m_json_truth(r->tree, v, key, otherwise);
}

/* A text, NULL if there is none. */
static const json_value *text_of(const hf_reader *r, const json_value *v, const char *key)
{
    const json_value *text = member(r, v, key);
    return text && text->kind == JSON_STRING ? text : NULL;
}

/* ---- Normalizers ---- */

static bool add_form(hf_reader *r, bool compatible, bool compose)
{
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_FORM, r->name);
    if (!s)
        return false;
    s->compatible = compatible;
    s->compose = compose;
    return true;
}

static bool read_nfc(hf_reader *r, const json_value *v)
{
    return add_form(r, false, true);
}

static bool read_nfd(hf_reader *r, const json_value *v)
{
    return add_form(r, false, false);
}

static bool read_nfkc(hf_reader *r, const json_value *v)
{
    return add_form(r, true, true);
}

static bool read_nfkd(hf_reader *r, const json_value *v)
{
    return add_form(r, true, false);
}

static bool read_lower(hf_reader *r, const json_value *v)
{
    return s24m_normalizer_add(&r->t->normal, NORMAL_LOWER, r->name);
}

static bool read_marks(hf_reader *r, const json_value *v)
{
    return s24m_normalizer_add(&r->t->normal, NORMAL_MARKS, r->name);
}

static bool read_strip(hf_reader *r, const json_value *v)
{
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_STRIP, r->name);
    if (!s)
        return false;
    s->left = truth(r, v, "strip_left", true);
    s->right = truth(r, v, "strip_right", true);
    return true;
}

static bool read_prepend(hf_reader *r, const json_value *v)
{
    const json_value *text = text_of(r, v, "prepend");
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_PREPEND, r->name);
    return s && (text ? s24m_buffer_add(&s->with, text->text, text->size)
                      : missing(r, "\"prepend\" of a Prepend"));
}

static bool read_replace(hf_reader *r, const json_value *v)
{
    const json_value *pattern = member(r, v, "pattern"), *with = text_of(r, v, "content");
    const json_value *text = text_of(r, pattern, "String"),
                     *expression = text_of(r, pattern, "Regex");
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_REPLACE, r->name);
    if (!s)
        return false;
    if (!with || !(text || expression))
        return missing(r, "\"pattern\" and \"content\" of a Replace");
    return s24m_buffer_add(&s->with, with->text, with->size) &&
           (text ? s24m_buffer_add(&s->what, text->text, text->size)
                 : s24m_regex_open(&s->regex, expression->text, expression->size, r->name));
}

/* Characters that SentencePiece's nmt rule leaves out, and those that become a blank. */
static bool read_nmt(hf_reader *r, const json_value *v)
{
    static const char gone[] = "[\\x{1}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{7f}\\x{8f}\\x{9f}]";
    static const char blank[] = "[\\x{9}\\x{a}\\x{c}\\x{d}\\x{1680}\\x{200b}-\\x{200f}\\x{2028}"
                                "\\x{2029}\\x{2581}\\x{feff}\\x{fffd}]";
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_REPLACE, r->name);
    if (!s || !s24m_regex_open(&s->regex, gone, sizeof gone - 1, r->name))
        return false;
    s = s24m_normalizer_add(&r->t->normal, NORMAL_REPLACE, r->name);
    return s && s24m_buffer_add(&s->with, " ", 1) &&
           s24m_regex_open(&s->regex, blank, sizeof blank - 1, r->name);
}

/* base64 */
static bool read_precompiled(hf_reader *r, const json_value *v)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const json_value *text = text_of(r, v, "precompiled_charsmap");
    normal_step *s = s24m_normalizer_add(&r->t->normal, NORMAL_CHARSMAP, r->name);
    if (!s)
        return false;
    uint32_t bits = 0, count = 0;
    for (uint32_t i = 0; text && i < text->size && text->text[i] != '='; i++) {
        const char *digit = text->text[i] ? strchr(digits, text->text[i]) : NULL;
        if (!digit)
            return missing(r, "base64 in precompiled_charsmap");
        bits = bits << 6 | (uint32_t)(digit - digits);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (!s24m_buffer_add(&s->what, &(char){(char)(bits >> count)}, 1))
            return false;
    }
    return s24m_charsmap_check(&s->what, r->name);
}

static bool read_normal(hf_reader *r, const json_value *v);

static bool read_normals(hf_reader *r, const json_value *v)
{
    return read_each(r, member(r, v, "normalizers"), read_normal);
}

static bool read_normal(hf_reader *r, const json_value *v)
{
    static const type_row rows[] = {{"Sequence", read_normals},
                                    {"NFC", read_nfc},
                                    {"NFD", read_nfd},
                                    {"NFKC", read_nfkc},
                                    {"NFKD", read_nfkd},
                                    {"Lowercase", read_lower},
                                    {"StripAccents", read_marks},
                                    {"Strip", read_strip},
                                    {"Prepend", read_prepend},
                                    {"Replace", read_replace},
                                    {"Nmt", read_nmt},
                                    {"Precompiled", read_precompiled},
                                    {NULL, NULL}};
    return read_type(r, "a normalizer", rows, v);
}

bool s24m_hf_normalizer(hf_reader *r, const json_value *v)
{
    return !v || read_normal(r, v);
}

/* ---- Pre-tokenizers ---- */

static bool read_behaviour(const hf_reader *r, const json_value *v, behaviour otherwise,
                           behaviour *how)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const json_value *name = member(r, v, "behavior");
    *how = otherwise;
    if (!name)
        return true;
    for (int i = 0; i < 5; i++)
        if (s24m_json_is(name, names[i])) {
            *how = (behaviour)i;
            return true;
        }
    return missing(r, "\"behavior\" Isolated, Removed, MergedWithPrevious, MergedWithNext or "
                      "Contiguous");
}

static bool add_cut(hf_reader *r, const char *pattern, behaviour how, bool invert)
{
    return s24m_split_add_cut(&r->t->split, pattern, strlen(pattern), how, invert, r->name);
}

/* A text as a pattern that finds it. */
static bool add_literal(hf_reader *r, const json_value *text, behaviour how, bool invert)
{
    buffer b = {0};
    bool done = true;
    for (uint32_t i = 0; done && i < text->size; i++) {
        char c = text->text[i];
        done = (c && strchr("\\^$.|?*+()[]{}#-", c) ? s24m_buffer_add(&b, "\\", 1) : true) &&
               s24m_buffer_add(&b, &c, 1);
    }
    done = done && s24m_split_add_cut(&r->t->split, b.data, b.size, how, invert, r->name);
    s24m_buffer_free(&b);
    return done;
}

static bool read_split(hf_reader *r, const json_value *v)
{
    const json_value *pattern = member(r, v, "pattern");
    const json_value *text = text_of(r, pattern, "String"),
                     *expression = text_of(r, pattern, "Regex");
    bool invert = truth(r, v, "invert", false);
    behaviour how;
    if (!(text && text->size) && !expression)
        return missing(r, "\"pattern\" of a Split");
    if (!read_behaviour(r, v, ISOLATED, &how))
        return false;
    return text ? add_literal(r, text, how, invert)
                : s24m_split_add_cut(&r->t->split, expression->text, expression->size, how, invert,
                                     r->name);
}

static bool read_byte_level(hf_reader *r, const json_value *v)
{
    splitter *s = &r->t->split;
    return (!truth(r, v, "add_prefix_space", true) ||
            s24m_split_add(s, SPLIT_PREPEND, " ", false, r->name)) &&
           (!truth(r, v, "use_regex", true) || add_cut(r, S24M_GPT2, ISOLATED, false)) &&
           s24m_split_add(s, SPLIT_LETTERS, "", false, r->name);
}

static bool read_digits(hf_reader *r, const json_value *v)
{
    return add_cut(r, truth(r, v, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", ISOLATED,
                   false);
}

static bool read_punctuation(hf_reader *r, const json_value *v)
{
    behaviour how;
    return read_behaviour(r, v, ISOLATED, &how) && add_cut(r, "[!-/:-@\\[-`{-~\\p{P}]", how, false);
}

static bool read_whitespace(hf_reader *r, const json_value *v)
{
    return add_cut(r, "\\w+|[^\\w\\s]+", REMOVED, true);
}

static bool read_whitespace_split(hf_reader *r, const json_value *v)
{
    return add_cut(r, "\\s", REMOVED, false);
}

static bool read_metaspace(hf_reader *r, const json_value *v)
{
    splitter *s = &r->t->split;
    const json_value *scheme = member(r, v, "prepend_scheme"), *text = text_of(r, v, "replacement");
    bool first = s24m_json_is(scheme, "first");
    bool prepend = scheme ? !s24m_json_is(scheme, "never") : truth(r, v, "add_prefix_space", true);
    char blank[8] = "";
    if (!text || !text->size || text->size >= sizeof blank)
        return missing(r, "a character as \"replacement\" of a Metaspace");
    memcpy(blank, text->text, text->size);
    r->t->strip_first |= prepend;
    return s24m_split_add(s, SPLIT_REPLACE, blank, false, r->name) &&
           (!prepend || s24m_split_add(s, SPLIT_PREPEND, blank, first, r->name)) &&
           (!truth(r, v, "split", true) || add_literal(r, text, MERGED_WITH_NEXT, false));
}

static bool read_cut(hf_reader *r, const json_value *v);

static bool read_cuts(hf_reader *r, const json_value *v)
{
    return read_each(r, member(r, v, "pretokenizers"), read_cut);
}

static bool read_cut(hf_reader *r, const json_value *v)
{
    static const type_row rows[] = {{"Sequence", read_cuts},
                                    {"Split", read_split},
                                    {"ByteLevel", read_byte_level},
                                    {"Digits", read_digits},
                                    {"Metaspace", read_metaspace},
                                    {"Punctuation", read_punctuation},
                                    {"Whitespace", read_whitespace},
                                    {"WhitespaceSplit", read_whitespace_split},
                                    {NULL, NULL}};
    return read_type(r, "a pre-tokenizer", rows, v);
}

bool s24m_hf_splitter(hf_reader *r, const json_value *v)
{
    return !v || read_cut(r, v);
}

/* ---- Around a text ---- */

static bool add_around(hf_reader *r, bool behind, const char *text, size_t size)
{
    int32_t id = s24m_vocabulary_find_any(&r->t->words, text, size);
    return id >= 0 ? s24m_ids_add(behind ? &r->t->suffix : &r->t->prefix, id)
                   : missing(r, "the special token of the post-processor in the vocabulary");
}

/* "single": special tokens and the text; their ids stand in "special_tokens". */
static bool read_template(hf_reader *r, const json_value *v)
{
    bool behind = false, done = true;
    const json_value *item = s24m_json_first(r->tree, member(r, v, "single"));
    for (; done && item; item = s24m_json_next(r->tree, item)) {
        const json_value *name = text_of(r, member(r, item, "SpecialToken"), "id");
        behind |= member(r, item, "Sequence") != NULL;
        if (name)
            done = add_around(r, behind, name->text, name->size);
    }
    return done;
}

/* "sep" and "cls": each a token and its id. */
static bool read_pair(hf_reader *r, const json_value *v)
{
    const json_value *first = s24m_json_first(r->tree, member(r, v, "cls"));
    const json_value *last = s24m_json_first(r->tree, member(r, v, "sep"));
    if (!first || first->kind != JSON_STRING || !last || last->kind != JSON_STRING)
        return missing(r, "\"cls\" and \"sep\" of the post-processor");
    return add_around(r, false, first->text, first->size) &&
           add_around(r, true, last->text, last->size);
}

static bool read_nothing(hf_reader *r, const json_value *v)
{
    return true;
}

static bool read_around(hf_reader *r, const json_value *v);

static bool read_arounds(hf_reader *r, const json_value *v)
{
    return read_each(r, member(r, v, "processors"), read_around);
}

static bool read_around(hf_reader *r, const json_value *v)
{
    static const type_row rows[] = {
        {"Sequence", read_arounds},       {"TemplateProcessing", read_template},
        {"ByteLevel", read_nothing},      {"BertProcessing", read_pair},
        {"RobertaProcessing", read_pair}, {NULL, NULL}};
    return read_type(r, "a post-processor", rows, v);
}

bool s24m_hf_around(hf_reader *r, const json_value *v)
{
    bool done = !v || read_around(r, v);
    if (done && r->t->prefix.count)
        r->t->bos = r->t->prefix.ids[0];
    return done;
}

/* ---- Back to text ---- */

static bool read_letters(hf_reader *r, const json_value *v)
{
    r->t->decode = DECODE_LETTERS;
    return true;
}

static bool read_blanks(hf_reader *r, const json_value *v)
{
    r->t->decode = DECODE_BLANKS;
    return true;
}

static bool read_strip_first(hf_reader *r, const json_value *v)
{
    r->t->strip_first = true;
    return true;
}

static bool read_back(hf_reader *r, const json_value *v);

static bool read_backs(hf_reader *r, const json_value *v)
{
    return read_each(r, member(r, v, "decoders"), read_back);
}

static bool read_back(hf_reader *r, const json_value *v)
{
    static const type_row rows[] = {{"Sequence", read_backs},    {"ByteLevel", read_letters},
                                    {"Metaspace", read_blanks},  {"ByteFallback", read_blanks},
                                    {"Replace", read_blanks},    {"Fuse", read_nothing},
                                    {"Strip", read_strip_first}, {NULL, NULL}};
    return read_type(r, "a decoder", rows, v);
}

/* Without a decoder the steps before the model tell what pieces are made of. */
bool s24m_hf_decoder(hf_reader *r, const json_value *v)
{
    tokenizer *t = r->t;
    if (v)
        return read_back(r, v);
    bool blank = s24m_vocabulary_find(&t->words, S24M_BLANK, 3) >= 0;
    t->decode = s24m_split_has(&t->split, SPLIT_LETTERS) ? DECODE_LETTERS
                : blank                                  ? DECODE_BLANKS
                                                         : DECODE_PLAIN;
    for (int i = 0; i < t->normal.count; i++)
        t->strip_first |= t->normal.steps[i].kind == NORMAL_PREPEND;
    return true;
}
