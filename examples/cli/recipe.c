#include "recipe.h"
#include "args_table.h"
#include "message.h"
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading ---- */

enum { LONGEST = 1 << 16 };

/* Without blanks around it, in place. */
static char *trimmed(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = 0;
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* Behind the name: a blank, an equals sign, or nothing. */
static char *value_of(char *name_end)
{
    char *value = name_end + strspn(name_end, " \t");
    if (*value == '=')
        value++;
    *name_end = 0;
    value = trimmed(value);
    size_t length = strlen(value);
    if (length < 2 || *value != '"' || value[length - 1] != '"')
        return *value ? value : NULL;
    value[length - 1] = 0;
    return value + 1;
}

static void add_line(recipe *r, const char *path, int number, char *text)
{
    recipe_line *line;
    char *name = text + strspn(text, "-"), *value = value_of(name + strcspn(name, "= \t"));
    r->lines = must(realloc(r->lines, (size_t)(r->count + 1) * sizeof *r->lines));
    line = r->lines + r->count++;
    *line = (recipe_line){0};
    if (asprintf(&line->words[0], "--%s", name) < 0 ||
        asprintf(&line->where, "%s, line %d", path, number) < 0)
        must(NULL);
    line->words[1] = value ? must(strdup(value)) : NULL;
}

/* A text whose lines are of a length that options have. */
static bool read_lines(recipe *r, FILE *file, const char *path)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    bool done = true;
    for (int number = 1; done && (length = getline(&text, &room, file)) > 0; number++) {
        done = (length < LONGEST && strlen(text) == (size_t)length) ||
               fail("--recipe %s: line %d is no line of a text", path, number);
        char *line = done ? trimmed(text) : text;
        if (done && *line && *line != '#')
            add_line(r, path, number, line);
    }
    free(text);
    return done && (!ferror(file) || fail("--recipe %s: %s", path, strerror(errno)));
}

recipe *recipe_open(const char *path)
{
    recipe *r = must(calloc(1, sizeof *r));
    FILE *file = fopen(path, "r");
    bool done =
        (file || fail("--recipe %s: %s", path, strerror(errno))) && read_lines(r, file, path);
    if (file)
        fclose(file);
    if (done)
        return r;
    recipe_close(r);
    return NULL;
}

void recipe_close(recipe *r)
{
    for (int i = 0; r && i < r->count; i++) {
        free(r->lines[i].words[0]);
        free(r->lines[i].words[1]);
        free(r->lines[i].where);
    }
    free(r ? r->lines : NULL);
    free(r);
}

/* ---- Writing ---- */

/* What decides nothing about what is made: where it goes, how it is done, what is told. */
static bool is_aside(const char *name)
{
    static const char *const names[] = {"out",    "threads", "memory-limit", "plan",     "recipe",
                                        "resume", "report",  "json",         "progress", "help"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void put(FILE *out, const char *name, const char *value)
{
    size_t length = strlen(value);
    bool quoted = !length || isspace((unsigned char)*value) || *value == '"' ||
                  isspace((unsigned char)value[length - 1]);
    if (strpbrk(value, "\n\r"))
        fprintf(out, "# %s: its value has a line break, which no recipe can hold\n", name);
    else
        fprintf(out, "%s %s%s%s\n", name, quoted ? "\"" : "", value, quoted ? "\"" : "");
}

static void put_option(FILE *out, const option *o, const args *a, const char *fallback)
{
    const void *field = (const char *)a + o->offset;
    const args_list *list = field;
    switch (o->kind) {
    case FLAG:
        if (*(const bool *)field)
            fprintf(out, "%s\n", o->name);
        return;
    case COUNT:
    case BYTES:
        if (*(const int64_t *)field)
            fprintf(out, "%s %" PRId64 "\n", o->name, *(const int64_t *)field);
        else if (fallback)
            put(out, o->name, fallback);
        return;
    case LIST:
        for (int i = 0; i < list->count; i++)
            put(out, o->name, list->text[i]);
        return;
    default:
        if (*(const char *const *)field || fallback)
            put(out, o->name, *(const char *const *)field ? *(const char *const *)field : fallback);
    }
}

char *recipe_text(const command *c, const args *a, recipe_default fallback, void *arg)
{
    char *text = NULL, operand[32] = "";
    size_t size;
    FILE *out = must(open_memstream(&text, &size));
    for (size_t i = 0; c->operand && c->operand[i] && i < sizeof operand - 1; i++)
        operand[i] = (char)tolower((unsigned char)c->operand[i]);
    if (a->operand)
        put(out, operand, a->operand);
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->commands & c->bit && !is_aside(o->name))
            put_option(out, o, a, fallback(arg, o->name));
    must(fclose(out) ? NULL : text);
    return text;
}
