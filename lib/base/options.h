/* Options as strings over typed records. Knows records, presets and a plain struct to fill; not
 * what any option means. */
#ifndef S24I_OPTIONS_H
#define S24I_OPTIONS_H
#include "memory.h"
#include <sparse24/solver.h>
#include <stddef.h>

#define S24I_WORD 24 /* room for one choice of a string option */

/* The choice of a string option: its place among the choices, and its text. */
typedef struct s24i_word {
    int32_t index;
    char text[S24I_WORD];
} s24i_word;

/* One row of a declarative table. Integers live as int64_t, floats as double, strings as s24i_word,
 * so that a values struct has no pointers: it is copied and compared as bytes. */
typedef struct s24i_option {
    const char *name;
    int32_t type;         /* S24_OPT_INT, S24_OPT_FLOAT, S24_OPT_STR */
    size_t offset;        /* of the field in the values struct */
    double min, max;      /* inclusive; numbers only */
    const char *range;    /* numbers: "0 .. 100"; strings: the choices, "a|b|c" */
    const char *fallback; /* default, as text */
    const char *help;     /* one line, no full stop */
} s24i_option;

/* Rows: S24I_OPTION_FLOAT(struct params, damp, 0, 100, "0.01", "help") for the field `damp` of
 * struct params. */
#define S24I_OPTION_INT(type, field, min, max, fallback, help)                                 \
    {                                                                                          \
#field, S24_OPT_INT, offsetof(type, field), min, max, #min " .. " #max, fallback, help \
    }
#define S24I_OPTION_FLOAT(type, field, min, max, fallback, help)                                 \
    {                                                                                            \
#field, S24_OPT_FLOAT, offsetof(type, field), min, max, #min " .. " #max, fallback, help \
    }
#define S24I_OPTION_STR(type, field, choices, fallback, help)                             \
    {                                                                                     \
#field, S24_OPT_STR, S24I_WORD_OFFSET(type, field), 0, 0, choices, fallback, help \
    }
/* offsetof, and an error when the field is not an s24i_word. */
#define S24I_WORD_OFFSET(type, field) \
    (offsetof(type, field) +          \
     0 * sizeof(char[sizeof(((type *)0)->field) == sizeof(s24i_word) ? 1 : -1]))

/* "name=value,..." applied by preset `name`; every choice of the option "preset" has a row, its
 * fallback is the default preset. */
typedef struct s24i_preset {
    const char *name, *assignments;
} s24i_preset;

#define S24I_MAX_OPTIONS 64
typedef struct s24i_option_set {
    const s24i_option
        *table; /* ended by name == NULL; an option "preset", if any, is the first row */
    const s24i_preset *presets; /* ended by name == NULL; NULL without presets */
    const char *owner;          /* for texts: "solver sparsegpt" */
    void *values;               /* the struct that the offsets refer to */
    size_t size;                /* bytes of it, at most 512 */
    /* which rows the user set: those beat a preset, in whatever order they are set */
    uint64_t explicit_mask;
} s24i_option_set;

/* Fill `values` with defaults (of the default preset) and forget what was set. */
void s24i_options_reset(s24i_option_set *set);
s24_status s24i_options_set_int(s24i_option_set *set, const char *name, int64_t value);
s24_status s24i_options_set_float(s24i_option_set *set, const char *name, double value);
s24_status s24i_options_set_str(s24i_option_set *set, const char *name, const char *value);
/* "rho=0.1,max_iter=200": all or nothing. White space around names and values is ignored. NULL or
 * "" is nothing. */
s24_status s24i_options_parse(s24i_option_set *set, const char *assignments);
s24_status s24i_options_get_int(const s24i_option_set *set, const char *name, int64_t *value);
s24_status s24i_options_get_float(const s24i_option_set *set, const char *name, double *value);
/* The text lies in `values`. */
s24_status s24i_options_get_str(const s24i_option_set *set, const char *name, const char **value);
/* Whether the user gave it. */
s24_status s24i_options_is_set(const s24i_option_set *set, const char *name, bool *given);
int32_t s24i_options_count(const s24i_option *table);
/* "name=value,..." of all options in force, numbers in their shortest spelling: reading it back
 * gives the same values. */
struct s24i_text;
void s24i_options_text(const s24i_option_set *set, struct s24i_text *text);

#endif
