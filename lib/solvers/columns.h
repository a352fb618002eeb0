/* The columns that a solver chose, fitted again. Knows no method. */
#ifndef S24I_COLUMNS_H
#define S24I_COLUMNS_H
#include "damping.h"

/* Under the mask of the job; with the two-halves rule the damping is chosen for these columns. */
static inline s24_status s24i_fit_columns(s24i_job *job, const char *rule, s24i_damping damping)
{
    s24i_matrix matrix = job->matrix;
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    matrix.constraints.mask = job->mask;
    s24_status status = s24i_prepare(job->run, &matrix, damping, job->w, &prepared);
    if (!status)
        status = s24i_refit_columns(job->run, &target, job->mask, job->v);
    if (status)
        return status;
    s24i_report_damping(job, rule, &prepared);
    return s24i_unscale(job->run, &prepared, job->v, matrix.rows);
}

#endif
