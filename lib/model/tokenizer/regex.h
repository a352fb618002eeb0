/* Regular expressions of tokenizers, as Oniguruma reads them, by PCRE2. Patterns come from
 * strangers' files: what would mean something else here is refused, and matching has limits. */
#ifndef S24M_REGEX_H
#define S24M_REGEX_H
#include "buffer.h"

typedef struct regex regex;

/* Compile pattern[0 .. size); `name` stands in errors, which show the pattern. */
bool s24m_regex_open(regex **out, const char *pattern, size_t size, const char *name);
/* One that finds grapheme clusters. */
bool s24m_regex_clusters(regex **out);
void s24m_regex_close(regex *r);
/* Look from byte `from` of a text in UTF-8; *found is false where there is no more. */
bool s24m_regex_find(regex *r, const char *text, size_t size, size_t from, bool *found,
                     size_t *begin, size_t *end);

#endif
