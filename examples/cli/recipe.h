/* A recipe: options of a command as lines of a text file, read and written. Knows no meaning. */
#ifndef RECIPE_H
#define RECIPE_H
#include "args.h"

typedef struct recipe_line {
    char *words[2]; /* "--name", and the value or NULL */
    char *where;    /* "FILE, line 3" */
} recipe_line;

typedef struct recipe {
    recipe_line *lines;
    int count;
} recipe;

/* Read `path`: "NAME VALUE", "NAME=VALUE" or "NAME" a line, "--" before it or not; a value that
 * begins or ends with a blank stands in quotes; lines that begin with # say nothing. NULL, and a
 * message, if it is no text. */
recipe *recipe_open(const char *path);
void recipe_close(recipe *r);

/* The value of an option that was not given, as text, or NULL. */
typedef const char *(*recipe_default)(void *arg, const char *name);
/* What was asked of a command as such lines, but for what decides nothing about what is made; to be
 * freed. */
char *recipe_text(const command *c, const args *a, recipe_default fallback, void *arg);

#endif
