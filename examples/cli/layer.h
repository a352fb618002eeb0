/* One layer from the command line: its files, its problem and what was learned from the
 * activations. Knows no solver. */
#ifndef LAYER_H
#define LAYER_H
#include "args.h"
#include "source.h"

typedef struct layer {
    s24_ctx *ctx;
    source weights, calib, test, mask,
        importance; /* test, mask, importance: path NULL if not given */
    s24_gram *gram, *test_gram;
    s24_problem *problem;
    s24_problem *test_problem; /* the same weights on the held-out rows; NULL without --test */
} layer;

/* The cheap part, so that mistakes show before any work: context, files, shapes, constraints. */
bool layer_open(layer *l, const args *a);
/* Read the activations. */
bool layer_calibrate(layer *l);
void layer_close(layer *l);

/* A context with the options of the command line. */
bool context_open(s24_ctx **ctx, const args *a);

#endif
