#include "regex.h"
#include "newer.inc"
#include "utf8.h"
#include <stdlib.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MATCH_LIMIT = 1 << 27, /* steps of one match; runs of a million letters need some millions */
    HEAP_LIMIT = 1 << 19,  /* KiB */
    JIT_STACK = 1 << 20
};

struct regex {
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
};

/* ---- The dialect ---- */

/* Oniguruma's classes, in words that every version of PCRE2 knows: its \s has U+180E, which is no
 * white space since Unicode 6.3, and its \w lacks marks. Debian 12's PCRE2 knows Unicode 14. */
#define BLANKS                                                                                   \
    "\\t-\\r\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{" \
    "3000}"
#define NO_BLANKS                                                                            \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}"         \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-" \
    "\\x{10ffff}"
/* Of \w what no property of PCRE2 has: circled letters. */
#define CIRCLED "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

typedef struct reader {
    const char *pattern, *name;
    size_t size, at;
    bool in_class;
    buffer out;
} reader;

static bool refuse(const reader *r, const char *what)
{
    return s24m_wrong(S24_E_UNSUPPORTED, "%s: pattern '%.*s', byte %zu: %s", r->name,
                      (int)(r->size < 200 ? r->size : 200), r->pattern, r->at, what);
}

static bool put(reader *r, const char *text)
{
    return s24m_buffer_add(&r->out, text, strlen(text));
}

static bool put_class(reader *r, const char *items)
{
    return (r->in_class || put(r, "[")) && put(r, items) && (r->in_class || put(r, "]"));
}

/* Items of a class: a general category, and its characters that PCRE2 may be too old to know. */
static bool put_category(reader *r, const char *name, size_t size)
{
    bool done = put(r, "\\p{") && s24m_buffer_add(&r->out, name, size) && put(r, "}");
    for (size_t i = 0; done && i < sizeof newer / sizeof *newer; i++)
        if (strlen(newer[i].name) == size && !memcmp(newer[i].name, name, size))
            done = put(r, newer[i].ranges);
    return done;
}

static bool put_categories(reader *r, bool negated, const char *const *names, const char *more)
{
    bool done = r->in_class || put(r, negated ? "[^" : "[");
    for (; done && *names; names++)
        done = put_category(r, *names, strlen(*names));
    return done && put(r, more) && (r->in_class || put(r, "]"));
}

static bool take_word(reader *r, bool negated)
{
    static const char *const names[] = {"L", "M", "Nd", "Nl", "Pc", NULL};
    return negated && r->in_class ? refuse(r, "\\W within a class is not supported")
                                  : put_categories(r, negated, names, CIRCLED);
}

static bool take_digit(reader *r, bool negated)
{
    static const char *const names[] = {"Nd", NULL};
    return negated && r->in_class ? refuse(r, "\\D within a class is not supported")
                                  : put_categories(r, negated, names, "");
}

/* \p{L}, \P{L}, \p{^L}, \pL; r->at stands behind the p. Scripts and the like go as they are. */
static bool take_property(reader *r, bool negated)
{
    const char *name = r->pattern + r->at;
    size_t left = r->size - r->at, size = 1, skip = 1;
    if (left && *name == '{') {
        const char *end = memchr(name, '}', left);
        if (!end)
            return refuse(r, "\\p has no end");
        skip = (size_t)(end - name) + 1;
        name++;
        size = skip - 2;
    }
    if (!left)
        return refuse(r, "\\p has no name");
    r->at += skip;
    if (size && *name == '^') {
        negated = !negated;
        name++;
        size--;
    }
    if (size > 2 || (negated && r->in_class))
        return put(r, negated ? "\\P{" : "\\p{") && s24m_buffer_add(&r->out, name, size) &&
               put(r, "}");
    return (r->in_class || put(r, negated ? "[^" : "[")) && put_category(r, name, size) &&
           (r->in_class || put(r, "]"));
}

static bool take_escape(reader *r)
{
    char c = r->at + 1 < r->size ? r->pattern[r->at + 1] : 0;
    r->at += 2;
    switch (c) {
    case 's':
        return put_class(r, BLANKS);
    case 'S':
        return put_class(r, NO_BLANKS);
    case 'w':
    case 'W':
        return take_word(r, c == 'W');
    case 'd':
    case 'D':
        return take_digit(r, c == 'D');
    case 'p':
    case 'P':
        return take_property(r, c == 'P');
    case 'h':
    case 'H':
    case 'g':
    case 'k':
    case 'X':
    case 'K':
        return refuse(r, "this escape is not supported");
    default:
        return s24m_buffer_add(&r->out, r->pattern + r->at - 2, r->at <= r->size ? 2 : 1);
    }
}

static bool take_bracket(reader *r)
{
    if (r->in_class)
        return refuse(r, "a class within a class is not supported");
    r->in_class = true;
    r->at++;
    if (!put(r, "["))
        return false;
    if (r->at < r->size && r->pattern[r->at] == '^') {
        r->at++;
        return put(r, "^");
    }
    return true;
}

