#include "forms.h"
#include "fail.h"
#include <stdio.h>
#include <string.h>

enum {
    UP_TO_4 = 1 << 2 | 1 << 3 | 1 << 4,
    UP_TO_8 = UP_TO_4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8,
    POWERS = 1 << 2 | 1 << 4 | 1 << 8,
    ASYM = 1 << SCHEME_ASYM,
    SYM = 1 << SCHEME_SYM,
    REAL = 1 << SCHEME_REAL
};

/* Those of codes first in the order in which a form of several layouts takes them. */
static const form forms[] = {
    {"--store q4_0", "q4_0", "Q4_0", HOLDER_GGUF, BESIDE_NOTHING, UP_TO_4, SYM, 4, .group = 32},
    {"--store q4_1", "q4_1", "Q4_1", HOLDER_GGUF, BESIDE_NOTHING, UP_TO_4, REAL, 4, .group = 32,
     .no_zero = true},
    {"--store q8_0", "q8_0", "Q8_0", HOLDER_GGUF, BESIDE_NOTHING, UP_TO_8, SYM, 8, .group = 32},
    {"--format pack-quantized", "pack-quantized", NULL, HOLDER_FOLDER, BESIDE_NOTHING, UP_TO_8,
     ASYM | SYM, 4, .group = 0},
    {"--format gptq-v2", "gptq-v2", NULL, HOLDER_FOLDER, BESIDE_NOTHING, UP_TO_8, ASYM | SYM, 4,
     .one_grid = true},
    {"--format gptq", "gptq-v1", NULL, HOLDER_FOLDER, BESIDE_NOTHING, POWERS, SYM, 4,
     .one_grid = true},
    {"--format pack-quantized-all", "pack-quantized", NULL, HOLDER_FOLDER, BESIDE_NOTHING, UP_TO_8,
     ASYM | SYM, 4, .tables = true},
    {.option = "--format sparse-24-bitmask",
     .layout = "sparse-24-bitmask",
     .holder = HOLDER_FOLDER},
    {.option = "--format s24", .holder = HOLDER_S24},
    {.option = "--format dense", .holder = HOLDER_SOURCE},
    {.option = "--format adapter", .holder = HOLDER_FOLDER, .beside = BESIDE_FACTORS},
    {.option = "--format gguf", .holder = HOLDER_GGUF, .beside = BESIDE_PARTS},
    {.option = "", .holder = HOLDER_SOURCE, .beside = BESIDE_PARTS},
};
enum { FORMS = sizeof forms / sizeof *forms, OWN_LAYOUTS = 5 };

/* Where an execution layout of 2:4 is to be chosen. */
#define HALVES "ri16x32"

#define FORMAT "--format "

static const form *find(const char *option, const char *word)
{
    size_t length = strlen(option);
    for (const form *f = forms; f < forms + FORMS; f++)
        if (!strncmp(f->option, option, length) && !strcmp(f->option + length, word))
            return f;
    return NULL;
}

static const form *find_format(const char *word)
{
    char all[200] = "";
    const form *f = *word ? find(FORMAT, word) : forms + FORMS - 1;
    if (f)
        return f;
    for (f = forms; f < forms + FORMS; f++)
        if (!strncmp(f->option, FORMAT, sizeof FORMAT - 1))
            strcat(strcat(all, *all ? ", " : ""), f->option + sizeof FORMAT - 1);
    s24m_wrong(S24_E_OPTION, FORMAT "%.40s: expected one of %s", word, all);
    return NULL;
}

const form *s24m_form_find(const char *store, const char *format)
{
    const form *stored = *store ? find("--store ", store) : NULL;
    const form *f = find_format(format);
    if (!f)
        return NULL;
    if (stored && (!f->layout && f->holder != HOLDER_S24 && f->beside == BESIDE_PARTS))
        return stored;
    if (stored || (*store && f->bits)) {
        s24m_wrong(S24_E_OPTION,
                   "--store %s with --format %s: the format says how matrices are stored: leave "
                   "one of them out",
                   store, format);
        return NULL;
    }
    return f;
}

bool s24m_form_has_codes(const form *f, const char *constraints)
{
    terms t = s24m_terms(constraints);
    return f->bits || (f->holder == HOLDER_S24 && t.bits && !t.rank);
}

