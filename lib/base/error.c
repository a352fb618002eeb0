#include "error.h"
#include "utf8.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 512, COMPARED = 128 };

static _Thread_local char error_text[TEXT];
static _Thread_local s24_status error_status;

/* One line of UTF-8 whatever was printed into it: names come from files, a long text was cut. */
static void make_printable(char *text)
{
    for (size_t left = strlen(text), length; left; text += length, left -= length) {
        length = s24i_utf8_length(text, left);
        if (length == 0 || (unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
            length = 1;
        }
    }
}

s24_status(s24i_fail)(s24_status status, const char *format, ...)
{
    char text[TEXT]; /* the arguments may point into error_text */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_printable(text);
    memcpy(error_text, text, sizeof text);
    error_status = status;
    return status;
}

s24_status(s24i_fail_in)(s24_status status, const char *prefix)
{
    return s24i_fail(status, "%s: %s", prefix, error_text);
}

s24_status(s24i_fail_near)(s24_status status, const char *name, const char *const *known,
                           int64_t count)
{
    const char *nearest = s24i_nearest(name, known, count);
    char all[TEXT] = "";
    size_t used = 0;

    for (int64_t i = 0; !nearest && i < count && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", known[i]);
    return s24i_fail(status, "%s%s%s", error_text,
                     nearest ? "; nearest: "
                     : count ? "; there are: "
                             : "",
                     nearest ? nearest : all);
}

const char *s24i_error_text(void)
{
    return error_text;
}

s24_status s24i_error_status(void)
{
    return error_status;
}

void s24i_failure_keep(s24i_failure *failure, int64_t index, s24_status status)
{
    if (status == S24_OK)
        return;
    while (atomic_exchange_explicit(&failure->busy, 1, memory_order_acquire))
        ;
    if (failure->status == S24_OK || index < failure->index) {
        failure->status = status;
        failure->index = index;
        memcpy(failure->text, error_text, sizeof failure->text);
    }
    atomic_store_explicit(&failure->busy, 0, memory_order_release);
}

s24_status s24i_failure_raise(const s24i_failure *failure)
{
    if (failure->status != S24_OK) {
        memcpy(error_text, failure->text, sizeof error_text);
        error_status = failure->status;
    }
    return failure->status;
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* But for the case of ASCII letters. */
static bool same(char a, char b)
{
    bool letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';

    return a == b || (letter && (a ^ b) == 0x20);
}

/* Damerau's distance by three rows of the usual table: before[], above[] and row[]. */
int32_t s24i_distance(const char *a, const char *b)
{
    int32_t rows[3][COMPARED + 1];
    int32_t *before = rows[0], *above = rows[1], *row = rows[2];

    while (*a && same(*a, *b))
        a++, b++;
    int32_t na = (int32_t)strnlen(a, COMPARED), nb = (int32_t)strnlen(b, COMPARED);
    for (int32_t j = 0; j <= nb; j++)
        row[j] = before[j] = j;
    for (int32_t i = 1; i <= na; i++) {
        int32_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (int32_t j = 1; j <= nb; j++) {
            row[j] = smaller(above[j - 1] + !same(a[i - 1], b[j - 1]),
                             smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
    }
    return row[nb];
}

const char *s24i_nearest(const char *name, const char *const *known, int64_t count)
{
    int32_t bound = ((int32_t)strnlen(name, COMPARED) + 1) / 2;
    const char *best = NULL;

    for (int64_t i = 0; i < count; i++) {
        int32_t distance = s24i_distance(name, known[i]);
        if (distance < bound || (!best && distance == bound)) {
            bound = distance;
            best = known[i];
        }
    }
    return best;
}
