#include "number.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library prints the locale's decimal separator, of one byte or more: make it a point. */
static void put_point(char *text)
{
    static const char ours[] = "0123456789+-e";
    size_t before = strspn(text, ours), separator = strcspn(text + before, ours);

    if (separator == 0)
        return;
    text[before] = '.';
    memmove(text + before + 1, text + before + separator, strlen(text + before + separator) + 1);
}

/* The first of the numbers of digits that reads back equal; as a float if `narrow`. */
static void write_shortest(char out[S24I_NUMBER_SIZE], double value, int first, int last,
                           bool narrow)
{
    double back;

    if (value != value || value - value != 0) {
        strcpy(out, value != value ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    for (int digits = first; digits <= last; digits++) {
        snprintf(out, S24I_NUMBER_SIZE, "%.*g", digits, value);
        put_point(out);
        if (s24i_number_read(out, &back) && (narrow ? (float)back : back) == value)
            return;
    }
}

void s24i_number_write(char out[S24I_NUMBER_SIZE], double value)
{
    write_shortest(out, value, 15, 17, false);
}

void s24i_number_write_f32(char out[S24I_NUMBER_SIZE], float value)
{
    write_shortest(out, value, 6, 9, true);
}

void s24i_number_write_percent(char out[S24I_NUMBER_SIZE], double value)
{
    char spelling[S24I_NUMBER_SIZE];

    s24i_number_write(spelling, value);
    if (strncmp(spelling, "0.", 2) || strchr(spelling, 'e')) {
        s24i_number_write(out, 100 * value);
        return;
    }
    const char *digits = spelling + 2;
    size_t whole = strlen(digits) < 2 ? strlen(digits) : 2;
    int percent = 0;
    for (size_t i = 0; i < 2; i++)
        percent = 10 * percent + (i < whole ? digits[i] - '0' : 0);
    snprintf(out, S24I_NUMBER_SIZE, "%d%s%s", percent, digits[whole] ? "." : "", digits + whole);
}

bool s24i_number_read(const char *text, double *out)
{
    char *end;

    /* strtod also takes white space and hexadecimal. */
    if (!*text || strspn(text, "+-.0123456789eEinftyaINFTYA") != strlen(text))
        return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return false;
    double value = strtod_l(text, &end, plain);
    freelocale(plain);
    if (end == text || *end)
        return false;
    *out = value;
    return true;
}

bool s24i_integer_read(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    int64_t value = 0;

    text += *text == '-' || *text == '+';
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        int64_t digit = *text - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *out = value;
    return true;
}
