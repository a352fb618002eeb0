/* Refinement of a block that was solved: Adam on the kept weights of its matrices, on the parts of
 * those on a grid or of a rank, on its norms and biases together, so that the block's output on the
 * compressed stream meets what is wanted of it. Accepted only if rows that were kept back meet it
 * better. Knows one block, no files. */
#ifndef S24M_REFINE_H
#define S24M_REFINE_H
#include "activations.h"
#include "trained.h"

typedef struct s24m_refinement {
    const settings *settings;
    s24m_model *model;
    const activations *inputs, *wanted;    /* of the compressed block; of all calibration tokens */
    int64_t rows, own, length;             /* own: the last of them, which the model wrote */
    bool (*show)(void *arg, double share); /* false: stop */
    void *arg;
    /* What came of it: mean squared errors over those of 0, of the rows that were kept back. */
    double before, after;
    int halvings;       /* of the rate, because they were met worse */
    const char *misfit; /* what left its type's range, so that nothing was taken; or NULL */
    bool taken;         /* the matrices and vectors hold what was trained */
} s24m_refinement;

/* `block` is the solved one. */
bool s24m_refine_block(s24m_refinement *r, const s24m_block *block, matrix *matrices, trained *t);
/* What it takes outside the library, beside stores of activations; `parts`: some matrices have
 * some. Its operations for a block. */
uint64_t s24m_refine_bytes(const s24m_model *model, bool parts, int64_t length);
double s24m_refine_flops(const settings *s, const s24m_model *model, int64_t layer, int64_t rows,
                         int64_t length);

#endif
