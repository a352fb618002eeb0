#include "hassle.h"
#include <math.h>

/* method=alternate: a sparse step by a chosen method and the exact L in turn (HASSLE-free, Makni et al. 2025). */

/* S by the published ALPS from a cold start, its penalty larger from round to round. */
static s24_status sparse_by_alps(s24i_hassle *r, int64_t round)
{
    enum { MOST = 200 };
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {10, 0};
    int32_t steps;
    double residual;
    r->admm.w = a->h;
    s24_status status = s24i_admm_published(job->ops, job->arena, &r->admm, r->seen,
                                            0.1 * (5 * (double)round + 1), MOST, &steps);
    if (!status)
        status = s24i_project(job->ops, job->arena, &job->layer.pattern, r->admm.b, NULL,
                              job->layer.rows, job->layer.cols, job->mask);
    if (!status && !s24i_counting(job->arena))
        status =
            s24i_apply_mask(job->ops, r->admm.b, job->mask, job->layer.rows, job->layer.cols, a->z);
    return status ? status
                  : s24i_cg(job->ops, job->arena, job->watch, &r->prepared, a->h, job->layer.rows,
                            job->mask, limits, a->z, &steps, &residual);
}

static s24_status sparse_step(s24i_hassle *r, int64_t round)
{
    s24i_split *a = &r->split;
    s24_status status = S24_OK;
    if (!s24i_counting(r->job->arena))
        status = s24i_lowrank_rest(&a->low, r->job->arena, r->job->w, a->h);
    if (status)
        return status;
    return strcmp(r->o->sparse, "alps") == 0 ? sparse_by_alps(r, round)
                                             : s24i_hassle_sweep(r, a->h);
}

s24_status s24i_hassle_alternate(s24i_hassle *r)
{
    s24i_job *job = r->job;
    int64_t rounds = s24i_hassle_length(r, 80);
    double best = INFINITY, now = 0;
    s24_status status = s24i_hassle_first_point(r);
    if (s24i_counting(job->arena)) {
        sparse_step(r, 0);
        return s24i_hassle_loss(r, &now);
    }
    for (int64_t t = 0; t <= rounds && !status; t++) {
        status = t ? sparse_step(r, t - 1) : S24_OK;
        if (!status && t)
            status = s24i_hassle_fit_rest(r, S24I_HASSLE_FIT_POLISH);
        if (!status)
            status = s24i_hassle_loss(r, &now);
        if (!status && now < best) {
            best = now;
            s24i_hassle_save_best(r);
        }
        r->iterations = (int32_t)t;
        s24i_watch_phase(job->watch, "round", 1); /* the steps have phases of their own */
        if (s24i_watch_step(job->watch, 1, now, NAN))
            break;
    }
    if (!status)
        s24i_hassle_restore_best(r);
    return status;
}
