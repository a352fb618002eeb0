/* The options of the command line as a table: its parser and the help are made from it. */
#ifndef ARGS_TABLE_H
#define ARGS_TABLE_H
#include "args.h"
#include <stddef.h>

enum { ARGS_OPTIONS = 128 }; /* at most */
enum kind { FLAG, TEXT, LIST, COUNT, BYTES, STORE };

typedef struct option {
    const char *name, *value; /* value: what --help calls it */
    enum kind kind;
    size_t offset; /* of the field in args */
    uint32_t commands, required;
    const char *help;
} option;

enum { ARGS_MOST = 128 }; /* rows */

#define IN_BOTH (IN_SOLVE | IN_COMPARE)

extern const option args_options[];
extern const int args_count;
/* Put one value where the table says; false: it is no such value. */
bool args_assign(const option *o, const char *value, args *a);
/* What a value must look like. */
const char *args_wanted(const option *o);
/* As other programs call an option of ours; NULL: none does. */
const char *args_of_others(const char *name);
/* The one of this name that some of these commands take, or NULL. */
const option *args_find(uint32_t commands, const char *name, size_t length);

#endif
