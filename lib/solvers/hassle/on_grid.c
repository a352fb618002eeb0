#include "hassle.h"
#include <math.h>

/* S on a grid, and L for what that leaves. */

/* Codes for W - L under the pattern, and z = what they decode to. */
static s24_status quantise(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_pattern fixed = job->layer.pattern;
    s24i_descent_limits limits = {30, 1};
    int64_t n = job->layer.cols;
    int32_t sweeps;
    fixed.mask = job->mask;
    s24_status status = s24i_gridding_sweep(job, &r->prepared, &fixed, true, r->key, a->h, &r->g);
    if (!status)
        status =
            s24i_descend(job->ops, job->arena, job->watch, &r->prepared, &job->layer.pattern, a->h,
                         job->layer.rows, limits, &r->g.grid, r->g.codes, job->mask, &sweeps);
    if (status || s24i_counting(job->arena))
        return status;
    status = s24i_grid_decode(job->ops, &r->g.grid, job->mask, job->layer.rows, r->g.codes, a->z);
    for (int64_t i = 0; i < job->layer.rows * n; i++)
        a->z[i] *= r->prepared.dead[i % n] ? 0 : r->prepared.scale[i % n];
    return status;
}

/* Scales from S as it is; they follow the codes from round to round, which end when one does not help: the result is the best of them. */
s24_status s24i_hassle_rounds_on_grid(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    double best = INFINITY, now = 0;
    bool counting = s24i_counting(job->arena);
    s24_status status = s24i_variances(job->ops, job->arena, &r->prepared, r->variance);
    if (!status)
        status = s24i_gridding_fit(job, &r->prepared, r->o->grid, r->variance, a->z, &r->g);
    if (counting) {
        quantise(r);
        return s24i_hassle_loss(r, &now);
    }
    s24i_gridding_key(&r->prepared, r->variance, r->key);
    for (int64_t t = 0; t < r->o->rounds && !status; t++) {
        status = s24i_lowrank_rest(&a->low, job->arena, job->w, a->h);
        if (!status)
            status = quantise(r);
        if (!status)
            status = s24i_hassle_fit_rest(r, S24I_HASSLE_FIT_POLISH);
        if (!status)
            status = s24i_hassle_loss(r, &now);
        if (status || !(now < best))
            break;
        best = now;
        s24i_hassle_save_best(r);
        if (s24i_watch_stopped(job->watch))
            break;
    }
    if (status)
        return status;
    s24i_hassle_restore_best(r);
    return s24i_gridding_finish(job, &r->g, a->z);
}
