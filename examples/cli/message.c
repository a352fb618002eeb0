#include "message.h"
#include "llama.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("sparse24: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return false;
}

void warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("sparse24: warning: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

bool fail_library(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("sparse24: ", stderr);
    vfprintf(stderr, format, list);
    fprintf(stderr, ": %s\n", s24_last_error());
    va_end(list);
    return false;
}

bool llama_done(s24_status status)
{
    return status == S24_OK || fail("%s", llama_error());
}

int wrong_usage(const char *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("sparse24: ", stderr);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\nTry: sparse24 %s%s--help\n", command ? command : "", command ? " " : "");
    va_end(list);
    return WRONG_USAGE;
}

void *must(void *block)
{
    if (!block) {
        fail("out of memory");
        exit(FAILED);
    }
    return block;
}
