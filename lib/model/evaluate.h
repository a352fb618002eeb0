/* Perplexity of a model on rows of tokens, and what the machine could do meanwhile. */
#ifndef EVALUATE_H
#define EVALUATE_H
#include "engine.h"
#include "model.h"
#include "ranks.h"
#include "tokens.h"
#include "watch.h"

typedef struct evaluation {
    double mean; /* of -log p over the predicted tokens; its exponential is the perplexity */
    double seconds, flops;
} evaluation;

/* How to go about it. */
typedef struct evaluating {
    s24m_watch *watch;
    const char *title; /* goes with the progress */
    uint64_t memory;   /* that all of it may take, s24m_evaluate_bytes() at least; 0: no limit */
    s24m_ranks *ranks; /* that share the rows; NULL: this process alone */
    /* Changes the weights of a block that was read, or NULL. */
    bool (*adjust)(void *arg, s24m_block *block);
    void *arg;
    const s24m_engine *engine; /* whose weights are used instead of the file's; or NULL */
} evaluating;

/* Each row is one sequence; layer by layer over all rows, or as many as memory allows, so that
 * weights are read once. The same bits for any number of rows at a time. */
bool s24m_evaluate(s24m_model *model, const tokens *t, const evaluating *how, evaluation *e);
/* h (rows, length, hidden): what all blocks make of all rows. */
bool s24m_evaluate_blocks(s24m_model *model, const tokens *t, const evaluating *how, float *h);
/* The memory it takes outside the library for `rows` rows at a time. */
uint64_t s24m_evaluate_bytes(const s24m_model *model, const tokens *t, int64_t rows);
/* Rows that the model can take at all; `what` names the argument in the message. */
bool s24m_evaluate_check(const s24m_model *model, const tokens *t, const char *what);
/* Operations a second of large products: the best of one to eight, as many as take a hundredth of
 * `flops`, the work that the rate is compared with. */
bool s24m_product_rate(s24_ctx *ctx, double flops, double *rate);

#endif
