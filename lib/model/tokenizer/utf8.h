/* UTF-8 both ways, and texts that are not UTF-8 throughout. */
#ifndef S24M_UTF8_H
#define S24M_UTF8_H
#include "buffer.h"

/*
 * While a text is worked on, each byte that belongs to no well-formed character stands as a
 * character of its own, S24M_STRAY + byte, so that all steps see UTF-8. A text that has one of
 * these private characters gives its bytes as stray ones: nothing is lost or confused.
 */
#define S24M_STRAY 0x10ab00

/* Bytes of the well-formed character that text[0 .. size) begins with, 0 if there is none. */
size_t s24m_utf8_length(const char *text, size_t size);
/* Of a text that is known to be well-formed. */
size_t s24m_utf8_step(const char *text);
uint32_t s24m_utf8_at(const char *text);
/* Its bytes; their number. */
size_t s24m_utf8_put(uint32_t c, char bytes[4]);
/* The byte that stands for itself, -1 for any other character. */
int s24m_utf8_stray(const char *text);
/* Whether the text is well-formed and has no stray bytes: nothing is to be done. */
bool s24m_utf8_clean(const char *text, size_t size);
/* Add a text whose stray bytes are characters. */
bool s24m_utf8_take(buffer *b, const char *text, size_t size);

#endif
