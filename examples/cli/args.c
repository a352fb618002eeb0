#include "args_table.h"
#include "message.h"
#include "recipe.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Which rows of the table were met. */
typedef struct marks {
    bool at[ARGS_MOST];
} marks;

/* Where words come from. */
typedef struct parser {
    const command *c;
    const char *where; /* for messages: the command, or a line of a recipe */
    args *a;
    marks seen;
} parser;

/* "-h" is the one short option. */
static const option *find_word(const command *c, const char *word, const char **equals)
{
    const char *name = word[1] == '-' ? word + 2 : strcmp(word, "-h") ? "" : "help";
    *equals = strchr(name, '=');
    return args_find(c->bit, name, *equals ? (size_t)(*equals - name) : strlen(name));
}

static int unknown_option(const parser *p, const char *word)
{
    const char **known = must(calloc((size_t)args_count + 1, sizeof *known));
    char *name = must(strdup(word + strspn(word, "-")));
    int count = 0;
    name[strcspn(name, "=")] = 0;
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->commands & p->c->bit)
            known[count++] = o->name;
    const char *meant = args_of_others(name);
    if (!meant || !args_find(p->c->bit, meant, strlen(meant)))
        meant = text_nearest(name, known);
    bool elsewhere = !meant && args_find(IN_ALL, name, strlen(name));
    free(name);
    free(known);
    return wrong_usage(p->c->name, "%s: unknown option %s%s%s%s", p->where, word,
                       meant ? ", did you mean --" : "", meant ? meant : "",
                       elsewhere ? ", which other commands have" : "");
}

/* One option at argv[0], perhaps with its value at argv[1]. `used` receives how many words it
 * took. */
static int parse_option(parser *p, int argc, char **argv, int *used)
{
    const char *equals, *name = p->c->name;
    const option *o = find_word(p->c, argv[0], &equals);
    if (!o)
        return unknown_option(p, argv[0]);
    const char *value = equals ? equals + 1 : NULL;
    *used = 1;
    if (o->kind == FLAG && value)
        return wrong_usage(name, "%s: --%s takes no value", p->where, o->name);
    if (o->kind != FLAG && !value) {
        if (argc < 2 || !strncmp(argv[1], "--", 2))
            return wrong_usage(name, "%s: --%s needs a value, %s", p->where, o->name, o->value);
        value = argv[1];
        *used = 2;
    }
    bool *seen = p->seen.at + (o - args_options);
    if (o->kind != FLAG && o->kind != LIST && *seen)
        return wrong_usage(name, "%s: --%s is given twice", p->where, o->name);
    *seen = true;
    if (!args_assign(o, value, p->a))
        return wrong_usage(name, "%s: --%s %s: expected %s", p->where, o->name, value,
                           args_wanted(o));
    return 0;
}

static int parse_operand(const parser *p, const char *text)
{
    if (p->c->bit & IN_GENERATE && p->a->operand && !p->a->prompt) {
        p->a->prompt = text;
        return 0;
    }
    if (p->c->bit & IN_SOUP && p->a->operand && p->a->more_count < ARGS_MORE) {
        p->a->more[p->a->more_count++] = text;
        return 0;
    }
    if (!p->c->operand || p->a->operand)
        return wrong_usage(p->c->name, "%s: unexpected argument %s", p->where, text);
    p->a->operand = text;
    return 0;
}

static int parse(parser *p, int argc, char **argv)
{
    int status = 0;
    for (int i = 0, used = 1; !status && !p->a->help && i < argc; i += used, used = 1)
        status = *argv[i] != '-' ? parse_operand(p, argv[i])
                                 : parse_option(p, argc - i, argv + i, &used);
    return p->a->help ? 0 : status;
}

/* What lacks (constraints may come from rules alone), joined by commas; returns how many that are. */
static int list_missing(const parser *p, char *list, size_t size)
{
    const command *c = p->c;
    size_t used = 0;
    int count = 0;
    *list = 0;
    if (c->operand && *c->operand != '[' && !p->a->operand) {
        used += (size_t)snprintf(list, size, "%s", c->operand);
        count++;
    }
    for (int i = 0; i < args_count && used < size; i++)
        if (args_options[i].required & c->bit && !p->seen.at[i] &&
            !(p->a->rules.count && !strcmp(args_options[i].name, "constraints")))
            used += (size_t)snprintf(list + used, size - used, "%s--%s %s", count++ ? ", " : "",
                                     args_options[i].name, args_options[i].value);
    return count;
}

static int check_required(const parser *p)
{
    const command *c = p->c;
    char list[300];
    int count = list_missing(p, list, sizeof list);
    if (count)
        return wrong_usage(c->name, "%s: %s %s required", c->name, list, count > 1 ? "are" : "is");
    if (c->bit & IN_BOTH && !p->a->constraints && !p->a->mask)
        return wrong_usage(c->name, "%s: --constraints or --mask is required", c->name);
    return 0;
}

static args defaults(void)
{
    return (args){.heldout = 4};
}

/* A line at a time; *seen: what is there. */
static int parse_recipe(const command *c, const recipe *r, args *a, marks *seen)
{
    parser p = {.c = c, .a = a};
    int status = 0;
    for (int i = 0; !status && i < r->count; i++) {
        const recipe_line *line = r->lines + i;
        bool operand = c->operand && !strcasecmp(line->words[0] + 2, c->operand);
        p.where = line->where;
        if (!strcmp(line->words[0], "--recipe") || !strcmp(line->words[0], "--help"))
            status =
                wrong_usage(c->name, "%s: %s has no place in a recipe", p.where, line->words[0]);
        else
            status = operand ? parse_operand(&p, line->words[1] ? line->words[1] : "")
                             : parse(&p, line->words[1] ? 2 : 1, (char **)line->words);
    }
    *seen = p.seen;
    return status;
}

/* The command line once more, over what the recipe says. */
static int parse_over_recipe(parser *p, int argc, char **argv)
{
    const char *path = p->a->recipe;
    args given = defaults();
    marks seen;
    recipe *r = recipe_open(path);
    if (!r)
        return FAILED;
    given.read = r;
    int status = parse_recipe(p->c, r, &given, &seen);
    if (p->a->operand)
        given.operand = NULL;
    if (p->a->calibs.count) /* of these there are two kinds at most */
        given.calibs.count = 0;
    p->seen = (marks){0};
    *p->a = given;
    status = status ? status : parse(p, argc, argv);
    for (int i = 0; i < args_count; i++)
        p->seen.at[i] |= seen.at[i];
    return status;
}

int args_parse(const command *c, int argc, char **argv, args *a)
{
    parser p = {.c = c, .where = c->name, .a = a};
    *a = defaults();
    int status = parse(&p, argc, argv);
    if (!status && !a->help && a->recipe)
        status = parse_over_recipe(&p, argc, argv);
    return status || a->help ? status : check_required(&p);
}

void args_close(args *a)
{
    recipe_close(a->read);
    a->read = NULL;
}
