/* What a text that is no constraints may have been meant to be: "2/4", "4-bit", "int4+g128",
 * "sparsity 0.5". Reads as people write; whether the answer can be is looked at by who asks. */
#include "api.h"
#include <stdio.h>
#include <string.h>

enum {
    WORD_INT,
    WORD_GROUP,
    WORD_SCHEME,
    WORD_RANK,
    WORD_SCOPE,
    WORD_SHARE,
    WORD_PERCENT,
    WORD_UNITS
};

/* A word that people use, and ours for it. */
typedef struct word {
    const char *name, *ours;
    int32_t kind;
} word;

static const word words[] = {
    {"int", "int", WORD_INT},          {"bit", "int", WORD_INT},
    {"bits", "int", WORD_INT},         {"w", "int", WORD_INT},
    {"uint", "int", WORD_INT},         {"g", "g", WORD_GROUP},
    {"gs", "g", WORD_GROUP},           {"group", "g", WORD_GROUP},
    {"groups", "g", WORD_GROUP},       {"groupsize", "g", WORD_GROUP},
    {"sym", "sym", WORD_SCHEME},       {"symmetric", "sym", WORD_SCHEME},
    {"asym", "asym", WORD_SCHEME},     {"asymmetric", "asym", WORD_SCHEME},
    {"real", "real", WORD_SCHEME},     {"rank", "rank", WORD_RANK},
    {"lowrank", "rank", WORD_RANK},    {"row", "row ", WORD_SCOPE},
    {"rows", "row ", WORD_SCOPE},      {"layer", "", WORD_SCOPE},
    {"sparse", "", WORD_SHARE},        {"sparsity", "", WORD_SHARE},
    {"zeros", "", WORD_SHARE},         {"unstructured", "", WORD_SHARE},
    {"percent", "%", WORD_PERCENT},    {"columns", "columns", WORD_UNITS},
    {"column", "columns", WORD_UNITS}, {"heads", "heads", WORD_UNITS},
    {"head", "heads", WORD_UNITS},
};
enum { WORDS = sizeof words / sizeof *words };

typedef struct meant {
    const char *at;
    char constraints[2 * S24I_WORD], sparsity[S24I_NUMBER_SIZE + 2], scope[8];
    char units[4 * S24I_WORD];
    char bits[S24I_WORD], group[S24I_WORD], scheme[8], rank[S24I_WORD];
} meant;

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static void skip(meant *m, const char *characters)
{
    while (*m->at && strchr(characters, *m->at))
        m->at++;
}

/* The characters of one kind that stand here, in lower case; false: there are none, or too many. */
static bool take(meant *m, bool (*kind)(char), char out[S24I_WORD])
{
    size_t size = 0;

    for (*out = 0; kind(*m->at); m->at++) {
        if (size == S24I_WORD - 1)
            return false;
        out[size++] = lower(*m->at);
    }
    out[size] = 0;
    return size;
}

static bool take_number(meant *m, char out[S24I_WORD])
{
    skip(m, " \t-_=:");
    return take(m, is_digit, out);
}

/* Said once. */
static bool set(char *field, size_t size, const char *value)
{
    bool first = !*field;

    snprintf(field, size, "%s", value);
    return first;
}

#define SET(m, field, value) set((m)->field, sizeof(m)->field, value)

static const word *find(const char *name)
{
    const char *names[WORDS];

    for (int i = 0; i < WORDS; i++) {
        names[i] = words[i].name;
        if (!strcmp(name, words[i].name))
            return words + i;
    }
    const char *nearest = strlen(name) < 3 ? NULL : s24i_nearest(name, names, WORDS);
    for (int i = 0; nearest && i < WORDS; i++)
        if (nearest == names[i])
            return words + i;
    return NULL;
}

/* "50" and "0.5". */
static bool take_share(meant *m, const char *number)
{
    char percent[S24I_NUMBER_SIZE + 2];
    double value;

    if (!s24i_number_read(number, &value) || value <= 0 || value >= 100)
        return false;
    if (value < 1)
        s24i_number_write_percent(percent, value);
    else
        snprintf(percent, S24I_NUMBER_SIZE, "%s", number);
    strcat(percent, "%");
    return SET(m, sparsity, percent);
}

/* "2/4", "2 of 4", and the other way round. */
static bool take_constraints(meant *m, const char *first)
{
    char second[S24I_WORD], text[2 * S24I_WORD];
    int64_t a, b;

    if (!take_number(m, second) || !s24i_integer_read(first, &a) || !s24i_integer_read(second, &b))
        return false;
    snprintf(text, sizeof text, "%s:%s", a < b ? first : second, a < b ? second : first);
    return SET(m, constraints, text);
}

