#include "columns.h"

/*
 * Whole inputs removed (OSSCAR, Meng et al. 2024): the units of columns whose loss, all others
 * fitted again, grows least go in rounds; few units are tried in every combination. preset=paper is
 * the published code; preset=default damps each input by its own energy, and chooses how much for
 * the final fit on two halves of the rows.
 */

struct values {
    s24i_word preset;
    s24i_word damp_rule;
    double damp;
    s24i_word search;
    int64_t batch;
    int64_t swaps;
};

enum { GREEDY, ALL };

/* Columns and whole heads see other numbers of inputs go at once. */
static int64_t usual_batch(const struct values *o, const s24i_units *units)
{
    return o->batch ? o->batch : units->kind == S24I_UNIT_COLUMN ? 10 : 2;
}

static s24_status choose(s24i_job *job, const struct values *o, s24i_damping damping, int32_t *kept)
{
    const s24i_run *run = job->run;
    size_t mark = run->arena->used, size = (size_t)s24i_job_size(job) * sizeof(float);
    s24i_prepared prepared;
    s24i_target target = s24i_job_target(job, &prepared);
    float *aim = s24i_arena_take(run->arena, size, 1);
    s24i_removal how = {usual_batch(o, &job->matrix.constraints.units), o->search.index == ALL,
                        o->swaps};
    target.w = aim;
    s24_status status = s24i_copy(run, job->w, size, aim);
    if (!status)
        status = s24i_prepare(run, &job->matrix, damping, aim, &prepared);
    if (!status)
        status = s24i_remove_units(run, &target, how, job->mask, kept, &job->swaps);
    run->arena->used = mark;
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    const s24i_units *units = &job->matrix.constraints.units;
    bool columns = units->kind == S24I_UNIT_COLUMN;
    s24i_damping fitting = {o->damp_rule.index, o->damp, columns ? 3 : 1}, choosing = fitting;
    const s24_mat *kept = s24i_job_part(job, "kept", 1, units->keep, S24_I32);
    if (choosing.rule == S24I_DAMP_AUTO) {
        choosing.rule = S24I_DAMP_RELATIVE;
        choosing.value = columns ? 0.3 : 0.1;
    }
    s24_status status = choose(job, o, choosing, kept->data);
    if (!status)
        status = s24i_fit_columns(job, o->damp_rule.text, fitting);
    job->iterations = 1;
    return status;
}

static const s24i_option options[] = {
    S24I_OPTION_STR(
        struct values, preset, "default|paper|best", "default",
        "paper: the published method; best: columns go one at a time, then exact exchanges"),
    S24I_OPTION_STR(struct values, damp_rule, "auto|relative|mean|transfer", "auto",
                    "how the damping is chosen; auto: to choose columns 0.3 times each diagonal "
                    "entry, of heads 0.1, and for the fit on two halves of the rows; relative: "
                    "damp times each diagonal entry; mean: damp times their mean; transfer: 0.1, "
                    "relative, for use on other text"),
    S24I_OPTION_FLOAT(struct values, damp, 0, 100, "0.01",
                      "damping of damp_rule=relative and mean"),
    S24I_OPTION_STR(struct values, search, "greedy|all", "all",
                    "greedy: remove the cheapest units in rounds; all: try every choice where "
                    "there are up to 20000 and they are small, else greedy"),
    S24I_OPTION_INT(struct values, batch, 0, 100000, "0",
                    "units that go in a round of the greedy search; 0: 10 columns, 2 heads"),
    S24I_OPTION_INT(struct values, swaps, 0, 1000000, "0",
                    "exchanges of kept for removed columns at the end, at most; each is the best "
                    "of all, priced exactly"),
    {0},
};

static const s24i_preset presets[] = {
    {"default", ""},
    {"paper", "damp_rule=mean,damp=0.01,search=greedy"},
    {"best", "batch=1,swaps=10000"},
    {0},
};

const s24i_solver_class s24i_solver_osscar = {
    .name = "osscar",
    .title = "whole inputs or heads removed by what the loss grows by, the rest fitted again",
    .constraints = "columns, heads, groups",
    .paper = "Meng, Ibrahim, Behdin, Hazimeh, Ponomareva, Mazumder 2024, arXiv 2403.12983",
    .cost = "rows cols^2 + 6 removed cols^2 flops; heads: choices (removed inputs)^3",
    .honours = S24I_HAS_UNITS,
    .needs = S24I_HAS_UNITS,
    .options = options,
    .presets = presets,
    .values_size = sizeof(struct values),
    .solve = solve,
};
