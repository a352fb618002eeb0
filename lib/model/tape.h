/* Whole sequences through one block with everything kept that the way back needs, and the way back:
 * from the gradient of the block's output to those of its parameters and of its input. Goes over
 * the table of stages as the forward pass does, and has its bits. */
#ifndef S24M_TAPE_H
#define S24M_TAPE_H
#include "program.h"

/* Matrices of a block that can be taken back, at most. */
enum { S24M_TAPED = S24M_STAGES * S24M_ABREAST };

/* Where gradients are added; NULL: not wanted. */
typedef struct s24m_gradients {
    float *weights[S24M_TAPED], *bias[S24M_TAPED], *gain[S24M_VECTORS];
} s24m_gradients;

/* What a stage leaves. */
typedef struct s24m_trace {
    float *h;                 /* the residual stream that its input was made from, or NULL */
    float *x;                 /* its input */
    float *out[S24M_ABREAST]; /* its outputs, as its finish leaves them */
    float *raw[2];            /* q and k before their norms, or NULL */
} s24m_trace;

typedef struct s24m_tape {
    s24m_model *model;
    const s24m_block *block;
    s24m_gradients *to;
    int64_t most, sequences, length; /* tokens that there is room for; what is on it */
    s24m_trace trace[S24M_STAGES];
    float *y;            /* the block's output, (tokens, hidden) */
    float *dy;           /* its gradient, which s24m_tape_back() turns into that of the input */
    float *dx[2];        /* of the inputs of a stage and of the one behind it */
    float *dout, *spare; /* of a stage's outputs; as large */
    float *room;
} s24m_tape;

/* Every step of the model's blocks has a way back; S24_E_UNSUPPORTED names one that has none. */
bool s24m_tape_check(const s24m_model *model);
/* Floats that it takes for `most` tokens. */
int64_t s24m_tape_floats(const s24m_model *model, int64_t most);
bool s24m_tape_open(s24m_tape *t, s24m_model *model, int64_t most);
void s24m_tape_close(s24m_tape *t);
/* y = block(x): x (sequences * length, hidden) is left as it is. */
bool s24m_tape_forward(s24m_tape *t, const s24m_block *block, const float *x, int64_t sequences,
                       int64_t length);
/* Set t->dy before. */
bool s24m_tape_back(s24m_tape *t, s24m_gradients *to);

/* ---- tape_steps.c: the ways back of steps.h ---- */

/* Of the norm at the head of a stage: t->dy is added to. */
s24_status s24m_back_input_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dx);
/* Of s24m_step_attention() and s24m_step_gate(): dout from that of the next input. */
s24_status s24m_back_finish_attention(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                      float *const dout[S24M_ABREAST]);
s24_status s24m_back_finish_gate(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                 float *const dout[S24M_ABREAST]);

#endif
