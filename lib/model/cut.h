/* Tensors of a block without the inner channels and heads that were removed from down and o: their
 * columns, the rows and biases that made them. Knows tensors, not why. */
#ifndef S24M_CUT_H
#define S24M_CUT_H
#include "shrink.h"
#include "solved.h"

/* How a tensor is cut along one side: `runs` times all units, of `width` rows or columns each. */
typedef struct s24m_cut {
    const int32_t *kept; /* rising; NULL: this side stays whole */
    int64_t count, width, runs;
} s24m_cut;

typedef struct s24m_cuts {
    s24m_cut rows, cols;
} s24m_cuts;

/* What is cut off a tensor of the source; *cut: anything. `supply` holds the file of its block. */
bool s24m_cuts_of(const supply *s, const s24m_shrink *how, const char *tensor, s24m_cuts *cuts,
                  bool *cut);
/* In place, a row-major matrix of *rows and *cols, which become less. */
void s24m_cut_apply(const s24m_cuts *cuts, float *values, int64_t *rows, int64_t *cols);

#endif
