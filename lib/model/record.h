/* What came out for one matrix, as numbers and texts; and as JSON, which is made once. Knows
 * names. */
#ifndef S24M_RECORD_H
#define S24M_RECORD_H
#include "fail.h"

/* Those the solver tells stand last. NaN: there is none. */
enum {
    RECORD_LAYER,
    RECORD_SIZE,
    RECORD_ZEROS,
    RECORD_TOKENS, /* that its expert saw */
    /* relative: of the outputs, of what was aimed at, from the dense model's outputs */
    RECORD_LOSS,
    RECORD_TARGET_LOSS,
    RECORD_DENSE_LOSS,
    RECORD_TEST_LOSS, /* the same of the rows held out */
    RECORD_TEST_TARGET_LOSS,
    RECORD_TEST_DENSE_LOSS,
    RECORD_SECONDS,
    RECORD_NUMBERS
};
enum {
    RECORD_TENSOR,
    RECORD_MATRIX,
    RECORD_STORED,
    RECORD_SOURCE, /* the type that was decoded */
    RECORD_WARNING,
    RECORD_CONSTRAINTS,
    RECORD_SOLVER,
    RECORD_TEXTS
};

typedef struct record {
    double number[RECORD_NUMBERS];
    char *text[RECORD_TEXTS];
    char *json; /* one line */
} record;

/* With no number. */
void s24m_record_open(record *r);
bool s24m_record_set(record *r, int text, const char *value);
/* Make the JSON: what the solver told, less what is not so of the stored values, then ours. */
bool s24m_record_seal(record *r, const char *solver);
/* From JSON that was made so. */
bool s24m_record_read(record *r, const char *json);
/* The JSON without what differs from run to run, so that equal runs give equal files; to be
 * freed. */
char *s24m_record_stable(const record *r);
/* By the name that JSON has; NULL: there is none of that name. */
const double *s24m_record_number(const record *r, const char *name);
const char *const *s24m_record_text(const record *r, const char *name);
void s24m_record_close(record *r);

#endif
