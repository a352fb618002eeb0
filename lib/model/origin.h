/* The files a model is read from: which they are, what is in them, whether they are still the same.
 * Knows names and bytes only. */
#ifndef ORIGIN_H
#define ORIGIN_H
#include "watch.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

typedef struct origin_file {
    char *path;
    struct stat state; /* when it was listed */
    uint64_t hash;
} origin_file;

typedef struct origin {
    bool folder;
    origin_file *files; /* sorted by path */
    int count;
} origin;

/* All files that decide what comes out: a file with the other parts of a split one, or what a
 * folder holds of weights and beside them. */
bool s24m_origin_open(origin *o, const char *path);
/* Read them all. */
bool s24m_origin_hash(origin *o, s24m_watch *w);
/* A line a file: name, size, hash. */
void s24m_origin_describe(const origin *o, FILE *out);
/* Says which file is another one than at the start. */
bool s24m_origin_check(const origin *o);
void s24m_origin_close(origin *o);

#endif
