/* Whether the rows of a matrix can be solved apart from each other, so that ranks share them. */
#ifndef S24M_APART_H
#define S24M_APART_H
#include "matrix.h"

/* *unit: rows that must stay together, from the first on; 0: all of them must, because the
 * constraints or the solver's decisions span the matrix. */
bool s24m_rows_apart(const settings *s, const matrix *m, int64_t *unit);

#endif
