/* The vectors of a block that training changes beside its matrices: gains and shifts of norms, and
 * biases, as they were and as they become. Knows names and shapes, no training. */
#ifndef S24M_TRAINED_H
#define S24M_TRAINED_H
#include "matrix.h"
#include "tape.h"

typedef enum { S24M_TRAINED_GAIN, S24M_TRAINED_SHIFT, S24M_TRAINED_BIAS } trained_kind;

typedef struct trained_vector {
    char name[S24M_NAME];
    trained_kind kind;
    int32_t which; /* of the block's: a norm's, counted from S24M_ROLES, or of a matrix */
    matrix m;      /* one row; v NULL: it stays as it was */
} trained_vector;

typedef struct trained {
    trained_vector *vectors;
    int32_t count;
} trained;

/* All of a block, which must outlive it. `stored` tells the type that a tensor is written in. */
typedef int32_t (*trained_type_fn)(void *from, const char *name);
bool s24m_trained_open(trained *t, const s24m_model *model, const s24m_block *block,
                       trained_type_fn type, void *from);
/* Where a block has it; where its gradient goes. */
float **s24m_trained_place(const trained_vector *v, s24m_block *block);
float **s24m_trained_gradient(const trained_vector *v, s24m_gradients *to);
/* What is taken off a gain where the model's file has it. */
float s24m_trained_less(const s24m_model *model);
/* Let the block use what has become of them. */
void s24m_trained_use(const trained *t, s24m_block *block);
void s24m_trained_close(trained *t);

#endif
