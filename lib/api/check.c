#include "api.h"
#include <string.h>

/* Does a candidate, or all that a solver made, obey the constraints? */

static const s24_mat *part(const s24i_check *c, const char *name)
{
    for (int32_t i = 0; i < c->part_count; i++)
        if (!strcmp(c->parts[i].name, name))
            return &c->parts[i].mat;
    return NULL;
}

static s24i_solution solution_of(const s24i_check *c)
{
    return (s24i_solution){.name = c->name,
                           .weights = c->weights,
                           .mask = c->mask,
                           .sparse = part(c, "sparse"),
                           .u = part(c, "lowrank_u"),
                           .v = part(c, "lowrank_v"),
                           .codes = part(c, "codes"),
                           .scales = part(c, "scales"),
                           .zeros = part(c, "zeros"),
                           .outliers = part(c, "outliers")};
}

const s24_mat *s24i_check_subject(const s24i_check *c)
{
    s24i_solution s = solution_of(c);

    return s24i_subject(&s);
}

const int32_t *s24i_dense_places(const s24i_check *c)
{
    const s24_mat *dense = c->problem->constraints.dense ? part(c, "dense") : NULL;

    return dense ? dense->data : NULL;
}

static s24_status check_support(const s24i_check *c, const s24i_run *run)
{
    s24i_solution s = solution_of(c);
    const s24_mat *subject = s24i_subject(&s);
    s24i_constraints constraints = c->problem->constraints;
    size_t kept = run->arena->used, size = (size_t)(c->weights->rows * c->weights->cols);
    uint8_t *mask = c->problem->mask.data ? s24i_arena_take(run->arena, size, 1) : NULL;
    s24_status status = S24_OK;

    if (mask)
        status = s24i_problem_mask(c->problem, c->ctx, mask);
    constraints.mask = mask;
    constraints.dense_at = s24i_dense_places(c);
    if (!status && subject && !s24i_counting(run))
        status = s24i_check_values(c->ctx, subject, c->name, false);
    if (!status)
        status = s24i_check_zeros(run, &constraints, &s);
    run->arena->used = kept;
    return status;
}

static s24_status need(const s24_mat *part, const char *name, int64_t rows, int64_t cols)
{
    return part ? s24i_check_shape(part, name, rows, cols)
                : s24i_fail(S24_E_STATE, "the result has no \"%s\", which the constraint is about",
                            name);
}

static s24_status check_codes(const s24i_check *c, const s24i_run *run)
{
    s24i_solution s = solution_of(c);
    const s24i_grid_form *form = &c->problem->constraints.grid;
    int64_t rows = c->weights->rows, cols = c->weights->cols;
    int64_t groups = s24i_grid_groups(form, cols);
    s24_status status = need(s.codes, "codes", rows, cols);

    if (!status)
        status = need(s.scales, "scales", rows, groups);
    if (!status)
        status = need(s.zeros, "zeros", rows, groups);
    if (!status && !s24i_subject(&s))
        status = s24i_fail(S24_E_STATE, "the result has no \"sparse\" that codes could decode to");
    return status ? status : s24i_check_coded(run, form, &s);
}

static s24_status check_levels(const s24i_check *c, const s24i_run *run)
{
    const s24i_constraints *constraints = &c->problem->constraints;
    s24i_solution s = solution_of(c);

    return s24i_check_on_grid(run, &constraints->grid, &s,
                              constraints->n || constraints->scope || c->problem->mask.data);
}

static s24_status check_rank(const s24i_check *c, const s24i_run *run)
{
    s24i_solution s = solution_of(c);
    int64_t rank = s.u ? s.u->cols : 0;

    if (!s.u || !s.v)
        return s24i_fail(S24_E_STATE, "the result has no \"lowrank_u\" and \"lowrank_v\"");
    if (rank > c->problem->constraints.rank)
        return s24i_fail(S24_E_STATE, "lowrank_u has %lld columns, rank %lld is allowed",
                         (long long)rank, (long long)c->problem->constraints.rank);
    s24_status status = s24i_check_shape(s.u, "lowrank_u", c->weights->rows, rank);
    if (!status)
        status = s24i_check_shape(s.v, "lowrank_v", rank, c->weights->cols);
    return status ? status : s24i_check_factors(run, &s);
}

/* Bytes of both factors as 16-bit numbers, with a bit a code for its place. */
static bool within_bytes(const s24i_factoring *d, const s24_mat *codes, const s24_mat *atoms,
                         int64_t nonzeros)
{
    double bits = 16. * (double)atoms->rows * (double)atoms->cols +
                  16. * (double)nonzeros * (double)codes->rows +
                  (double)codes->rows * (double)codes->cols;

    return d->atoms || bits <= (1 - d->saved) * 16 * (double)codes->rows * (double)atoms->cols;
}

