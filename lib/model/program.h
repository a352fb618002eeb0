/* The block of a kind of layer as data, made from the row of the architecture and the
 * configuration: its matrices, its vectors, and its stages. */
#ifndef S24M_PROGRAM_H
#define S24M_PROGRAM_H
#include "stages.h"

typedef enum { S24M_NEVER, S24M_MAYBE, S24M_ALWAYS } s24m_presence;

typedef struct s24m_matrix {
    int32_t role, expert; /* -1: of no expert */
    int64_t outputs, inputs;
    int64_t slices;  /* it is number `expert` of so many in a tensor of three dimensions; 0: none */
    bool transposed; /* it is stored as (inputs, outputs) */
    bool fixed;      /* never compressed: routers, tiny ones */
    s24m_presence bias;
} s24m_matrix;

typedef struct s24m_vector {
    int64_t rows, cols; /* cols 0: a vector */
    s24m_presence gain, shift;
} s24m_vector;

struct s24m_program {
    s24m_matrix *matrices;
    int32_t count, room;       /* matrices; of the array */
    int32_t first[S24M_ROLES]; /* matrix of this role, of the first expert; -1: none */
    s24m_vector vector[S24M_VECTORS];
    s24m_stage stages[S24M_STAGES + 1]; /* one without matrices ends them */
};

/* Programs of all kinds of layers, and which layer has which. */
s24_status s24m_make_programs(s24m_model *model);
void s24m_free_programs(s24m_model *model);

#endif
