/* One matrix of a model: what it was, what it becomes, and the record of that. Knows nothing of
 * blocks, files or token streams. */
#ifndef MATRIX_H
#define MATRIX_H
#include "made.h"
#include "matrix_parts.h"
#include "record.h"
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
    int64_t tokens;          /* calibration tokens of its expert; -1: all */
    const char *constraints; /* NULL: left alone */
    s24_mat w;               /* F32, as it was */
    const char *source;      /* the type that w was decoded from; NULL: it was of floats */
    int32_t store;           /* type in the written file: S24_F64, S24_F32, S24_F16 or S24_BF16 */
    float less;              /* what is taken off v where it is stored: gains less one */
    const char *stored;      /* as what it is written there if not as floats, or NULL */
    int32_t *order; /* of its inputs, where they were moved: which of the file's is j-th; or NULL */
    double kept[2]; /* shares of a score that n:m keeps in the file's order, and in this one */
    float *scores;  /* of its weights, by which the solver ranks; NULL: none */
    s24_mat previous; /* the matrix before, where its rows are ranked; data NULL: not */
    double *input_scores, *output_norms; /* of the one before */
    float *v;             /* as stored, on a grid what the codes give; NULL until solved */
    s24_result *result;   /* for its further parts; NULL when read back from a file */
    s24m_gathered *parts; /* the same, of rows that several ranks solved; or NULL */
    made_parts made;      /* those of the result that training changed */
    record record;        /* no JSON until solved */
    double *norms; /* room for what each loss of the record is relative to; NULL: not wanted */
} matrix;

/* Solve, round to the stored type, measure. `heldout` has a NULL gram when no tokens were held out.
 * False with S24_E_CANCELLED when the host wants to stop. */
bool s24m_matrix_solve(matrix *m, const settings *s, const sums *calib, const sums *heldout);
/* For codes that are written scales are of 16 bits, and there are no outliers: set what was left
 * open, refuse what was not. */
bool s24m_matrix_prepare(const settings *s, const char *constraints, s24_solver *solver);
/* The problem of these sums under its constraints. */
bool s24m_matrix_problem(s24_problem **problem, const matrix *m, const settings *s,
                         const sums *given);
/* The solver that settings ask for, or the problem by default, with their options. */
bool s24m_matrix_solver(s24_solver **solver, const settings *s, const s24_problem *problem);
/* Whether so many different rows, of which an expert saw `tokens` (-1: it is none), cannot tell all
 * of the weights from each other, and the warning of that; the library counts rows, not how many of
 * them are equal. */
bool s24m_matrix_few_rows(int64_t tokens, int64_t different, int64_t cols, char *text, size_t size);
/* v as a view. */
s24_mat s24m_matrix_values(const matrix *m);
/* v in the stored type; its data are to be freed. False and a message if a value does not fit. */
bool s24m_matrix_narrow(const matrix *m, s24_ctx *ctx, s24_mat *narrow);
/* v through the stored type; *fits: all values are still finite. */
bool s24m_matrix_store(matrix *m, s24_ctx *ctx, bool *fits);
/* Under constraints with a grid or a rank, whose parts say more than the values. */
bool s24m_matrix_has_parts(const matrix *m);
/* As files call a type. */
const char *s24m_matrix_type(int32_t store);
/* The result is not needed any more, unless it has further parts. */
void s24m_matrix_let_go(matrix *m);
void s24m_matrix_close(matrix *m);

#endif