static s24_status check_codes_of(const s24i_factoring *d, const s24_mat *codes,
                                 const s24_mat *atoms)
{
    const float *row = codes->data;
    int64_t most = 0;

    for (int64_t i = 0; i < codes->rows; i++, row += codes->cols) {
        int64_t kept = 0, group = 0;
        for (int64_t k = 0; k < codes->cols; k++) {
            group = d->n && k % d->m == 0 ? 0 : group;
            group += row[k] != 0;
            kept += row[k] != 0;
            if (d->n && group > d->n)
                return s24i_fail(S24_E_STATE, "coefficients: row %lld breaks %d:%d at %lld",
                                 (long long)i, (int)d->n, (int)d->m, (long long)k);
        }
        most = kept > most ? kept : most;
    }
    if (d->atoms && (most > d->nonzeros || codes->cols > d->atoms))
        return s24i_fail(
            S24_E_STATE, "coefficients: %lld of %lld atoms in a row, %lld of %lld are allowed",
            (long long)most, (long long)codes->cols, (long long)d->nonzeros, (long long)d->atoms);
    if (!within_bytes(d, codes, atoms, most))
        return s24i_fail(S24_E_STATE, "dictionary: it saves less than %g%% of the bytes",
                         100 * d->saved);
    return S24_OK;
}

static s24_status check_dictionary(const s24i_check *c, const s24i_run *run)
{
    s24i_solution s = solution_of(c);

    s.u = part(c, "coefficients");
    s.v = part(c, "dictionary");
    if (!s.u || !s.v)
        return s24i_fail(S24_E_STATE, "the result has no \"coefficients\" and \"dictionary\"");
    s24_status status = s24i_check_shape(s.u, "coefficients", c->weights->rows, s.u->cols);
    if (!status)
        status = s24i_check_shape(s.v, "dictionary", s.u->cols, c->weights->cols);
    if (!status && !s24i_counting(run))
        status = check_codes_of(&c->problem->constraints.dictionary, s.u, s.v);
    return status ? status : s24i_check_factors(run, &s);
}

static s24_status check_blocks(const s24i_check *c, const s24i_run *run)
{
    s24i_blocked b = {part(c, "left"), part(c, "sparse"), part(c, "right")};
    int64_t size = c->problem->constraints.blocks;

    if (!b.left || !b.core || !b.right)
        return s24i_fail(S24_E_STATE, "the result has no \"left\", \"sparse\" and \"right\"");
    s24_status status = s24i_check_shape(b.left, "left", c->weights->rows, size);
    if (!status)
        status = s24i_check_shape(b.right, "right", c->weights->cols, size);
    return status ? status : s24i_check_blocks(run, c->weights, &b);
}

s24_status s24i_check_parts(const s24i_check *c, const s24i_run *run)
{
    const s24i_constraints *constraints = &c->problem->constraints;
    s24_status status = S24_OK;

    if (constraints->grid.bits)
        status = c->mask ? check_codes(c, run) : check_levels(c, run);
    if (!status && constraints->rank)
        status = check_rank(c, run);
    if (!status && constraints->dictionary.asked)
        status = check_dictionary(c, run);
    if (!status && constraints->blocks)
        status = check_blocks(c, run);
    return status;
}

/* ---- Public ---- */

static s24_status check_stage(void *arg, const s24i_run *run)
{
    s24_status status = check_support(arg, run);

    return status ? status : s24i_check_parts(arg, run);
}

static s24_status run_check(s24i_check *check)
{
    check->ctx = check->problem->object.ctx;
    s24_status status = s24i_enter(check->ctx);
    if (!status)
        status = s24i_in_arena(check->ctx, check_stage, check);
    s24i_leave(check->ctx);
    return status;
}

static s24_status check_candidate(const s24_problem *problem, const s24_mat *candidate)
{
    s24i_check check = {.problem = problem, .name = "candidate", .weights = candidate};
    s24_status status = s24i_check_candidate(problem, candidate);

    if (!status && problem->constraints.rank)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "candidate: under a rank only a whole result can be checked");
    if (!status && problem->constraints.dictionary.asked)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "candidate: under a dictionary only a whole result can be checked");
    if (!status && problem->constraints.blocks)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "candidate: of a core between blocks only a whole result can be "
                           "checked");
    if (!status && problem->constraints.dense)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "candidate: which columns are dense only a whole result can say");
    return status ? status : run_check(&check);
}

s24_status s24_problem_check(const s24_problem *problem, const s24_mat *candidate)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    return s24i_done(__func__, status ? status : check_candidate(problem, candidate));
}

s24_status s24_problem_check_result(const s24_problem *problem, const s24_result *result)
{
    s24_status status = s24i_check_handle(problem, S24I_PROBLEM, "problem");

    if (!status)
        status = s24i_check_handle(result, S24I_RESULT, "result");
    if (!status)
        status = s24i_check_shape(&result->weights, "result", problem->w.rows, problem->w.cols);
    if (status)
        return s24i_done(__func__, status);
    s24i_check check = {.problem = problem,
                        .name = "weights",
                        .weights = &result->weights,
                        .mask = &result->mask,
                        .parts = result->parts,
                        .part_count = result->part_count};
    return s24i_done(__func__, run_check(&check));
}
