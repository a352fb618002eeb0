/* sparse24 completion: what a shell needs to complete command lines, from the tables that also parse
 * them. */
#include "args_table.h"
#include "commands.h"
#include "message.h"
#include <sparse24/sparse24.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- What a value may be ---- */

/* "f32|f16|bf16" lists words itself. */
static bool is_list(const char *value)
{
    if (!strchr(value, '|'))
        return false;
    for (const char *s = value; *s; s++)
        if (isupper((unsigned char)*s) || *s == '[' || *s == '.')
            return false;
    return true;
}

/* Print the words that a value can be, one blank behind each; false: they cannot be listed. */
static bool put_words(const char *value)
{
    const char *layouts = s24_build_info("layouts");
    bool solver = !strcmp(value, "NAME") || !strcmp(value, "[SOLVER]");
    if (is_list(value) || (!strcmp(value, "LAYOUT") && layouts)) {
        for (const char *s = is_list(value) ? value : layouts; *s; s++)
            putchar(*s == '|' || *s == ',' ? ' ' : *s);
        return true;
    }
    for (int32_t i = 0; solver && i < s24_solver_count(); i++)
        printf("%s%s", i ? " " : "", s24_solver_name(i));
    return solver;
}

static bool is_path(const char *value)
{
    return strstr(value, "FILE") || strstr(value, "MODEL") || strstr(value, "FOLDER");
}

static void put_commands(void)
{
    for (int i = 0; i < command_count; i++)
        printf("%s ", commands[i].name);
    printf("help");
}

/* ---- bash ---- */

/* After "compress --store " its words, after what takes a path files. */
static void put_bash_values(const command *c)
{
    for (const option *o = args_options; o < args_options + args_count; o++) {
        if (!(o->commands & c->bit) || o->kind == FLAG)
            continue;
        printf("    *' %s --%s') ", c->name, o->name);
        if (is_path(o->value)) {
            puts("files=yes ;;");
            continue;
        }
        printf("words='");
        put_words(o->value);
        puts("' ;;");
    }
}

static void put_bash_command(const command *c)
{
    put_bash_values(c);
    printf("    *' %s '*) words='", c->name);
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->commands & c->bit)
            printf("--%s ", o->name);
    if (c->operand && !is_path(c->operand))
        put_words(c->operand);
    printf("'%s ;;\n", c->operand && is_path(c->operand) ? " files=yes" : "");
}

static void put_bash(void)
{
    puts("# Completion of sparse24 for bash: eval \"$(sparse24 completion bash)\"\n"
         "_sparse24()\n{\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "    local words='' files=''\n"
         "    case \"$COMP_CWORD ${COMP_WORDS[1]} $before\" in");
    printf("    '1 '* | *' help help') words='");
    put_commands();
    puts("' ;;");
    for (int i = 0; i < command_count; i++)
        put_bash_command(commands + i);
    puts("    esac\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "    [ -z \"$files\" ] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "
         "\"$word\")\n"
         "}\n"
         "complete -o filenames -F _sparse24 sparse24");
}

/* ---- zsh ---- */

/* Inside '...[...]': neither quotes nor brackets nor colons as they are. */
static void put_escaped(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr("[]:\\", *text))
            putchar('\\');
        putchar(*text);
    }
}

static void put_zsh_value(const char *value)
{
    putchar(':');
    put_escaped(value);
    putchar(':');
    if (is_path(value)) {
        fputs("_files", stdout);
        return;
    }
    putchar('(');
    put_words(value);
    putchar(')');
}

static void put_zsh_command(const command *c)
{
    printf("    %s) _arguments", c->name);
    for (const option *o = args_options; o < args_options + args_count; o++) {
        if (!(o->commands & c->bit))
            continue;
        printf(" \\\n        '%s--%s%s[", o->kind == LIST ? "*" : "", o->name,
               o->kind == FLAG ? "" : "=");
        put_escaped(o->help);
        putchar(']');
        if (o->kind != FLAG)
            put_zsh_value(o->value);
        putchar('\'');
    }
    if (c->operand) {
        fputs(" \\\n        '1", stdout);
        put_zsh_value(c->operand);
        putchar('\'');
    }
    puts(" ;;");
}

static void put_zsh(void)
{
    puts("#compdef sparse24\n"
         "# Completion of sparse24 for zsh: sparse24 completion zsh >_sparse24, in a folder of "
         "fpath\n"
         "_sparse24()\n{\n"
         "    if ((CURRENT == 2)); then\n"
         "        local -a all=(");
    for (int i = 0; i < command_count; i++) {
        printf("            '%s:", commands[i].name);
        put_escaped(commands[i].summary);
        puts("'");
    }
    printf("            'help:Describe a command')\n"
           "        _describe command all\n        return\n    fi\n"
           "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n"
           "    case $command in\n    help) _values command ");
    put_commands();
    puts(" ;;");
    for (int i = 0; i < command_count; i++)
        put_zsh_command(commands + i);
    puts("    esac\n}\n"
         "if [ \"$funcstack[1]\" = _sparse24 ]; then _sparse24 \"$@\"; else compdef _sparse24 "
         "sparse24; fi");
}

int run_completion(const args *a)
{
    if (!strcmp(a->operand, "bash"))
        put_bash();
    else if (!strcmp(a->operand, "zsh"))
        put_zsh();
    else
        return wrong_usage("completion", "completion: %s: expected bash or zsh", a->operand);
    return DONE;
}
