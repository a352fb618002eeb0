/* Whole files in memory. Knows no format. */
#ifndef S24M_CONTENTS_H
#define S24M_CONTENTS_H
#include "buffer.h"

/* Add a regular file's bytes; S24_E_IO names the path. */
bool s24m_contents_read(buffer *b, const char *path);
/* Up to `size` first bytes; how many there were in *got. */
bool s24m_contents_peek(const char *path, char *bytes, size_t size, size_t *got);

#endif
