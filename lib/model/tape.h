/* Whole sequences through one block with everything kept that the way back needs, and the way back:
 * from the gradient of the block's output to those of its parameters and of its input. Goes over
 * the table of stages as the forward pass does, and has its bits. */
#ifndef S24M_TAPE_H
#define S24M_TAPE_H
#include "heads.h"
#include "program.h"

/* Where gradients are added; NULL: not wanted. */
typedef struct s24m_gradients {
    float **weights, **bias; /* of each matrix */
    float *gain[S24M_VECTORS], *shift[S24M_VECTORS];
} s24m_gradients;
/* None wanted of so many matrices. */
bool s24m_gradients_open(s24m_gradients *g, int32_t matrices);
void s24m_gradients_close(s24m_gradients *g);

/* What a stage leaves. NULL where a stage has no need of it. */
typedef struct s24m_trace {
    float *h;                 /* the residual stream that its input was made from, or is added to */
    float *x;                 /* its input */
    float *out[S24M_ABREAST]; /* its outputs, as its finish leaves them */
    float *raw[2];            /* what norms change: q and k side by side, or what is added to h */
    float *route;             /* which experts each token takes, and their weights */
} s24m_trace;

typedef struct s24m_tape {
    s24m_model *model;
    const s24m_block *block;
    s24m_gradients *to;
    int64_t most, sequences, length; /* tokens that there is room for; what is on it */
    s24m_trace trace[S24M_STAGES];
    float *y;             /* the block's output, (tokens, hidden) */
    float *dy;            /* its gradient, which s24m_tape_back() turns into that of the input */
    float *dx[2];         /* of the inputs of a stage and of the one behind it */
    float *dout;          /* of a stage's outputs */
    float *spare[2];      /* as large, or as the heads of q */
    float *heads[2][3];   /* q, k, v side by side and their gradients, where tensors mix them */
    float *aside, *dlast; /* a parallel block's attention; the gradient of what both branches add */
    float *dswitch;       /* of what switches the expert for all tokens on */
    float *room;
} s24m_tape;

/* Every step of the model's blocks has a way back; S24_E_UNSUPPORTED names one that has none. */
bool s24m_tape_check(const s24m_model *model);
/* Floats that it takes for `most` tokens. */
int64_t s24m_tape_floats(const s24m_model *model, int64_t most);
/* Floats that the ways back take beside it: products' scratch, rows of experts. */
int64_t s24m_tape_scratch(const s24m_model *model, int64_t most);
bool s24m_tape_open(s24m_tape *t, s24m_model *model, int64_t most);
void s24m_tape_close(s24m_tape *t);
/* y = block(x): x (sequences * length, hidden) is left as it is. */
bool s24m_tape_forward(s24m_tape *t, const s24m_block *block, const float *x, int64_t sequences,
                       int64_t length);
/* Set t->dy before. */
bool s24m_tape_back(s24m_tape *t, s24m_gradients *to);

/* ---- tape_steps.c: the ways back of steps.h ---- */

/* Tokens on the tape. */
int64_t s24m_tape_tokens(const s24m_tape *t);
/* Into a matrix of the block: its gradients are added to where they are wanted, and so is dx
 * (NULL: not wanted). */
s24_status s24m_back_matrix(s24m_tape *t, int32_t which, const float *x, const float *dy,
                            int64_t count, float *dx);
/* Of the norm at the head of a stage: t->dy is added to. */
s24_status s24m_back_input_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dx);
/* Of the norm of the residual stream behind a stage: t->dy becomes what it was before. */
s24_status s24m_back_over_norm(s24m_tape *t, const s24m_stage *s, const s24m_trace *at);
/* Of what a stage adds or sets aside, to the gradient of its outputs, dout. */
s24_status s24m_back_finish_add(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                float *dout);
/* Of s24m_step_gate(): dout from that of the next input. */
s24_status s24m_back_finish_gate(s24m_tape *t, const s24m_trace *at, const float *dnext,
                                 float *const dout[S24M_ABREAST]);

/* ---- tape_attention.c ---- */

/* Heads of q and k as their tensors left them, side by side. */
void s24m_keep_heads(const s24m_tape *t, const s24m_trace *at);
/* Of s24m_step_attention(); `x` is what it left for the next stage. */
s24_status s24m_back_finish_attention(s24m_tape *t, const s24m_trace *at, const float *x,
                                      const float *dnext, float *const dout[S24M_ABREAST]);

/* ---- tape_experts.c ---- */

/* From the gradient of what experts add up to, to that of the stage's input, with all of their
 * matrices. */
s24_status s24m_back_experts_out(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                 const float *dy, float *dx);
/* The same of gate and up, and of the router. */
s24_status s24m_back_experts_in(s24m_tape *t, const s24m_stage *s, const s24m_trace *at,
                                const float *dnext, float *dx);

#endif