const char *s24m_form_stored(const form *f, const char *constraints)
{
    terms t = s24m_terms(constraints);
    return f->type ? f->type : s24m_form_layout(f, &t);
}

const char *s24m_form_stored_as(const form *f, const char *constraints, bool whole)
{
    return whole || f->holder != HOLDER_S24 ? s24m_form_stored(f, constraints) : NULL;
}

/* ---- What it holds ---- */

static bool holds_grid(const form *f, const terms *t, int64_t cols)
{
    int64_t group = t->group && t->group < cols ? t->group : cols;
    return f->bits >> t->bits & 1 && f->schemes >> t->scheme & 1 &&
           (!f->group || f->group == group) && !(f->no_zero && (t->kept || t->sparsity));
}

/* The first form of codes that has the grid. */
static const form *own_layout(const terms *t, int64_t cols)
{
    for (const form *f = forms; f < forms + OWN_LAYOUTS; f++)
        if (holds_grid(f, t, cols))
            return f;
    return NULL;
}

const char *s24m_form_layout(const form *f, const terms *t)
{
    if (f->layout || f->holder != HOLDER_S24)
        return f->layout;
    if (t->rank)
        return NULL;
    if (t->bits) {
        const form *own = own_layout(t, INT64_MAX);
        return own ? own->layout : NULL;
    }
    return t->kept == 2 && t->of == 4 ? HALVES : NULL;
}

/* ---- What it does not hold ---- */

/* Constraints without their grid and rank: "2:4+", "row 50%+", "". */
static void other_terms(const char *constraints, char out[64])
{
    size_t used = 0;
    for (const char *term = constraints; *term;) {
        size_t length = strcspn(term, "+");
        if (strncmp(term, "int", 3) && strncmp(term, "rank", 4) && used + length + 2 < 64)
            used += (size_t)snprintf(out + used, 64 - used, "%.*s+", (int)length, term);
        term += length + (term[length] == '+');
    }
    out[used] = 0;
}

static int32_t nearest_bits(const form *f, int32_t bits)
{
    if (!bits)
        return f->usual;
    for (int32_t away = 0; away < 8; away++)
        for (int sign = 1; sign >= -1; sign -= 2)
            if (bits + sign * away >= 0 && f->bits >> (bits + sign * away) & 1)
                return bits + sign * away;
    return f->usual;
}

/* "2:4+int4 sym g32", of the grid alone. */
static void advise(const form *f, const terms *t, const char *constraints, char out[128])
{
    static const char *const words[] = {"", " sym", " real"};
    char before[64], group[32] = "";
    int32_t scheme = SCHEME_ASYM;
    int64_t size = f->group ? f->group : t->group;
    other_terms(constraints, before);
    while (!(f->schemes >> scheme & 1))
        scheme++;
    scheme = f->schemes >> t->scheme & 1 ? t->scheme : scheme;
    if (size)
        snprintf(group, sizeof group, " g%lld", (long long)size);
    snprintf(out, 128, "%sint%d%s%s", before, nearest_bits(f, t->bits), words[scheme], group);
}

static bool refuse(const form *f, const char *tensor, const char *constraints, const char *what,
                   const char *instead)
{
    return s24m_wrong(S24_E_UNSUPPORTED, "%s: %s cannot hold \"%s\": %s: ask for \"%s\"", tensor,
                      f->option, constraints, what, instead);
}

/* Of a form of one layout of codes, or for matrices on a grid. */
static bool check_grid(const form *f, const char *tensor, const char *constraints, const terms *t,
                       int64_t cols)
{
    char instead[128];
    advise(f, t, constraints, instead);
    if (!t->bits)
        return refuse(f, tensor, constraints, "it holds codes of a grid", instead);
    if (f->no_zero && (t->kept || t->sparsity)) {
        advise(forms, t, constraints, instead);
        return refuse(f, tensor, constraints,
                      "it has no code for a pruned weight; --store q4_0 has", instead);
    }
    if (!(f->bits >> t->bits & 1))
        return refuse(f, tensor, constraints, "its codes have other bits", instead);
    if (!(f->schemes >> t->scheme & 1))
        return refuse(f, tensor, constraints,
                      f->schemes == REAL  ? "its zeros are real numbers"
                      : f->schemes == SYM ? "its zero is in the middle"
                                          : "its zeros are integers",
                      instead);
    return holds_grid(f, t, cols) ||
           refuse(f, tensor, constraints, "a scale of its belongs to 32 columns", instead);
}

