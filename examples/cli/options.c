/* sparse24 options: every solver and option of this build, as a table or as the document
 * docs/options.md. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include <stdio.h>
#include <string.h>

typedef struct option {
    const char *name, *type, *range, *fallback, *help;
} option;

static bool read_option(const s24_solver *solver, int32_t index, option *o)
{
    static const char *const types[] = {"", "integer", "number", "text"};
    int32_t type = 0;
    s24_status status =
        s24_solver_option_info(solver, index, &o->name, &type, &o->range, &o->fallback, &o->help);
    o->type = type >= S24_OPT_INT && type <= S24_OPT_STR ? types[type] : "";
    return status == S24_OK;
}

static void print_facts(const char *solver)
{
    static const char *const keys[] = {"constraints", "cost", "paper", NULL};
    const char *title = s24_solver_fact(solver, "title");
    printf("%s: %s\n", solver, title ? title : "");
    for (const char *const *key = keys; *key; key++) {
        const char *fact = s24_solver_fact(solver, *key);
        if (fact && *fact)
            printf("  %-13s%s\n", *key, fact);
    }
}

static int wider(int width, const char *text)
{
    return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static void print_table(const s24_solver *solver)
{
    int name = 0, fallback = 7, range = 5;
    option o;
    for (int32_t i = 0; i < s24_solver_option_count(solver) && read_option(solver, i, &o); i++) {
        name = wider(name, o.name);
        fallback = wider(fallback, o.fallback);
        range = wider(range, o.range);
    }
    if (name)
        printf("  %-*s  %-7s  %-*s  %-*s  %s\n", name, "option", "type", fallback, "default", range,
               "range", "help");
    for (int32_t i = 0; i < s24_solver_option_count(solver) && read_option(solver, i, &o); i++)
        printf("  %-*s  %-7s  %-*s  %-*s  %s\n", name, o.name, o.type, fallback, o.fallback, range,
               o.range, o.help);
}

static bool print_solver(s24_ctx *ctx, const char *name)
{
    s24_solver *solver = NULL;
    if (s24_solver_create(ctx, name, &solver) != S24_OK)
        return fail_library("options");
    print_facts(name);
    print_table(solver);
    s24_solver_destroy(solver);
    return true;
}

/* One cell of a Markdown table: a bar inside would end it. */
static void print_cell(const char *text, bool code)
{
    fputs(code ? " `" : " ", stdout);
    for (; *text; text++)
        if (*text == '|')
            fputs("\\|", stdout);
        else
            putchar(*text);
    fputs(code ? "` |" : " |", stdout);
}

static void print_markdown_options(const s24_solver *solver)
{
    option o;
    int32_t count = s24_solver_option_count(solver);
    if (count)
        puts("\n| option | type | default | range | meaning |\n|---|---|---|---|---|");
    for (int32_t i = 0; i < count && read_option(solver, i, &o); i++) {
        putchar('|');
        print_cell(o.name, true);
        print_cell(o.type, false);
        print_cell(o.fallback, true);
        print_cell(o.range, false);
        print_cell(o.help, false);
        puts("");
    }
}

static bool print_markdown_solver(s24_ctx *ctx, const char *name)
{
    static const char *const keys[][2] = {
        {"constraints", "Constraints"}, {"cost", "Cost"}, {"paper", "Source"}};
    s24_solver *solver = NULL;
    if (s24_solver_create(ctx, name, &solver) != S24_OK)
        return fail_library("options");
    const char *title = s24_solver_fact(name, "title");
    printf("\n## %s\n\n%s\n", name, title ? title : "");
    for (int i = 0; i < 3; i++) {
        const char *fact = s24_solver_fact(name, keys[i][0]);
        if (fact && *fact)
            printf("\n%s: %s\n", keys[i][1], fact);
    }
    print_markdown_options(solver);
    s24_solver_destroy(solver);
    return true;
}

static bool print_all(s24_ctx *ctx, bool markdown)
{
    if (markdown)
        puts("# Options\n\nMade by `sparse24 options --markdown`: do not edit.");
    for (int32_t i = 0; i < s24_solver_count(); i++) {
        if (i && !markdown)
            puts("");
        if (!(markdown ? print_markdown_solver : print_solver)(ctx, s24_solver_name(i)))
            return false;
    }
    return true;
}

int run_options(const args *a)
{
    s24_ctx *ctx = NULL;
    if (a->markdown && a->operand)
        return wrong_usage("options", "options: --markdown prints all solvers, without a name");
    bool done = context_open(&ctx, a) &&
                (a->operand ? print_solver(ctx, a->operand) : print_all(ctx, a->markdown));
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
