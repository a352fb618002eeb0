#include "hassle.h"
#include <math.h>

/* method=joint: one ADMM over S and L, the right factor of L eliminated
 * (ops/steps/sparse_lowrank.c). */
enum { HOLD = 8 }; /* iterations between changes of rho */
#define MOMENTUM 0.9f

/* Of all that a product could be. */
static double share_of_rank(const s24i_hassle *r)
{
    const s24i_matrix *matrix = &r->job->matrix;
    return (double)r->split.low.rank / fmin((double)matrix->rows, (double)matrix->cols);
}

/* The more L can take, the longer the support stays open. */
static double usual_end(const s24i_hassle *r, double unit)
{
    return fmax(fmax(0.25, 0.55 - 1.3 * share_of_rank(r)), unit);
}

static s24_status iterate(s24i_hassle *r, double unit)
{
    const s24i_run *run = r->job->run;
    int64_t iterations = s24i_hassle_length(r, share_of_rank(r) < 0.1 ? 128 : 96);
    double start = (r->o->rho > 0 ? r->o->rho : 0.2) * unit;
    double ratio = (r->o->rho_end > 0 ? r->o->rho_end : usual_end(r, unit)) / start;
    s24_status status = S24_OK;
    s24i_watch_phase(run->watch, "admm", iterations);
    for (int64_t t = 0; t < iterations && !status; t++) {
        double share = iterations > 1 ? (double)(t / HOLD * HOLD) / (double)(iterations - 1) : 1;
        if (t % HOLD == 0)
            status = s24i_split_penalty(run, &r->split, start * pow(ratio, share));
        if (!status)
            status = s24i_split_iterate(run, &r->split, t % HOLD == HOLD - 1);
        r->iterations++;
        if (s24i_watch_step(run->watch, 1, NAN, NAN))
            break;
    }
    return status;
}

s24_status s24i_hassle_joint(s24i_hassle *r)
{
    s24i_job *job = r->job;
    float *z = r->split.z;
    double first = 0, last = 0, unit = 1;
    s24_status status = s24i_hassle_first_point(r);
    r->split.low.momentum = MOMENTUM;
    if (!status)
        status = s24i_hassle_loss(r, &first);
    if (!status)
        status = s24i_penalty_unit(job->run, &r->prepared, &unit);
    if (!status)
        status = iterate(r, unit);
    if (!status)
        status = s24i_apply_mask(job->run, z, job->mask, job->matrix.rows, job->matrix.cols, z);
    if (!status)
        status = s24i_hassle_fit_rest(r, 1);
    if (!status)
        status = s24i_hassle_polish(r);
    if (!status)
        status = s24i_hassle_loss(r, &last);
    return status || last <= first ? status : s24i_hassle_first_point(r);
}
