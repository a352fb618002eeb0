/* Where the heads of q, k and v stand among the outputs of a block's tensors, and what is added to
 * their scores. */
#ifndef S24M_HEADS_H
#define S24M_HEADS_H
#include "stages.h"

/* A token's heads among the outputs of the tensors: in groups, of one key's head each. */
typedef struct heads {
    float *data;
    int64_t token; /* floats from one token to the next */
    int64_t count, in_group;
    int64_t group, head; /* floats from one group, one head to the next */
} heads;

static inline float *head_at(const heads *h, int64_t token, int64_t head)
{
    return h->data + token * h->token + head / h->in_group * h->group +
           head % h->in_group * h->head;
}

/* Of the outputs of the tensors of attention. */
void s24m_find_heads(const s24m_model *model, float *const out[S24M_ABREAST], heads *q, heads *k,
                     heads *v);
/* What is added to the scores of a head's keys at the places from `low` on. */
void s24m_rises(const s24m_model *model, int64_t head, int64_t low, int64_t count, double *rises);
/* What q at this place of a row is multiplied by, where it grows. */
float s24m_stretch(const s24m_rope *rope, int64_t position);

#endif
