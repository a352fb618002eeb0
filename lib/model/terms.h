/* The terms of constraints, as numbers. Knows the texts of s24_problem_constraints() only. */
#ifndef TERMS_H
#define TERMS_H
#include <stdbool.h>
#include <stdint.h>

enum { UNIT_NONE, UNIT_COLUMN, UNIT_HEAD, UNIT_GROUP };
enum { SCHEME_ASYM, SCHEME_SYM, SCHEME_REAL };

typedef struct terms {
    int32_t kept, of;           /* n of m; 0: no pattern */
    bool sparsity;              /* a share of zeros */
    int32_t unit;               /* that is removed whole, with the columns of which it consists */
    double share;               /* of them that are removed; or */
    int64_t unit_kept, unit_of; /* how many are kept, of how many; 0: not said */
    int32_t bits;               /* of a grid; 0: none */
    int32_t scheme;
    int64_t group; /* columns that share a scale; 0: all of a row */
    int64_t rank;  /* 0: none */
} terms;

/* Of "2:4+int4 sym g64". */
terms s24m_terms(const char *constraints);
bool s24m_terms_same_grid(const terms *a, const terms *b);

#endif
