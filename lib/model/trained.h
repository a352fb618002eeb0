/* The vectors of a block that training changes beside its matrices: gains of norms and biases, as
 * they were and as they become. Knows names and shapes, no training. */
#ifndef S24M_TRAINED_H
#define S24M_TRAINED_H
#include "matrix.h"
#include "program.h"

typedef struct trained_vector {
    char name[S24M_NAME];
    int32_t gain, bias; /* which of the block's: a norm's, counted from S24M_ROLES, or of a matrix;
                           the other is -1 */
    matrix m;           /* one row; v NULL: it stays as it was */
} trained_vector;

typedef struct trained {
    trained_vector *vectors;
    int32_t count;
} trained;

/* All of a block, which must outlive it. `stored` tells the type that a tensor is written in. */
typedef int32_t (*trained_type_fn)(void *from, const char *name);
bool s24m_trained_open(trained *t, const s24m_model *model, const s24m_block *block,
                       trained_type_fn type, void *from);
/* Let the block use what has become of them. */
void s24m_trained_use(const trained *t, s24m_block *block);
void s24m_trained_close(trained *t);

#endif
