#include "compression.h"
#include "effort.h"
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT, WORD, COUNT, SHARE, WORDS = 12 };

typedef struct option {
    const char *name;
    size_t offset;
    int32_t kind;
    const char *fallback, *range, *help;
    const char *words[WORDS]; /* the value is the index of one */
} option;

#define FIELD(name) #name, offsetof(struct s24_compression, name)

static const option options[] = {
    {FIELD(effort),
     WORD,
     "default",
     "fast, default or best",
     "sets own, refine and the solvers' preset together; what is set after it wins",
     {"fast", "default", "best"}},
    {FIELD(constraints),
     TEXT,
     "",
     "constraints",
     "what every matrix has to obey: \"2:4\", \"int4 g128\"",
     {NULL}},
    {FIELD(solver),
     TEXT,
     "",
     "a solver's name",
     "method; without a name the best that honours a matrix' constraints",
     {NULL}},
    {FIELD(options), TEXT, "", "K=V,...", "options of the solver", {NULL}},
    {FIELD(correct),
     SHARE,
     "0.5",
     "a number from 0 to 1",
     "share of the dense model's outputs in what is aimed at",
     {NULL}},
    {FIELD(store),
     WORD,
     "",
     "f32, f16, bf16, q4_0, q4_1 or q8_0",
     "type of the written matrices; without one each its own; q4_0, q4_1, q8_0: the codes of a "
     "grid as types of GGUF",
     {"", "f32", "f16", "bf16", "q4_0", "q4_1", "q8_0"}},
    {FIELD(format),
     WORD,
     "",
     "gguf, dense, pack-quantized, pack-quantized-all, gptq, gptq-v2, sparse-24-bitmask, s24 or "
     "adapter",
     "what is written; without one the source's format, codes and factors beside it",
     {"", "gguf", "dense", "pack-quantized", "pack-quantized-all", "gptq", "gptq-v2",
      "sparse-24-bitmask", "s24", "adapter"}},
    {FIELD(activations),
     WORD,
     "ram",
     "ram, half or disk",
     "keep activations in memory, as 16-bit floats, or in a file",
     {"ram", "half", "disk"}},
    {FIELD(heldout),
     COUNT,
     "4",
     "a number of rows",
     "rows of the first evaluation whose errors are measured too",
     {NULL}},
    {FIELD(memory_limit),
     COUNT,
     "0",
     "a number of bytes",
     "memory that all of it may take; 0: no limit",
     {NULL}},
    {FIELD(recipe),
     TEXT,
     "",
     "lines",
     "what was asked, to be written beside the model as recipe.txt",
     {NULL}},
    {FIELD(own),
     TEXT,
     "auto",
     "auto, ROWS or ROWS*WEIGHT",
     "rows that the model writes for its own calibration; auto: 16 sqrt(rows given)*0.25",
     {NULL}},
    {FIELD(own_length),
     COUNT,
     "0",
     "a number of tokens",
     "length of those rows if no others are given; 0: that of the first evaluation, or 512",
     {NULL}},
    {FIELD(chat_start),
     TEXT,
     "",
     "ids, 1,2,3",
     "what half of those rows begin with: a conversation's start",
     {NULL}},
    {FIELD(open_start),
     TEXT,
     "",
     "ids, 1,2,3",
     "what the others begin with; without it as the model's metadata say",
     {NULL}},
    {FIELD(importance),
     TEXT,
     "",
     "FILE or FILE:NORM",
     "scores of weights, for solvers that rank by them: norms of gradients, or tensors called as "
     "the matrices are",
     {NULL}},
    {FIELD(permute),
     WORD,
     "inner",
     "inner or none",
     "for n:m patterns, move channels inside each block so that less is lost",
     {"inner", "none"}},
    {FIELD(refine),
     WORD,
     "none",
     "none, block or model",
     "train the kept weights and norms of each block together, once it is solved; model: then "
     "those of all blocks",
     {"none", "block", "model"}},
    {FIELD(refine_rate),
     SHARE,
     "0.002",
     "a number from 0 to 1",
     "step of that training, relative to the root mean square of each matrix' weights",
     {NULL}},
    {FIELD(refine_epochs),
     COUNT,
     "0",
     "a number of passes",
     "of that training over the rows; 0: 6, or 4 over more than 256 rows",
     {NULL}},
    {FIELD(tune_rate),
     SHARE,
     "0.004",
     "a number from 0 to 1",
     "step of the training of all blocks, relative to the size of each matrix' weights",
     {NULL}},
    {FIELD(tune_epochs),
     COUNT,
     "0",
     "a number of passes",
     "of that training over the rows; 0: 6, or 4 over more than 256 rows",
     {NULL}},
    {FIELD(seed), COUNT, "0", "a whole number", "of the random numbers", {NULL}},
    {FIELD(resume), COUNT, "0", "0 or 1", "go on with a run that was stopped", {NULL}},
};
enum { OPTIONS = sizeof options / sizeof *options };

static const option *find(const char *name)
{
    for (const option *o = options; name && o < options + OPTIONS; o++)
        if (!strcmp(o->name, name))
            return o;
    s24m_fail(S24_E_OPTION, "a compression has no option %s", name ? name : "NULL");
    return NULL;
}

static void *field(s24_compression *c, const option *o)
{
    return (char *)c + o->offset;
}

