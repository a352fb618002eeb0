/* The order of inner channels for n:m: found before a block is walked, and what is written of
 * it. */
#ifndef WALK_ORDER_H
#define WALK_ORDER_H
#include "walk.h"

/* Choose the order of each matrix of an n:m pattern whose inputs may move, and move the weights of
 * the block, which computes what it did. `order` and `kept` of such matrices are set. */
bool s24m_walk_order(walk *w, s24m_block *block, matrix *matrices);
/* Move them as an earlier run did. */
bool s24m_order_again(const s24m_model *model, s24m_block *block, const matrix *matrices);
/* Behind the walk: biases that moved are written, and records tell of it. */
bool s24m_order_keep(const s24m_model *model, const s24m_block *block, matrix *matrices,
                     trained *vectors);

#endif
