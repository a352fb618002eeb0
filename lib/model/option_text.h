/* Options as text, "name=value,name=[a value, with commas]". Knows no option. */
#ifndef S24M_OPTION_TEXT_H
#define S24M_OPTION_TEXT_H
#include "fail.h"

typedef bool (*option_fn)(void *arg, const char *name, const char *value);
/* Call `take` for each in order, until it returns false; NULL and "" have none. */
bool s24m_option_text(const char *text, option_fn take, void *arg);

#endif
