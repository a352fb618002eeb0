/* UTF-8, checked. Knows bytes, no meaning. */
#ifndef S24I_UTF8_H
#define S24I_UTF8_H
#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed sequence that text[0..size) begins with, 0 if there is none. */
size_t s24i_utf8_length(const char *text, size_t size);
bool s24i_utf8_valid(const char *text);

#endif
