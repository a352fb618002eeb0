#include "ops/ops.h"
#include <math.h>

/* The schedules that the published codes of ALPS (Meng et al. 2024) and 3BASiL (arXiv 2603.01376)
 * let the penalty follow: how much of the support changed since the last look says by how much it
 * grows. */
enum { CHECK = 3, SWITCH = 30 }; /* iterations between looks, before the late stop */

bool s24i_penalty_grows(const double growth[3], double changed, double kept, bool *grew,
                        double *rho)
{
    if (changed > 0.1 * kept)
        *rho *= growth[0];
    else if (changed > 0.005 * kept)
        *rho *= growth[1];
    else if (changed > 0 && *grew)
        *rho *= growth[2];
    else if (changed <= 0 && *grew)
        return false;
    else
        *rho /= 5;
    *grew |= changed > 0.005 * kept;
    *rho = fmin(*rho, 1e6);
    return true;
}

static s24_status start(const s24i_run *run, s24i_admm *a)
{
    s24_status status = s24i_project(run, a->target.constraints, a->target.w, NULL, a->target.rows,
                                     a->target.prepared->dim, a->mask);
    return status ? status : s24i_admm_start(run, a, a->target.w);
}

s24_status s24i_cpu_admm_published(const s24i_run *run, s24i_admm *a, uint8_t *seen, double rho,
                                   int64_t most, int32_t *iterations)
{
    static const double growth[] = {1.3, 1.2, 1.1};
    int64_t size = a->target.rows * a->target.prepared->dim;
    int64_t count = 0;
    bool grew = false, busy = true;
    s24_status status = start(run, a);
    *iterations = 0;
    if (s24i_counting(run)) {
        s24i_admm_penalty(run, a, 1);
        return s24i_admm_iterate(run, a, CHECK);
    }
    s24i_watch_phase(a->run->watch, "admm", most);
    if (!status)
        status = s24i_copy(run, a->mask, (size_t)size, seen);
    if (!status) /* should it be stopped before any iteration */
        status = s24i_copy(run, a->target.w, (size_t)size * sizeof(float), a->b);
    if (!status)
        status = s24i_count_kept(run, a->mask, size, &count);
    double kept = (double)count;
    while (busy && *iterations < most && !status) {
        int64_t left = most - *iterations;
        int32_t steps = (int32_t)(left < CHECK ? left : CHECK);
        status = s24i_admm_penalty(run, a, rho);
        if (!status)
            status = s24i_admm_iterate(run, a, steps);
        *iterations += steps;
        if (status || s24i_watch_step(a->run->watch, steps, NAN, NAN))
            break;
        int64_t changed;
        if ((status = s24i_count_changed(run, a->mask, size, seen, &changed)))
            break;
        bool restart = !grew && changed > 0 && !((double)changed > 0.005 * kept);
        busy = s24i_penalty_grows(growth, (double)changed, kept, &grew, &rho) &&
               !(*iterations > SWITCH && (double)changed < 3e-4 * kept);
        if (restart && busy)
            status = start(run, a);
    }
    return status;
}
