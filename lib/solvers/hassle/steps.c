#include "hassle.h"

/* What methods share: losses, the first point, the polish at the end, and the best so far. */
enum { CG_STEPS = 3 };

s24_status s24i_hassle_row_loss(s24i_hassle *r, const float *v, double *total)
{
    s24i_job *job = r->job;
    *total = 0;
    s24_status status = s24i_row_losses(job->ops, job->arena, &r->prepared, job->w, job->layer.rows,
                                        v, r->row_loss);
    for (int64_t i = 0; !status && !s24i_counting(job->arena) && i < job->layer.rows; i++)
        *total += r->row_loss[i];
    return status;
}

s24_status s24i_hassle_loss(s24i_hassle *r, double *value)
{
    double total;
    s24_status status = s24i_hassle_row_loss(r, r->split.z, &total);
    return status || s24i_counting(r->job->arena)
               ? status
               : s24i_lowrank_left(&r->split.low, r->job->arena, total, value);
}

s24_status s24i_hassle_fit_rest(s24i_hassle *r, int32_t most)
{
    s24i_split *a = &r->split;
    s24_status status = s24i_split_rest(a);
    return status ? status
                  : s24i_lowrank_fit(&a->low, r->job->arena, r->job->watch, a->h, 0, 0, most, NULL);
}

s24_status s24i_hassle_sweep(s24i_hassle *r, const float *target)
{
    s24i_job *job = r->job;
    return s24i_sweep(job->ops, job->arena, job->watch, &r->prepared, &job->layer.pattern, target,
                      job->layer.rows, r->split.z, job->mask);
}

s24_status s24i_hassle_first_point(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24_status status = job->layer.gram
                            ? s24i_hassle_sweep(r, job->w)
                            : s24i_project(job->ops, job->arena, &job->layer.pattern, job->w, NULL,
                                           job->layer.rows, job->layer.cols, job->mask);
    if (status || s24i_counting(job->arena))
        return status;
    if (!job->layer.gram)
        memcpy(r->split.z, job->w, s24i_hassle_size(r) * sizeof(float));
    return s24i_split_start(job->arena, &r->split);
}

s24_status s24i_hassle_polish(s24i_hassle *r)
{
    s24i_job *job = r->job;
    s24i_split *a = &r->split;
    s24i_cg_limits limits = {CG_STEPS, 1e-6};
    int32_t steps;
    s24_status status = S24_OK;
    for (int64_t k = 0; k < r->o->polish && !status; k++) {
        if (!s24i_counting(job->arena))
            status = s24i_lowrank_rest(&a->low, job->arena, job->w, a->h);
        if (!status)
            status = s24i_cg(job->ops, job->arena, job->watch, &r->prepared, a->h, job->layer.rows,
                             job->mask, limits, a->z, &steps, &job->residual);
        if (!status && !s24i_counting(job->arena))
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
    void *best = s24i_arena_take(r->job->arena, size, 1);
    r->kept[r->kept_count].now = now;
    r->kept[r->kept_count].best = best;
    r->kept[r->kept_count++].size = size;
}

void s24i_hassle_save_best(s24i_hassle *r)
{
    for (int32_t i = 0; i < r->kept_count; i++)
        memcpy(r->kept[i].best, r->kept[i].now, r->kept[i].size);
}

void s24i_hassle_restore_best(s24i_hassle *r)
{
    for (int32_t i = 0; i < r->kept_count; i++)
        memcpy(r->kept[i].now, r->kept[i].best, r->kept[i].size);
}
