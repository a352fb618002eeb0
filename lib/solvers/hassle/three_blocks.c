#include "hassle.h"
#include <math.h>

/* method=3basil: the published three-block ADMM (Makni et al. 2026). */
enum {
    LOOK = 10,      /* iterations between looks at the support */
    AT_LEAST = 100, /* iterations before it may stop */
};

static s24_status project_largest(s24i_hassle *r, const float *w)
{
    s24i_job *job = r->job;
    const s24i_matrix *matrix = &job->matrix;
    s24_status status = s24i_project(job->run, &matrix->constraints, w, NULL, matrix->rows,
                                     matrix->cols, job->mask);
    return status ? status
                  : s24i_apply_mask(job->run, w, job->mask, matrix->rows, matrix->cols, r->split.z);
}

/* The unconstrained iterate's support and values, L as it is. */
static s24_status end_unconstrained(s24i_hassle *r)
{
    s24i_split *a = &r->split;
    s24_status status = s24i_subtract(r->job->run, r->job->w, a->h, s24i_job_size(r->job), a->z);
    return status ? status : project_largest(r, a->z);
}

static s24_status start_largest(s24i_hassle *r)
{
    r->split.dual = 1;
    return project_largest(r, r->job->w);
}

static s24_status start(s24i_hassle *r, int64_t *kept)
{
    const s24i_job *job = r->job;
    size_t size = (size_t)s24i_job_size(job);
    s24_status status = start_largest(r);
    if (!status)
        status = s24i_lowrank_start(job->run, &r->split.low, job->w);
    if (!status)
        status = s24i_lowrank_clear(job->run, &r->split.low);
    if (!status)
        status = s24i_copy(job->run, job->mask, size, r->seen);
    return status ? status : s24i_count_kept(job->run, job->mask, (int64_t)size, kept);
}

/* A look at the support: the next penalty, a new start where it has settled before it ever grew;
 * r->converged when all is done. */
static s24_status look(s24i_hassle *r, double kept, bool *grew, double *rho)
{
    static const double growth[] = {1.1, 1.05, 1.02};
    int64_t moved = 0;
    s24_status status =
        s24i_count_changed(r->job->run, r->job->mask, s24i_job_size(r->job), r->seen, &moved);
    double changed = (double)moved;
    bool restart = !*grew && changed > 0 && !(changed > 0.005 * kept);
    r->converged = !s24i_penalty_grows(growth, changed, kept, grew, rho) ||
                   (r->iterations >= AT_LEAST && changed < 3e-4 * kept);
    return status || !restart || r->converged ? status : start_largest(r);
}

s24_status s24i_hassle_three_blocks(s24i_hassle *r)
{
    const s24i_run *run = r->job->run;
    s24i_split *a = &r->split;
    int64_t iterations = s24i_hassle_length(r, 2000), kept = 0;
    double rho = r->o->rho > 0 ? r->o->rho : 0.1;
    bool grew = false;
    s24_status status = start(r, &kept);
    r->converged = false;
    s24i_watch_phase(run->watch, "admm", iterations);
    for (int64_t t = 0; t < iterations && !r->converged && !status; t++) {
        if (t % LOOK == 0)
            status = s24i_split_penalty(run, a, rho);
        if (!status)
            status = s24i_split_iterate(run, a, true);
        r->iterations++;
        if (s24i_watch_step(run->watch, 1, NAN, NAN))
            break;
        if (!status && t % LOOK == LOOK - 1)
            status = look(r, (double)kept, &grew, &rho);
    }
    return status ? status : end_unconstrained(r);
}
