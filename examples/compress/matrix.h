/* One matrix of a model: what it was, what it becomes, and the record of that. Knows nothing of
 * blocks, files or token streams. */
#ifndef MATRIX_H
#define MATRIX_H
#include "settings.h"

/* Calibration sums of the inputs of a matrix; cross NULL: aim at its own outputs. */
typedef struct sums {
    s24_gram *gram;
    s24_cross *cross;
} sums;

typedef struct matrix {
    const char *tensor; /* its name in the file */
    const char *kind;   /* which of a block's matrices, e.g. "down_proj" */
    int layer;
    const char *constraints; /* NULL: left alone */
    s24_mat w;               /* F32, as it was */
    float *v;                /* as stored, widened to F32; NULL until solved */
    s24_result *result;      /* for its further parts; NULL when read back from a file */
    char *record;            /* one line of JSON */
} matrix;

/* Solve, round to the stored type, measure. `heldout` has a NULL gram when no tokens were held out.
 * False without a message when a signal asked to stop. */
bool matrix_solve(matrix *m, const settings *s, const sums *calib, const sums *heldout);
/* v as a view. */
s24_mat matrix_stored(const matrix *m);
const char *matrix_type(const settings *s);
void matrix_close(matrix *m);

#endif
