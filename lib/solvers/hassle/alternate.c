#include "hassle.h"
#include <math.h>

/* method=alternate: a sparse step by a chosen method and the exact L in turn (HASSLE-free, Makni et
 * al. 2025). */

/* S by the published ALPS from a cold start, its penalty larger from round to round. */
static s24_status sparse_by_alps(s24i_hassle *r, int64_t round)
{
    enum { MOST = 200 };
    s24i_job *job = r->job;
    const s24i_matrix *matrix = &job->matrix;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {10, 0};
    int32_t steps;
    double residual;
    r->admm.target.w = a->h;
    s24_status status = s24i_admm_published(job->run, &r->admm, r->seen,
                                            0.1 * (5 * (double)round + 1), MOST, &steps);
    if (!status)
        status = s24i_project(job->run, &matrix->constraints, r->admm.b, NULL, matrix->rows,
                              matrix->cols, job->mask);
    if (!status)
        status = s24i_apply_mask(job->run, r->admm.b, job->mask, matrix->rows, matrix->cols, a->z);
    return status ? status
                  : s24i_cg(job->run, &r->admm.target, job->mask, limits, a->z, &steps, &residual);
}

static s24_status sparse_step(s24i_hassle *r, int64_t round)
{
    s24i_split *a = &r->split;
    s24_status status = s24i_lowrank_rest(r->job->run, &a->low, r->job->w, a->h);
    if (status)
        return status;
    return r->o->sparse.index == S24I_HASSLE_BY_ALPS ? sparse_by_alps(r, round)
                                                     : s24i_hassle_sweep(r, a->h);
}

/* The loss of round t, its S and L kept when it is the least so far; true when no other round
 * should follow. */
static bool judge(s24i_hassle *r, int64_t t, double *best, s24_status *status)
{
    s24i_watch *watch = r->job->run->watch;
    double now = 0;
    *status = s24i_hassle_loss(r, &now);
    if (!*status && now < *best) {
        *best = now;
        *status = s24i_hassle_save_best(r);
    }
    r->iterations = (int32_t)t;
    s24i_watch_phase(watch, "round", 1); /* the steps have phases of their own */
    return s24i_watch_step(watch, 1, now, NAN);
}

s24_status s24i_hassle_alternate(s24i_hassle *r)
{
    int64_t rounds = s24i_hassle_length(r, 80);
    double best = INFINITY;
    bool last = false;
    s24_status status = s24i_hassle_first_point(r);
    if (!status)
        judge(r, 0, &best, &status);
    last = s24i_watch_stopped(r->job->run->watch);
    for (int64_t t = 1; t <= rounds && !status && !last; t++) {
        status = sparse_step(r, t - 1);
        if (!status)
            status = s24i_hassle_fit_rest(r, S24I_HASSLE_FIT_POLISH);
        if (!status)
            last = judge(r, t, &best, &status);
    }
    return status ? status : s24i_hassle_restore_best(r);
}
