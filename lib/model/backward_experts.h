/* The way back through the choice of experts: the choice itself has no slope, the weights of what
 * was chosen do, as in the models' own training. Knows arrays. */
#ifndef S24M_BACKWARD_EXPERTS_H
#define S24M_BACKWARD_EXPERTS_H
#include "backward.h"
#include "family.h"

/* Of the weights of the `used` experts that each of `tokens` tokens takes, as experts.c makes them
 * from a router's logits. */
typedef struct s24m_route_back {
    s24m_score kind;
    bool shares;         /* of the sum of what was taken */
    double factor, near; /* of the weights; of S24M_NEAR_BEST */
    int64_t tokens, count, used;
    const s24m_real *logits;   /* (tokens, count) */
    const int32_t *taken;      /* (tokens, used) */
    const s24m_real *dweights; /* (tokens, used) */
    s24m_real *dlogits;        /* (tokens, count), set */
    s24m_real *room;           /* 3 count */
    bool *open;                /* count */
} s24m_route_back;
void s24m_back_route(const s24m_route_back *b);

#endif
