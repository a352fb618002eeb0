/* The options of the command line as a table: its parser and the help are made from it. */
#ifndef ARGS_TABLE_H
#define ARGS_TABLE_H
#include "args.h"
#include <stddef.h>

enum kind { FLAG, TEXT, LIST, COUNT, BYTES, STORE };

typedef struct option {
    const char *name, *value; /* value: what --help calls it */
    enum kind kind;
    size_t offset; /* of the field in args */
    uint32_t commands, required;
    const char *help;
} option;

#define IN_BOTH (IN_SOLVE | IN_COMPARE)

extern const option args_options[];
extern const int args_count;
/* The one of this name that some of these commands take, or NULL. */
const option *args_find(uint32_t commands, const char *name, size_t length);

#endif
