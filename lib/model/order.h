/* The order of the inputs of a matrix, where the matrices before it are free to give them in any:
 * the inner channels of an MLP between gate, up and down, and the elements of a key's head between
 * v and o. The block computes the same in every such order. Knows weights, not why one is chosen;
 * docs/compress.md. */
#ifndef S24M_ORDER_H
#define S24M_ORDER_H
#include "program.h"

/* The inputs of a matrix that may move: `groups` runs of `tied` times `width` inputs. Within a run
 * the tied stretches of `width` inputs move alike. width 0: they are fixed. */
typedef struct s24m_movable {
    int64_t groups, tied, width;
} s24m_movable;

/* Rows of a matrix of the block that give the inputs [input, input + count), or what these are made
 * of. */
typedef struct s24m_giver {
    int32_t which;
    int64_t row, input, count;
} s24m_giver;

s24m_movable s24m_order_movable(const s24m_model *model, const s24m_program *p, int32_t which);
/* The i-th giver of such a matrix; false: there are no more. */
bool s24m_order_giver(const s24m_model *model, const s24m_program *p, int32_t which, int32_t i,
                      s24m_giver *giver);
/* order[j]: which input, as the file has them, is j-th. Move the columns of the matrix, and the
 * rows and biases of its givers. S24_E_FORMAT: it is no order in which the block computes the
 * same. */
s24_status s24m_order_apply(const s24m_model *model, s24m_block *block, int32_t which,
                            const int32_t *order);

#endif
