/* Norms of the gradients of the weights of all blocks: of the mean of -log p of a row's tokens,
 * over rows. All inputs of blocks are kept, then one block after the other goes back, the last
 * first: one block is in memory. */
#ifndef S24M_IMPORTANCE_H
#define S24M_IMPORTANCE_H
#include "activations.h"
#include "tokens.h"
#include "watch.h"
#include "model.h"

/* What is written of g_s, the gradient of row s, over n rows. */
enum {
    S24M_L1,     /* sum |g_s| */
    S24M_L2,     /* sqrt(sum g_s^2) */
    S24M_FISHER, /* sum g_s^2 / n: the diagonal of the empirical Fisher information */
    S24M_NORMS
};
/* As tensors are called: "<matrix>.l1" .. */
extern const char *const s24m_norm_names[S24M_NORMS];

typedef struct s24m_scoring {
    s24m_model *model;
    s24m_watch *watch;
    const tokens *rows;
    int keep;           /* KEEP_... of activations.h */
    const char *folder; /* where KEEP_DISK keeps them */
    bool wanted[S24M_NORMS];
    s24_file *file; /* open to be written; not committed */
    double mean;    /* out: of -log p over all predicted tokens */
} s24m_scoring;

/* S24_E_UNSUPPORTED: a step of the blocks has no way back, or there is no head. S24_E_NUMERIC names
 * block and matrix of a gradient that is no number. */
bool s24m_importance(s24m_scoring *s);
/* Memory that it takes outside the library. */
uint64_t s24m_importance_bytes(const s24m_model *model, int keep, int64_t rows, int64_t length);

#endif
