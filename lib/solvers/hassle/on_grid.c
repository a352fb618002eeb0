#include "hassle.h"
#include <math.h>

/* S on a grid, and L for what that leaves. */

/* Codes for W - L under the constraints, and z = what they decode to. */
static s24_status quantise(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_constraints fixed = job->matrix.constraints;
    s24i_target rest = r->target, on_mask;
    s24i_descent_limits limits = {30, 1};
    int32_t sweeps;
    rest.w = a->h;
    on_mask = rest;
    fixed.mask = job->mask;
    on_mask.constraints = &fixed;
    s24_status status = s24i_gridding_sweep(job, &on_mask, true, r->key, &r->g);
    if (!status)
        status = s24i_descend(job->run, &rest, limits, &r->g.grid, r->g.codes, job->mask, &sweeps);
    if (!status)
        status =
            s24i_grid_decode(job->run, &r->g.grid, job->mask, job->matrix.rows, r->g.codes, a->z);
    return status ? status : s24i_scale(job->run, &r->prepared, a->z, job->matrix.rows);
}

/* Scales from S as it is; they follow the codes from round to round, which end when one does not
 * help: the result is the best of them. */
s24_status s24i_hassle_rounds_on_grid(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    double best = INFINITY, now = 0;
    s24_status status = s24i_variances(job->run, &r->prepared, r->variance);
    if (!status)
        status = s24i_gridding_fit(job, &r->prepared, r->o->fit.index, r->variance, a->z, &r->g);
    if (!status)
        status =
            s24i_input_weights(job->run, &r->prepared, r->variance, S24I_WEIGHT_ENERGY, r->key);
    for (int64_t t = 0; t < r->o->rounds && !status; t++) {
        status = s24i_lowrank_rest(job->run, &a->low, job->w, a->h);
        if (!status)
            status = quantise(r);
        if (!status)
            status = s24i_hassle_fit_rest(r, S24I_HASSLE_FIT_POLISH);
        if (!status)
            status = s24i_hassle_loss(r, &now);
        if (status == S24_E_CANCELLED && t > 0)
            status = S24_OK, now = INFINITY; /* the best of the rounds before is there */
        if (status || !(now < best))
            break;
        best = now;
        status = s24i_hassle_save_best(r);
        if (s24i_watch_stopped(job->run->watch))
            break;
    }
    if (!status)
        status = s24i_hassle_restore_best(r);
    return status ? status : s24i_gridding_finish(job, &r->g, a->z);
}
