#ifndef SPARSE24_SPARSE24_H
#define SPARSE24_SPARSE24_H

/**
 * libsparse24: N:M sparsity and layer-wise compression of neural-network weights.
 *
 * Data flows one way: activations -> s24_gram (and s24_cross) -> s24_problem -> s24_solver ->
 * s24_result -> s24_packed or a file. Each noun is an opaque handle, each arrow a function.
 * s24_compress() does all of it in one call.
 */
#include "version.h"
#include "types.h"
#include "context.h"
#include "problem.h"
#include "solver.h"
#include "result.h"
#include "record.h"
#include "packed.h"
#include "operators.h"
#include "training.h"
#include "tensorfile.h"

#endif
