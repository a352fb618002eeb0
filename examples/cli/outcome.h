/* One solver run on one layer: the result, what it is worth, and how it is reported and written. */
#ifndef OUTCOME_H
#define OUTCOME_H
#include "layer.h"

/* A solver with its options, and what the user called it. */
typedef struct method {
    char *label;
    s24_solver *solver;
} method;

bool method_open(method *m, s24_ctx *ctx, const char *label, const char *name, const char *options);
void method_close(method *m);

typedef struct outcome {
    s24_result *result;
    s24_mat weights;            /* as written */
    void *converted;            /* their storage if they are not the result's own */
    const char *type;           /* "F16" or "BF16" if converted, else NULL */
    double loss, relative_loss; /* of the weights as written */
    double test_relative_loss;  /* NaN without held-out rows */
    double damp, seconds;       /* NaN if the result does not say */
    int64_t zeros;
} outcome;

/* Returns the status of s24_solve(); says nothing if that failed. */
s24_status outcome_solve(outcome *o, const layer *l, const method *m);
/* Whether the library doubts that its calibration was enough; it is said on stderr. */
bool outcome_warn(const outcome *o, const char *label);
/* Convert the weights to `store` (f32, f16, bf16; NULL = f32) and take the numbers. */
bool outcome_measure(outcome *o, const layer *l, const char *store);
/* The record as one line of JSON, to be freed; `out` may be NULL. */
char *outcome_json(const outcome *o, const char *out);
void outcome_close(outcome *o);

/* Begin a file that must not be one of the inputs (those without a path do not count). */
bool output_create(s24_file **file, s24_ctx *ctx, const char *path, const source *const *inputs,
                   int count);
/* Begin the file, which appears only when outcome_write() is done: an unwritable place shows
 * before the work. */
bool output_open(s24_file **file, const layer *l, const char *path);
/* Every matrix of the result under its name, the record without what differs from run to run as
 * metadata. */
bool outcome_write(const outcome *o, s24_file *file, const char *path);

#endif
