/* Adam (Kingma, Ba: Adam: a method for stochastic optimization; arXiv 1412.6980) over parameters
 * that lie where they lie, with a rate of its own for each. Knows arrays, no model. */
#ifndef S24M_ADAM_H
#define S24M_ADAM_H
#include "fail.h"

typedef struct s24m_parameter {
    const char *name;     /* for errors; must last */
    float *values;        /* own copy, that is changed */
    float *gradient;      /* own, to be added to; cleared by a step */
    float *mean, *square; /* moments */
    float *best;          /* kept state */
    unsigned char *kept;  /* 0: stays 0 whatever its gradient; NULL: all are free */
    int64_t count;
    double size; /* root mean square of the values, of those that are kept, at the start */
} s24m_parameter;

typedef struct s24m_adam {
    s24_ctx *ctx;
    s24m_parameter *parameters;
    int32_t count, room;
    double rate; /* of a step, relative to the size of each parameter */
    double end;  /* the rate falls to this share of it as a cosine does */
    int64_t step, steps;
} s24m_adam;

bool s24m_adam_open(s24m_adam *a, s24_ctx *ctx, int32_t most);
/* Train a copy of these values; NULL without memory. `masked`: what is 0 stays 0. */
s24m_parameter *s24m_adam_add(s24m_adam *a, const char *name, const float *values, int64_t count,
                              bool masked);
/* From the gradients of a batch; S24_E_NUMERIC names the parameter of one that is no number. The
 * first 5 % of the steps warm up. */
bool s24m_adam_step(s24m_adam *a);
/* Keep the state of the values, or go back to what was kept, with moments at 0. */
void s24m_adam_keep(s24m_adam *a);
void s24m_adam_return(s24m_adam *a);
void s24m_adam_close(s24m_adam *a);
/* Bytes for a parameter, beside its values. */
uint64_t s24m_adam_bytes(int64_t count);

#endif