static bool check_shape(const form *f, const char *tensor, const terms *t, int64_t rows,
                        int64_t cols)
{
    int64_t group = t->group && t->group < cols ? t->group : cols, each = 0, fits = group;
    if (f->group)
        each = f->group;
    else if (!strncmp(f->layout, "gptq", 4))
        each = 32 / (t->bits <= 2 ? 2 : t->bits <= 4 ? 4 : 8);
    while (!each && cols % fits)
        fits--;
    if (fits < group)
        return s24m_wrong(S24_E_SHAPE,
                          "%s: %s has groups of one size, and %lld columns are no multiple of "
                          "%lld: ask for g%lld",
                          tensor, f->option, (long long)cols, (long long)group, (long long)fits);
    if (!each || (cols % each == 0 && (f->group || rows % each == 0)))
        return true;
    return s24m_wrong(S24_E_SHAPE,
                      "%s: %s takes %s in multiples of %lld, and the matrix is %lld x %lld", tensor,
                      f->option, f->group ? "columns" : "rows and columns", (long long)each,
                      (long long)rows, (long long)cols);
}

/* A layout for each matrix. */
static bool check_own(const form *f, const char *tensor, const char *constraints, const terms *t,
                      int64_t rows, int64_t cols)
{
    const form *own = t->bits && !t->rank ? own_layout(t, cols) : NULL;
    if (!t->bits || t->rank)
        return true;
    return own ? check_shape(own, tensor, t, rows, cols)
               : refuse(f, tensor, constraints, "no layout has such a grid", "int4 sym g32");
}

bool s24m_form_check(const form *f, const char *tensor, const char *constraints, int64_t rows,
                     int64_t cols)
{
    terms t = s24m_terms(constraints);
    char before[64];
    if (f->holder == HOLDER_S24)
        return check_own(f, tensor, constraints, &t, rows, cols);
    if (!f->layout)
        return true;
    if (t.rank)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: %s cannot hold \"%s\": it has no place for the factors of a rank: "
                          "ask for --format adapter",
                          tensor, f->option, constraints);
    if (f->bits)
        return check_grid(f, tensor, constraints, &t, cols) &&
               check_shape(f, tensor, &t, rows, cols);
    other_terms(constraints, before);
    return (t.kept == 2 && t.of == 4 && !t.bits) ||
           refuse(f, tensor, constraints, "it holds 2 of each 4 weights, as floats", "2:4");
}

bool s24m_form_check_type(const form *f, const char *tensor, const char *type)
{
    static const char *const blocks[] = {"Q4_0", "Q4_1", "Q8_0"};
    bool held = f->holder != HOLDER_S24 || (*type != 'Q' && strncmp(type, "IQ", 2) &&
                                            strncmp(type, "TQ", 2) && strcmp(type, "MXFP4"));
    for (int i = 0; i < 3; i++)
        held |= !strcmp(type, blocks[i]);
    return held || s24m_wrong(S24_E_UNSUPPORTED,
                              "%s: %s cannot hold type %s: take a model in which it is F32, F16, "
                              "BF16, Q4_0, Q4_1 or Q8_0",
                              tensor, f->option, type);
}

/* ---- Sizes ---- */

uint64_t s24m_form_bytes(const form *f, const terms *t, int64_t rows, int64_t cols)
{
    const char *layout = s24m_form_layout(f, t);
    uint64_t size = (uint64_t)(rows * cols);
    if (!layout)
        return 0;
    if (!t->bits)
        return size + size / 8; /* half of 16 bits each, and their places */
    bool wide = t->bits > 4 || !strcmp(layout, "q8_0"), gptq = !strncmp(layout, "gptq", 4);
    int64_t group = t->group && t->group < cols ? t->group : cols;
    bool zeros = !strcmp(layout, "q4_1") || gptq || t->scheme == SCHEME_ASYM;
    return size / (wide ? 1 : 2) + (uint64_t)rows * (uint64_t)(cols / group) * (zeros ? 4 : 2);
}
