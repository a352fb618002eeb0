/*
 * The algebra that solvers are written in: products, factorisations, sweeps, conjugate gradients, selections, losses. Knows matrices,
 * tiles, BLAS and kernels; not handles, options or methods.
 *
 * Matrices are row-major and contiguous unless a stride is named: W and V are rows x cols (a layer's outputs x inputs), H is cols x cols.
 * Every operation cuts its work by shape alone, so the bits do not depend on the threads. Scratch comes from the arena given; an operation
 * leaves `arena->used` as it found it. With a counting arena (base NULL) an operation only takes its scratch and returns: the same code
 * predicts memory and uses it.
 */
#ifndef S24I_OPS_H
#define S24I_OPS_H
#include "ops/steps/steps.h"

#endif
