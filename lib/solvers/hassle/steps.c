#include "hassle.h"

/* What methods share: losses, the first point, the polish at the end, and the best so far. */
enum { CG_STEPS = 3 };

s24_status s24i_hassle_loss(s24i_hassle *r, double *value)
{
    double total = 0;
    *value = 0;
    s24_status status = s24i_row_losses(r->job->run, &r->target, r->split.z, r->row_loss, &total);
    return status ? status : s24i_lowrank_left(r->job->run, &r->split.low, total, value);
}

s24_status s24i_hassle_fit_rest(s24i_hassle *r, int32_t most)
{
    s24i_split *a = &r->split;
    s24_status status = s24i_split_rest(r->job->run, a);
    return status ? status : s24i_lowrank_fit(r->job->run, &a->low, a->h, 0, 0, most);
}

s24_status s24i_hassle_sweep(s24i_hassle *r, const float *wanted)
{
    s24i_target target = r->target;
    target.w = wanted;
    return s24i_sweep(r->job->run, &target, r->split.z, r->job->mask);
}

s24_status s24i_hassle_first_point(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24_status status = S24_OK;
    if (job->matrix.gram) {
        status = s24i_hassle_sweep(r, job->w);
    } else {
        status = s24i_project(job->run, &job->matrix.constraints, job->w, NULL, job->matrix.rows,
                              job->matrix.cols, job->mask);
        if (!status)
            status =
                s24i_copy(job->run, job->w, (size_t)s24i_job_size(job) * sizeof(float), r->split.z);
    }
    return status ? status : s24i_split_start(job->run, &r->split);
}

s24_status s24i_hassle_polish(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {CG_STEPS, 1e-6};
    s24i_target rest = r->target;
    int32_t steps;
    s24_status status = S24_OK;
    rest.w = a->h;
    for (int64_t k = 0; k < r->o->polish && !status; k++) {
        status = s24i_lowrank_rest(job->run, &a->low, job->w, a->h);
        if (!status)
            status = s24i_cg(job->run, &rest, job->mask, limits, a->z, &steps, &job->residual);
        if (!status)
            status = s24i_hassle_fit_rest(r, S24I_HASSLE_FIT_POLISH);
    }
    return status;
}

int64_t s24i_hassle_length(const s24i_hassle *r, int64_t usual)
{
    return r->o->max_iter ? r->o->max_iter : usual;
}

/* ---- the best so far ---- */

void s24i_hassle_keep(s24i_hassle *r, void *now, size_t size)
{
    void *best = s24i_arena_take(r->job->run->arena, size, 1);
    r->kept[r->kept_count].now = now;
    r->kept[r->kept_count].best = best;
    r->kept[r->kept_count++].size = size;
}

s24_status s24i_hassle_save_best(s24i_hassle *r)
{
    s24_status status = S24_OK;
    for (int32_t i = 0; i < r->kept_count && !status; i++)
        status = s24i_copy(r->job->run, r->kept[i].now, r->kept[i].size, r->kept[i].best);
    return status;
}

s24_status s24i_hassle_restore_best(s24i_hassle *r)
{
    s24_status status = S24_OK;
    for (int32_t i = 0; i < r->kept_count && !status; i++)
        status = s24i_copy(r->job->run, r->kept[i].best, r->kept[i].size, r->kept[i].now);
    return status;
}
