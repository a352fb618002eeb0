/* Scores of weights from a file, by which solvers rank: norms of gradients that
 * s24_model_importance() wrote, or anything else by the names of the matrices. Knows files, no
 * solver. */
#ifndef S24M_SCORES_H
#define S24M_SCORES_H
#include "fail.h"
#include <stdint.h>

typedef struct s24m_scores {
    s24_file *file; /* NULL: there are none */
    char *text;     /* as it was asked for: FILE or FILE:NORM */
    char norm[16];  /* "": tensors are called as the matrices are */
    int64_t rows;   /* that the gradients are of; 0: it is not known */
} s24m_scores;

/* FILE:NORM reads "<matrix>.NORM"; of l1, l2 and fisher also "mean", l1 over the number of rows,
 * and "rms", the root of fisher. FILE alone: rms if gradients are in it, else tensors called as the
 * matrices are. */
bool s24m_scores_open(s24m_scores *s, s24_ctx *ctx, const char *text);
/* That of a matrix is there and has its shape. */
bool s24m_scores_check(const s24m_scores *s, const char *name, int64_t rows, int64_t cols);
/* As f32, to be freed. */
float *s24m_scores_read(const s24m_scores *s, const char *name, int64_t rows, int64_t cols);
/* Of all bytes that can be read of it. */
uint64_t s24m_scores_hash(const s24m_scores *s);
void s24m_scores_close(s24m_scores *s);

#endif
