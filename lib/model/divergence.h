/* The end of a distillation: how far the next tokens that a model expects are from those that its
 * teacher expects, KL(softmax(teacher) || softmax(model)), or from those that come, and what that
 * changes by with the last hidden states. Logits are made for some tokens at a time. Knows heads,
 * no blocks. */
#ifndef S24M_DIVERGENCE_H
#define S24M_DIVERGENCE_H
#include "model.h"

typedef struct s24m_divergence {
    const s24m_model *model, *teacher;
    s24m_head head, taught; /* of the model, whose gain may be trained; of the teacher */
    float *table;           /* the model's, turned: (hidden, vocab) */
    float *logits[2];       /* (chunk, vocab): the model's, the teacher's */
    float *slopes;          /* of the cap; NULL: there is none */
    float *dx;              /* (chunk, hidden) */
    double *losses;         /* of the chunk's tokens */
    float *gain, *shift;    /* where gradients of the last norm are added; NULL: not wanted */
    int64_t chunk;
} s24m_divergence;

/* The heads are read. `teacher` NULL: there is none. S24_E_SHAPE: the models know different tokens.
 * `back`: gradients are wanted. */
bool s24m_divergence_open(s24m_divergence *d, const s24m_model *model, const s24m_model *teacher,
                          bool back);
/* *sum is added to: over `count` tokens, from the hidden states h and those of the teacher, both
 * (count, hidden). dh (NULL: not wanted) becomes `scale` times what the sum changes by with h, and
 * the gradients of the last norm are added to by as much. */
bool s24m_divergence_run(s24m_divergence *d, const float *h, const float *taught, int64_t count,
                         double scale, double *sum, float *dh);
/* The same of -log p of the tokens `next` that come (below 0: of none). Opened with `back`. */
bool s24m_divergence_predict(s24m_divergence *d, const float *h, const int32_t *next, int64_t count,
                             double scale, double *sum, float *dh);
void s24m_divergence_close(s24m_divergence *d);
/* Memory beside the files, and operations of a token, forth and back. */
uint64_t s24m_divergence_bytes(const s24m_model *model);
double s24m_divergence_flops(const s24m_model *model);

#endif
