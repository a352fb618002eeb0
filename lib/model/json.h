/* s24_record_...() on blocks of malloc(). Each call takes the text and returns the new one; NULL,
 * and the error remembered, without memory, and for NULL. */
#ifndef S24M_JSON_H
#define S24M_JSON_H
#include "fail.h"

char *s24m_json_drop(char *text, const char *key);
/* Set a member, replacing one of that name. NaN and infinity become null. */
char *s24m_json_put_number(char *text, const char *key, double value);
char *s24m_json_put_text(char *text, const char *key, const char *value);
/* A member that is a number; NaN for anything else. */
double s24m_json_number(const char *text, const char *key);
/* A member that is a text, to be freed; NULL if there is none. False: no memory. */
bool s24m_json_text(const char *text, const char *key, char **member);

#endif