static bool starts(const meant *m, const char *text)
{
    size_t size = strlen(text);

    for (size_t i = 0; i < size; i++)
        if (lower(m->at[i]) != text[i])
            return false;
    return !is_letter(m->at[size]);
}

/* What a number is, by what follows it. */
static bool take_after_number(meant *m, const char *number)
{
    char name[S24I_WORD];

    skip(m, " \t-_");
    if (*m->at && strchr(":/;|", *m->at))
        return m->at++, skip(m, " \t"), take_constraints(m, number);
    if (starts(m, "of")) {
        m->at += 2;
        return take_constraints(m, number);
    }
    if (*m->at == '%')
        return m->at++, take_share(m, number);
    const char *before = m->at;
    const word *w = take(m, is_letter, name) ? find(name) : NULL;
    if (w && w->kind == WORD_INT)
        return SET(m, bits, number);
    if (!w || (w->kind != WORD_PERCENT && w->kind != WORD_SHARE))
        m->at = before;
    return take_share(m, number);
}

/* "w4a16": activations stay as they are here. */
static bool take_bits(meant *m)
{
    char number[S24I_WORD], activations[S24I_WORD];

    if (!take_number(m, number))
        return false;
    if (lower(*m->at) == 'a' && is_digit(m->at[1])) {
        m->at++;
        take(m, is_digit, activations);
        if (strcmp(activations, "16") && strcmp(activations, "32"))
            return false;
    }
    return SET(m, bits, number);
}

/* "sparsity 0.5"; in "50% sparse" it only says again what the number is. */
static bool take_named_share(meant *m)
{
    char number[S24I_WORD];

    if (!take_number(m, number))
        return true;
    if (*m->at == '%')
        m->at++;
    return take_share(m, number);
}

/* The word itself, or one like it. */
static bool take_this(meant *m, const char *wanted)
{
    char name[S24I_WORD];
    const char *before = m->at;

    skip(m, " \t-_");
    if (take(m, is_letter, name) && s24i_nearest(name, &wanted, 1))
        return true;
    m->at = before;
    return false;
}

/* "columns 25%", "heads 3 kept of 9"; "kept" may be left out where there is no percent. */
static bool take_units(meant *m, const char *ours)
{
    char number[S24I_WORD], all[S24I_WORD] = "", text[4 * S24I_WORD];
    double value;
    bool columns = !strcmp(ours, "columns");

    if (!take_number(m, number) || !s24i_number_read(number, &value))
        return false;
    bool share = *m->at == '%';
    m->at += share;
    if (!share)
        take_this(m, "kept");
    skip(m, " \t/");
    if (starts(m, "of"))
        m->at += 2;
    if (!columns && !take_number(m, all))
        return false;
    snprintf(text, sizeof text, "%s %s%s%s%s", ours, number, share ? "%" : " kept",
             columns ? "" : " of ", all);
    return SET(m, units, text);
}

static bool take_word(meant *m)
{
    char name[S24I_WORD], number[S24I_WORD];
    const word *w = take(m, is_letter, name) ? find(name) : NULL;

    if (!w)
        return false;
    switch (w->kind) {
    case WORD_INT:
        return take_bits(m);
    case WORD_GROUP:
        skip(m, " _-");
        if (starts(m, "size"))
            m->at += 4;
        return take_number(m, number) && SET(m, group, number);
    case WORD_SCHEME:
        return SET(m, scheme, w->ours);
    case WORD_RANK:
        return take_number(m, number) && SET(m, rank, number);
    case WORD_SCOPE:
        return SET(m, scope, w->ours) || !*w->ours;
    case WORD_UNITS:
        return take_units(m, w->ours);
    case WORD_SHARE:
        return take_named_share(m);
    default:
        return false;
    }
}

static bool read(meant *m)
{
    char number[S24I_WORD];
    static const char between[] = " \t+,;&_-()[]\"'";

    for (skip(m, between); *m->at; skip(m, between)) {
        if (is_digit(*m->at) ? !take(m, is_digit, number) || !take_after_number(m, number)
                             : !take_word(m))
            return false;
    }
    return true;
}

static void join(char out[S24I_CONSTRAINTS_TEXT], const char *before, const char *text)
{
    size_t used = strlen(out);

    if (*text)
        snprintf(out + used, S24I_CONSTRAINTS_TEXT - used, "%s%s%s",
                 used && *before != ' ' ? "+" : "", before, text);
}

bool s24i_constraints_meant(const char *text, char out[S24I_CONSTRAINTS_TEXT])
{
    meant m = {.at = text};

    *out = 0;
    if (!read(&m))
        return false;
    join(out, "", m.constraints);
    join(out, *m.sparsity ? m.scope : "", m.sparsity);
    join(out, "", m.units);
    join(out, "int", m.bits);
    join(out, " ", m.scheme);
    join(out, " g", m.group);
    join(out, "rank ", m.rank);
    return *out;
}
