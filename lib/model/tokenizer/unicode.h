/* Facts about characters, and the normal forms of texts (Unicode Standard Annex 15). Knows no
 * tokenizer. */
#ifndef S24M_UNICODE_H
#define S24M_UNICODE_H
#include "buffer.h"

/* White space; a letter, mark, digit or connector; a mark, as the reference counts them. */
bool s24m_is_blank(uint32_t c);
bool s24m_is_word(uint32_t c);
bool s24m_is_mark(uint32_t c);

/* Add the normal form of a text in UTF-8: decomposed, by compatibility too, composed again. Lists
 * of characters are kept in `work`. */
bool s24m_normal_form(buffer *out, id_list *work, const char *text, size_t size, bool compatible,
                      bool compose);
/* Add a text in lower case, character by character. */
bool s24m_lower_case(buffer *out, const char *text, size_t size);

#endif
