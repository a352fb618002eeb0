#include "args_table.h"
#include "message.h"
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
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

/* Put one value where the table says. */
static bool assign(const option *o, const char *value, args *a)
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

/* "-h" is the one short option. */
static const option *find_word(const command *c, const char *word, const char **equals)
{
    const char *name = word[1] == '-' ? word + 2 : strcmp(word, "-h") ? "" : "help";
    *equals = strchr(name, '=');
    return args_find(c->bit, name, *equals ? (size_t)(*equals - name) : strlen(name));
}

static int unknown_option(const command *c, const char *word)
{
    const char **known = must(calloc((size_t)args_count + 1, sizeof *known)), *nearest;
    char *name = must(strdup(word + strspn(word, "-")));
    int count = 0;
    name[strcspn(name, "=")] = 0;
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->commands & c->bit)
            known[count++] = o->name;
    known[count] = NULL;
    nearest = text_nearest(name, known);
    bool elsewhere = !nearest && args_find(IN_ALL, name, strlen(name));
    free(name);
    free(known);
    return wrong_usage(c->name, "%s: unknown option %s%s%s%s", c->name, word,
                       nearest ? ", did you mean --" : "", nearest ? nearest : "",
                       elsewhere ? ", which other commands have" : "");
}

/* What a value must look like. */
static const char *wanted(const option *o)
{
    return o->kind == COUNT   ? "a whole number, 0 or more"
           : o->kind == BYTES ? "a number of bytes: 4096, 512Mi, 2G (K, M, G, T; Ki, Mi, Gi, Ti)"
           : o->kind == LIST  ? "it at most 16 times"
                              : o->value;
}

/* One option at argv[0], perhaps with its value at argv[1]. `used` receives how many words it
 * took. */
static int parse_option(const command *c, int argc, char **argv, args *a, uint64_t *seen, int *used)
{
    const char *equals;
    const option *o = find_word(c, argv[0], &equals);
    if (!o)
        return unknown_option(c, argv[0]);
    const char *value = equals ? equals + 1 : NULL;
    *used = 1;
    if (o->kind == FLAG && value)
        return wrong_usage(c->name, "%s: --%s takes no value", c->name, o->name);
    if (o->kind != FLAG && !value) {
        if (argc < 2 || !strncmp(argv[1], "--", 2))
            return wrong_usage(c->name, "%s: --%s needs a value, %s", c->name, o->name, o->value);
        value = argv[1];
        *used = 2;
    }
    uint64_t bit = UINT64_C(1) << (o - args_options);
    if (o->kind != FLAG && o->kind != LIST && *seen & bit)
        return wrong_usage(c->name, "%s: --%s is given twice", c->name, o->name);
    *seen |= bit;
    if (!assign(o, value, a))
        return wrong_usage(c->name, "%s: --%s %s: expected %s", c->name, o->name, value, wanted(o));
    return 0;
}

static int parse_operand(const command *c, const char *text, args *a)
{
    if (c->bit & IN_GENERATE && a->operand && !a->prompt) {
        a->prompt = text;
        return 0;
    }
    if (!c->operand || a->operand)
        return wrong_usage(c->name, "%s: unexpected argument %s", c->name, text);
    a->operand = text;
    return 0;
}

static int check_required(const command *c, const args *a, uint64_t seen)
{
    for (int i = 0; i < args_count; i++)
        if (args_options[i].required & c->bit && !(seen & UINT64_C(1) << i))
            return wrong_usage(c->name, "%s: --%s %s is required", c->name, args_options[i].name,
                               args_options[i].value);
    if (c->operand && *c->operand != '[' && !a->operand)
        return wrong_usage(c->name, "%s: %s is required", c->name, c->operand);
    if (c->bit & IN_BOTH && !a->constraints && !a->mask)
        return wrong_usage(c->name, "%s: --constraints or --mask is required", c->name);
    return 0;
}

int args_parse(const command *c, int argc, char **argv, args *a)
{
    a->heldout = 4;
    uint64_t seen = 0;
    for (int i = 0, used = 1; i < argc; i += used, used = 1) {
        int status = *argv[i] != '-' ? parse_operand(c, argv[i], a)
                                     : parse_option(c, argc - i, argv + i, a, &seen, &used);
        if (a->help)
            return 0;
        if (status)
            return status;
    }
    return check_required(c, a, seen);
}
