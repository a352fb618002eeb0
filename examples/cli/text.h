/* Texts of others: names and metadata from files, words of the command line. Knows no meaning. */
#ifndef TEXT_H
#define TEXT_H
#include <stddef.h>

/* A copy, to be freed, that is one line and leaves the terminal alone: control characters, marks that turn the direction of
 * text, and bytes that are not UTF-8 as \n, \x1b. */
char *text_clean(const char *text);
/* The known word that `word` may be meant for, whatever the case of letters; NULL if none is near. `known` ends with NULL. */
const char *text_nearest(const char *word, const char *const *known);

#endif
