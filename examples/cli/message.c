#include "message.h"
#include "text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a rank that is not the first has to say. */
static char *held;
static size_t held_size;

void message_hold(char *text, size_t size)
{
    held = text;
    held_size = size;
    *text = 0;
}

static void put_line(FILE *stream, const char *prefix, const char *format, va_list list)
{
    char *text = NULL;
    if (vasprintf(&text, format, list) < 0)
        text = NULL;
    char *clean = text_clean(must(text));
    if (held && stream == stderr && !*held)
        snprintf(held, held_size, "%s", clean);
    if (!held || stream != stderr)
        fprintf(stream, "%s%s\n", prefix, clean);
    free(clean);
    free(text);
}

void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_line(stdout, "", format, list);
    va_end(list);
}

bool fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_line(stderr, "sparse24: ", format, list);
    va_end(list);
    return false;
}

void warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_line(stderr, "sparse24: warning: ", format, list);
    va_end(list);
}

bool fail_library(const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    if (vasprintf(&text, format, list) < 0)
        text = NULL;
    va_end(list);
    fail("%s: %s", (char *)must(text), s24_last_error());
    free(text);
    return false;
}

int wrong_usage(const char *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    put_line(stderr, "sparse24: ", format, list);
    if (!held)
        fprintf(stderr, "Try: sparse24 %s%s--help\n", command ? command : "", command ? " " : "");
    va_end(list);
    return WRONG_USAGE;
}

void *must(void *block)
{
    if (!block) {
        fputs("sparse24: out of memory\n", stderr);
        exit(FAILED);
    }
    return block;
}