/* As the program's command line calls it. */
static bool expected(const option *o, const char *value)
{
    char name[32];
    snprintf(name, sizeof name, "%s", o->name);
    for (char *s = name; *s; s++)
        *s = *s == '_' ? '-' : *s;
    return s24m_wrong(S24_E_OPTION, "--%s %s: expected %s", name, value, o->range);
}

static bool set_text(s24_compression *c, const option *o, const char *value)
{
    char **text = field(c, o), *copy = s24m_have(strdup(value));
    if (!copy)
        return false;
    free(*text);
    *text = copy;
    return true;
}

static bool set_word(s24_compression *c, const option *o, const char *value)
{
    for (int64_t i = 0; i < WORDS && o->words[i]; i++)
        if (!strcmp(o->words[i], value)) {
            *(int64_t *)field(c, o) = i;
            return strcmp(o->name, "effort") != 0 || s24m_effort_take(c);
        }
    return expected(o, value);
}

static bool set_number(s24_compression *c, const option *o, double value, const char *text)
{
    double most = o->kind == SHARE ? 1 : !strcmp(o->name, "resume") ? 1 : 9e18;
    if (!(value >= 0 && value <= most) || (o->kind == COUNT && value != rint(value)))
        return expected(o, text);
    if (o->kind == SHARE)
        *(double *)field(c, o) = value;
    else
        *(int64_t *)field(c, o) = (int64_t)value;
    return true;
}

/* From text, whatever the option is. */
static bool set(s24_compression *c, const option *o, const char *value)
{
    char *end;
    if (o->kind == TEXT)
        return set_text(c, o, value);
    if (o->kind == WORD)
        return set_word(c, o, value);
    double number = strtod(value, &end);
    return end != value && !*end ? set_number(c, o, number, value) : expected(o, value);
}

bool s24m_compression_reset(s24_compression *c)
{
    bool done = true;
    for (const option *o = options; done && o < options + OPTIONS; o++)
        done = set(c, o, o->fallback);
    return done;
}

void s24m_compression_words(const s24_compression *c, const char **store, const char **format)
{
    *store = find("store")->words[c->store];
    *format = find("format")->words[c->format];
}

/* ---- For hosts ---- */

s24_status s24_compression_set_str(s24_compression *c, const char *name, const char *value)
{
    const option *o = NULL;
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    bool done =
        (o = find(name)) && (value || s24m_wrong(S24_E_ARG, "%s: value is NULL", name)) &&
        (o->kind == TEXT || o->kind == WORD ? set(c, o, value)
                                            : s24m_wrong(S24_E_OPTION, "%s is no text", name));
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_set_float(s24_compression *c, const char *name, double value)
{
    char text[40];
    const option *o = NULL;
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    snprintf(text, sizeof text, "%.17g", value);
    bool done = (o = find(name)) && (o->kind == SHARE || o->kind == COUNT
                                         ? set_number(c, o, value, text)
                                         : s24m_wrong(S24_E_OPTION, "%s is no number", name));
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_set_int(s24_compression *c, const char *name, int64_t value)
{
    return s24_compression_set_float(c, name, (double)value);
}

/* The end of a value, which may stand in brackets. */
static const char *value_end(const char *s)
{
    int depth = 0;
    for (; *s && (depth || *s != ','); s++)
        depth += (*s == '[') - (*s == ']');
    return s;
}

static bool assign(s24_compression *c, const char *text, const char *end)
{
    char name[32];
    const char *equals = memchr(text, '=', (size_t)(end - text));
    if (!equals || equals - text >= (ptrdiff_t)sizeof name)
        return s24m_wrong(S24_E_OPTION, "%.*s: expected NAME=VALUE", (int)(end - text), text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    const char *from = equals + 1;
    if (*from == '[' && end > from + 1 && end[-1] == ']')
        from++, end--;
    char *value = s24m_have(strndup(from, (size_t)(end - from)));
    const option *o = value ? find(name) : NULL;
    bool done = o && set(c, o, value);
    free(value);
    return done;
}

s24_status s24_compression_parse(s24_compression *c, const char *assignments)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    bool done = true;
    for (const char *s = assignments, *end; done && s && *s; s = end + (*end == ',')) {
        end = value_end(s);
        done = assign(c, s, end);
    }
    s24m_leave(c->handle);
    return s24m_status(done);
}

/* With as few digits as give the same number. */
static void tell_number(char *text, size_t size, double value)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

s24_status s24_compression_get(s24_compression *c, const char *name, const char **value)
{
    const option *o = NULL;
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    bool done = (value || s24m_wrong(S24_E_ARG, "value is NULL")) && (o = find(name));
    if (done && o->kind == SHARE)
        tell_number(c->told, sizeof c->told, *(double *)field(c, o));
    else if (done && o->kind == COUNT)
        snprintf(c->told, sizeof c->told, "%" PRId64, *(int64_t *)field(c, o));
    if (done)
        *value = o->kind == TEXT   ? *(char **)field(c, o)
                 : o->kind == WORD ? o->words[*(int64_t *)field(c, o)]
                                   : c->told;
    s24m_leave(c->handle);
    return s24m_status(done);
}

s24_status s24_compression_option_info(int32_t index, const char **name, const char **range,
                                       const char **default_value, const char **help)
{
    if (index < 0 || index >= OPTIONS)
        return s24m_fail(S24_E_ARG, "a compression has %d options", (int)OPTIONS);
    const option *o = options + index;
    if (name)
        *name = o->name;
    if (range)
        *range = o->range;
    if (default_value)
        *default_value = o->fallback;
    if (help)
        *help = o->help;
    return S24_OK;
}
