#include "solver.h"

/* Largest magnitudes: mask = top |W_ij| in each group, row or layer; the weights that stay are
 * not changed (with a target they are W*'s). */

static s24_status solve(s24i_job *job, const void *values)
{
    (void)values;
    const s24i_matrix *matrix = &job->matrix;
    s24_status status = s24i_aim(job->run, matrix, job->w);
    if (!status)
        status = s24i_project(job->run, &matrix->constraints, job->w, NULL, matrix->rows,
                              matrix->cols, job->mask);
    if (!status)
        status = s24i_apply_mask(job->run, job->w, job->mask, matrix->rows, matrix->cols, job->v);
    return status;
}

static const s24i_option options[] = {{0}};

const s24i_solver_class s24i_solver_magnitude = {
    .name = "magnitude",
    .title = "largest magnitudes stay, unchanged",
    .constraints = "n:m, n:mt, n:m dense, sparsity",
    .paper = "the baseline of every pruning paper",
    .cost = "one pass over the weights",
    .honours = S24I_HAS_PATTERN | S24I_HAS_DENSE | S24I_HAS_BOTH | S24I_HAS_SPARSITY,
    .still = true,
    .blind = true,
    .options = options,
    .values_size = 0,
    .solve = solve,
};
