/* How texts and conversations begin in a model's own tokens. Knows metadata and tokenizers. */
#ifndef S24M_STARTS_H
#define S24M_STARTS_H
#include "handle.h"
#include "self.h"

/* "1,2,3" for the option of that name; "": nothing, or what the model's files say. */
bool s24m_start_read(s24m_start *start, const char *option, const char *text, s24_model *model);

#endif
