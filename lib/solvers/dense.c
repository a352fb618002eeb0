#include "solver.h"

/* Columns that stay whole beside n:m, for any solver of n:m: it is given the other columns as a
 * problem of their own (ops/steps/dense.c). */

static s24_status take_importance(s24i_job *job, const s24i_reduced *reduced, s24_mat *view)
{
    s24i_arena *arena = job->run->arena;
    const s24i_matrix *all = &job->matrix;
    int64_t others = reduced->matrix.cols;
    float *given = s24i_arena_take(arena, (size_t)(all->rows * all->cols), sizeof(float));
    float *part = s24i_arena_take(arena, (size_t)(all->rows * others), sizeof(float));
    *view = s24i_view(part ? part : job->w, all->rows, others);
    s24_status status = s24i_mat_read(job->run, job->importance, "importance", given);
    return status ? status
                  : s24i_gather_columns(job->run, given, all->rows, all->cols, reduced, part);
}

/* What the solver says of its run, and its parts, as those of the whole. */
static void report(const s24i_job *part, s24i_job *job)
{
    s24i_job whole = *job;
    *job = *part;
    job->matrix = whole.matrix;
    job->importance = whole.importance;
    job->w = whole.w;
    job->v = whole.v;
    job->mask = whole.mask;
}

s24_status s24i_solve_dense(const s24i_solver_class *class, s24i_job *job, const void *values)
{
    const s24i_run *run = job->run;
    const s24i_matrix *matrix = &job->matrix;
    int32_t *at = s24i_job_part(job, "dense", 1, matrix->constraints.dense, S24_I32)->data;
    s24i_reduced reduced;
    s24_mat importance;
    s24_status status = s24i_aim(run, matrix, job->w);
    if (!status)
        status = s24i_choose_dense(run, matrix, job->w, at);
    if (!status)
        status = s24i_reduce_dense(run, matrix, job->w, at, class->still, &reduced);
    if (status)
        return status;
    s24i_job part = *job;
    size_t size = (size_t)(matrix->rows * reduced.matrix.cols);
    part.matrix = reduced.matrix;
    part.w = reduced.w ? reduced.w : job->w;
    part.v = s24i_arena_take(run->arena, size, sizeof(float));
    part.mask = s24i_arena_take(run->arena, size, 1);
    if (job->importance) {
        status = take_importance(job, &reduced, &importance);
        part.importance = &importance;
    }
    if (s24i_counting(run)) { /* an address that nobody looks at */
        part.v = job->v;
        part.mask = job->mask;
    }
    if (!status)
        status = class->solve(&part, values);
    if (!status)
        status =
            s24i_restore_dense(run, &reduced, at, job->w, part.v, part.mask, job->v, job->mask);
    report(&part, job);
    return status;
}
