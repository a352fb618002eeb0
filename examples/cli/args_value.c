/* Values of options: numbers, words and lists from the text of the command line. */
#include "args_table.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_count(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && !*end && !errno && *value >= 0;
}

/* "4096", "4K" or "4k" (thousands), "4Ki" (1024s); a final B is allowed. */
static bool parse_bytes(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    const char *letters = "KMGT";
    const char *suffix = *end ? strchr(letters, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        double base = end[1] == 'i' ? 1024 : 1000;
        for (const char *s = letters; s <= suffix; s++)
            number *= base;
        end += end[1] == 'i' ? 2 : 1;
    }
    end += *end == 'B';
    if (end == text || *end || errno || !(number >= 1 && number < 9e18))
        return false;
    *value = (int64_t)number;
    return true;
}

static bool is_store(const char *text)
{
    return !strcmp(text, "f32") || !strcmp(text, "f16") || !strcmp(text, "bf16");
}

static bool add(args_list *l, const char *value)
{
    if (l->count == ARGS_LIST)
        return false;
    l->text[l->count++] = value;
    return true;
}

bool args_assign(const option *o, const char *value, args *a)
{
    void *field = (char *)a + o->offset;
    switch (o->kind) {
    case FLAG:
        return *(bool *)field = true;
    case COUNT:
        return parse_count(value, field);
    case BYTES:
        return parse_bytes(value, field);
    case STORE:
        if (!is_store(value))
            return false;
        /* fall through */
    case TEXT:
        *(const char **)field = value;
        return true;
    case LIST:
        return add(field, value);
    }
    return false;
}

const char *args_wanted(const option *o)
{
    return o->kind == COUNT   ? "a whole number, 0 or more"
           : o->kind == BYTES ? "a number of bytes: 4096, 512Mi, 2G (K, M, G, T; Ki, Mi, Gi, Ti)"
           : o->kind == LIST  ? "it at most 16 times"
                              : o->value;
}

const char *args_of_others(const char *name)
{
    static const char *const words[][2] = {
        {"dry-run", "plan"}, {"o", "out"},         {"output", "out"},
        {"quiet", "json"},   {"config", "recipe"}, {"sparsity", "constraints"},
        {"dtype", "store"},  {"dataset", "calib"}, {"j", "threads"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(name, words[i][0]))
            return words[i][1];
    return NULL;
}
