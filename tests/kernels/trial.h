/* One call of a kernel on arrays that end or begin at a page which must not be touched, made on two
 * tables and compared bit for bit. Knows no kernel. */
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H
#include "kernels/kernels.h"
#include <stdbool.h>
#include <stddef.h>

enum { TRIAL_ARGUMENTS = 10 };

typedef enum array_role {
    GIVEN,  /* must not change */
    WANTED, /* compared */
    SCRATCH /* may end as it likes */
} array_role;

typedef struct trial {
    const char *kernel;
    void (*run)(const s24i_kernels *table, struct trial *trial);
    int64_t n;
    int32_t keep, m; /* n:m and other small numbers of a kernel */
    int64_t number[4];
    int arguments;
    struct {
        array_role role;
        size_t size;
        const void *initial; /* NULL: the argument is NULL */
    } argument[TRIAL_ARGUMENTS];
    /* What `run` sees and answers. */
    void *at[TRIAL_ARGUMENTS];
    int64_t index;
    double sum;
} trial;

void trial_argument(trial *t, array_role role, const void *initial, size_t size);
/* Run on the reference and on `fast`; fails the test unless both leave the same bits and touch
 * nothing else. */
void trial_compare(trial *t, const s24i_kernels *fast);

/* For ever different `round`: what the lower half of a float may be when it is rounded off. */
uint32_t low_half(int round, uint64_t *state);

/* The sanitizer sees addresses, which do not depend on the kind of number, in every third shape. */
#ifdef __SANITIZE_ADDRESS__
enum { WATCHED_STEP = 3 };
#else
enum { WATCHED_STEP = 1 };
#endif
/* Kinds of numbers that kernels have to get right. */
typedef enum number_kind {
    RANDOM,
    TIES,
    ZEROS,
    DENORMAL,
    LARGE,
    KINDS,
    WATCHED_KINDS = WATCHED_STEP == 1 ? KINDS : 1
} number_kind;

/* `largest` bounds LARGE. The same seed gives the same numbers. */
void fill_floats(float *x, int64_t n, number_kind kind, float largest, uint64_t seed);
uint64_t random_bits(uint64_t *state);
/* In (-1, 1). */
double random_number(uint64_t *state);

#endif
