/* Inner channels of an MLP scored by the matrix before: what solver mlprank is told of each block.
 * docs/solvers/mlprank.md. */
#ifndef WALK_RANK_H
#define WALK_RANK_H
#include "walk.h"

/* Where mlprank removes columns of down: up, the scores of its inputs and norms of its outputs, in
 * `previous` of the matrix. With chain=1 scores start from those of the block before. */
bool s24m_walk_rank(walk *w, s24m_block *block, matrix *matrices);

#endif
