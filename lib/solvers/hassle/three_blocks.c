#include "hassle.h"
#include <math.h>

/* method=3basil: the published three-block ADMM (Makni et al. 2026). */
enum {
    LOOK = 10,      /* between looks at the support */
    AT_LEAST = 100, /* iterations before it may stop */
};

/* The unconstrained iterate's support and values, L as it is. */
static s24_status end_unconstrained(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    for (size_t i = 0; i < s24i_hassle_size(r); i++)
        a->z[i] = job->w[i] - a->h[i];
    s24_status status = s24i_project(job->ops, job->arena, &job->layer.pattern, a->z, NULL,
                                     job->layer.rows, job->layer.cols, job->mask);
    return status
               ? status
               : s24i_apply_mask(job->ops, a->z, job->mask, job->layer.rows, job->layer.cols, a->z);
}

static s24_status start_largest(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24_status status = s24i_project(job->ops, job->arena, &job->layer.pattern, job->w, NULL,
                                     job->layer.rows, job->layer.cols, job->mask);
    if (status || s24i_counting(job->arena))
        return status;
    a->dual = 1;
    return s24i_apply_mask(job->ops, job->w, job->mask, job->layer.rows, job->layer.cols, a->z);
}

s24_status s24i_hassle_three_blocks(s24i_hassle *r)
{
    static const double growth[] = {1.1, 1.05, 1.02};
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    int64_t iterations = s24i_hassle_length(r, 2000), size = (int64_t)s24i_hassle_size(r);
    double rho = r->o->rho > 0 ? r->o->rho : 0.1, kept = 0;
    bool grew = false, busy = true;
    s24_status status = start_largest(r);
    if (s24i_counting(job->arena)) {
        s24i_split_penalty(job->arena, a, 1);
        return s24i_split_iterate(job->arena, a, true);
    }
    if (!status)
        status = s24i_lowrank_start(&a->low, job->w);
    memset(a->low.c, 0, (size_t)(a->low.width * job->layer.cols) * sizeof(float));
    memcpy(r->seen, job->mask, s24i_hassle_size(r));
    for (int64_t i = 0; i < size; i++)
        kept += job->mask[i];
    s24i_watch_phase(job->watch, "admm", iterations);
    for (int64_t t = 0; t < iterations && busy && !status; t++) {
        if (t % LOOK == 0)
            status = s24i_split_penalty(job->arena, a, rho);
        if (!status)
            status = s24i_split_iterate(job->arena, a, true);
        r->iterations++;
        if (s24i_watch_step(job->watch, 1, NAN, NAN))
            break;
        if (t % LOOK != LOOK - 1)
            continue;
        double changed = (double)s24i_changed(job->mask, size, r->seen);
        bool restart = !grew && changed > 0 && !(changed > 0.005 * kept);
        busy = s24i_penalty_grows(growth, changed, kept, &grew, &rho) &&
               !(r->iterations >= AT_LEAST && changed < 3e-4 * kept);
        if (restart && busy)
            status = start_largest(r);
    }
    r->converged = !busy;
    return status ? status : end_unconstrained(r);
}