static bool take(reader *r)
{
    char c = r->pattern[r->at];
    if (c == '\\')
        return take_escape(r);
    if (c == '[')
        return take_bracket(r);
    if (r->in_class && c == '&' && r->at + 1 < r->size && r->pattern[r->at + 1] == '&')
        return refuse(r, "the intersection of classes, &&, is not supported");
    if (!r->in_class && c == '(' && r->at + 1 < r->size && r->pattern[r->at + 1] == '*')
        return refuse(r, "verbs, (*, are not supported");
    if (r->in_class && c == ']')
        r->in_class = false;
    return s24m_buffer_add(&r->out, r->pattern + r->at++, 1);
}

static bool translate(reader *r)
{
    bool done = true;
    while (done && r->at < r->size)
        done = take(r);
    return done;
}

/* ---- Compiling ---- */

static void *allocate(size_t size, void *unused)
{
    return malloc(size);
}

static void release(void *block, void *unused)
{
    free(block);
}

static bool compile(regex *r, const reader *translated)
{
    int error;
    size_t at;
    pcre2_compile_context *how = pcre2_compile_context_create(r->memory);
    if (!s24m_have(how))
        return false;
    pcre2_set_newline(how, PCRE2_NEWLINE_LF);
    pcre2_set_max_pattern_length(how, 1 << 20);
    /* In Ruby's syntax, which Oniguruma takes, ^ and $ are the ends of lines. */
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    r->code = pcre2_compile((PCRE2_SPTR)translated->out.data, translated->out.size, options, &error,
                            &at, how);
    pcre2_compile_context_free(how);
    if (!r->code && error == PCRE2_ERROR_HEAP_FAILED)
        return !s24m_fail(S24_E_MEMORY, "out of memory");
    unsigned char text[200] = "";
    if (!r->code)
        pcre2_get_error_message(error, text, sizeof text);
    return r->code || s24m_wrong(S24_E_UNSUPPORTED, "%s: pattern '%.*s': %s", translated->name,
                                 (int)(translated->size < 200 ? translated->size : 200),
                                 translated->pattern, (const char *)text);
}

static bool prepare(regex *r)
{
    r->match = s24m_have(pcre2_match_data_create(1, r->memory));
    r->limits = r->match ? s24m_have(pcre2_match_context_create(r->memory)) : NULL;
    if (!r->limits)
        return false;
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT);
    /* Where no code may be made at run time, PCRE2 interprets. */
    if (pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0) {
        r->stack = s24m_have(pcre2_jit_stack_create(1 << 15, JIT_STACK, r->memory));
        if (!r->stack)
            return false;
        pcre2_jit_stack_assign(r->limits, NULL, r->stack);
    }
    return true;
}

/* From a pattern in PCRE2's own dialect. */
static bool open_translated(regex **out, const reader *text)
{
    regex *r = s24m_have(calloc(1, sizeof *r));
    *out = r;
    if (r)
        r->memory = s24m_have(pcre2_general_context_create(allocate, release, NULL));
    bool done = r && r->memory && compile(r, text) && prepare(r);
    if (!done) {
        s24m_regex_close(r);
        *out = NULL;
    }
    return done;
}

bool s24m_regex_open(regex **out, const char *pattern, size_t size, const char *name)
{
    reader text = {.pattern = pattern, .size = size, .name = name};
    *out = NULL;
    bool done =
        s24m_buffer_add(&text.out, "", 0) && translate(&text) && open_translated(out, &text);
    s24m_buffer_free(&text.out);
    return done;
}

bool s24m_regex_clusters(regex **out)
{
    char pattern[] = "\\X";
    return open_translated(out, &(reader){.pattern = pattern,
                                          .name = "clusters",
                                          .size = 2,
                                          .out = {.data = pattern, .size = 2}});
}

void s24m_regex_close(regex *r)
{
    if (!r)
        return;
    pcre2_jit_stack_free(r->stack);
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->match);
    pcre2_code_free(r->code);
    pcre2_general_context_free(r->memory);
    free(r);
}

/* ---- Matching ---- */

static bool failed(int error, size_t from)
{
    unsigned char text[120] = "";
    if (error == PCRE2_ERROR_NOMEMORY)
        return !s24m_fail(S24_E_MEMORY, "out of memory");
    pcre2_get_error_message(error, text, sizeof text);
    return s24m_wrong(
        S24_E_UNSUPPORTED,
        "the tokenizer's pattern takes too long at byte %zu of a piece of the text: %s", from,
        (const char *)text);
}

bool s24m_regex_find(regex *r, const char *text, size_t size, size_t from, bool *found,
                     size_t *begin, size_t *end)
{
    PCRE2_SPTR s = (PCRE2_SPTR)text;
    uint32_t checked = PCRE2_NO_UTF_CHECK; /* by whoever took the text */
    int got = pcre2_match(r->code, s, size, from, checked, r->match, r->limits);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT)
        got = pcre2_match(r->code, s, size, from, checked | PCRE2_NO_JIT, r->match, r->limits);
    *found = got >= 0;
    if (got < 0 && got != PCRE2_ERROR_NOMATCH)
        return failed(got, from);
    if (*found) {
        const size_t *at = pcre2_get_ovector_pointer(r->match);
        *begin = at[0];
        *end = at[1] > at[0] ? at[1] : at[0];
    }
    return true;
}
