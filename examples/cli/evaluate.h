/* Perplexity of a model on rows of tokens, and what the machine could do meanwhile. Prints nothing
 * but progress and errors. */
#ifndef EVALUATE_H
#define EVALUATE_H
#include "llama.h"
#include "tokens.h"

typedef struct evaluation {
    double mean; /* of -log p over the predicted tokens; its exponential is the perplexity */
    double seconds, flops;
} evaluation;

/* Each row is one sequence; layer by layer over all rows, so that weights are read once. `title` goes
 * with the progress. */
bool evaluate(llama_model *model, const tokens *t, const char *title, evaluation *e);
/* Rows that the model can take at all; `what` names the argument in the message. */
bool evaluate_check(const llama_model *model, const tokens *t, const char *what);
/* Operations a second of large products: the best of some. */
bool product_rate(s24_ctx *ctx, double *rate);

#endif
