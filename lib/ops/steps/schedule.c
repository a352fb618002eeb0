#include "steps.h"
#include <math.h>
#include <string.h>

/* The schedules that the published codes of ALPS (Meng et al. 2024) and 3BASiL (arXiv 2603.01376) let the penalty follow: how much of the
 * support changed since the last look says by how much it grows. */
enum { CHECK = 3, SWITCH = 30 }; /* iterations between looks, before the late stop */

int64_t s24i_changed(const uint8_t *mask, int64_t size, uint8_t *seen)
{
    int64_t count = 0;
    for (int64_t i = 0; i < size; i++) {
        count += seen[i] != mask[i];
        seen[i] = mask[i];
    }
    return count;
}

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

static s24_status start(const s24i_ops *ops, s24i_arena *arena, s24i_admm *a)
{
    s24_status status =
        s24i_project(ops, arena, a->pattern, a->w, NULL, a->rows, a->p->dim, a->mask);
    return status || s24i_counting(arena) ? status : s24i_admm_start(ops, a, a->w);
}

s24_status s24i_admm_published(const s24i_ops *ops, s24i_arena *arena, s24i_admm *a, uint8_t *seen,
                               double rho, int64_t most, int32_t *iterations)
{
    static const double growth[] = {1.3, 1.2, 1.1};
    int64_t size = a->rows * a->p->dim;
    double kept = 0;
    bool grew = false, busy = true;
    s24_status status = start(ops, arena, a);
    *iterations = 0;
    if (s24i_counting(arena)) {
        s24i_admm_penalty(ops, arena, a, 1);
        return s24i_admm_iterate(ops, arena, a, CHECK);
    }
    s24i_watch_phase(a->watch, "admm", most);
    memcpy(seen, a->mask, (size_t)size);
    memcpy(a->b, a->w, (size_t)size * sizeof(float)); /* stopped before any iteration */
    for (int64_t i = 0; i < size; i++)
        kept += a->mask[i];
    while (busy && *iterations < most && !status) {
        int64_t left = most - *iterations;
        int32_t steps = (int32_t)(left < CHECK ? left : CHECK);
        status = s24i_admm_penalty(ops, arena, a, rho);
        if (!status)
            status = s24i_admm_iterate(ops, arena, a, steps);
        *iterations += steps;
        if (status || s24i_watch_step(a->watch, steps, NAN, NAN))
            break;
        double changed = (double)s24i_changed(a->mask, size, seen);
        bool restart = !grew && changed > 0 && !(changed > 0.005 * kept);
        busy = s24i_penalty_grows(growth, changed, kept, &grew, &rho) &&
               !(*iterations > SWITCH && changed < 3e-4 * kept);
        if (restart && busy)
            status = start(ops, arena, a);
    }
    return status;
}
