#include "api.h"
#include <math.h>
#include <string.h>

/* ---- What there is ---- */

int32_t s24_solver_count(void)
{
    int32_t count = 0;

    while (s24i_solvers[count])
        count++;
    return count;
}

const char *s24_solver_name(int32_t index)
{
    return index >= 0 && index < s24_solver_count() ? s24i_solvers[index]->name : NULL;
}

static const s24i_solver_class *find_class(const char *name)
{
    for (int32_t i = 0; name && s24i_solvers[i]; i++)
        if (!strcmp(s24i_solvers[i]->name, name))
            return s24i_solvers[i];
    return NULL;
}

const char *s24_solver_fact(const char *name, const char *key)
{
    const s24i_solver_class *class = find_class(name);

    if (!class || !key)
        return NULL;
    return !strcmp(key, "title")         ? class->title
           : !strcmp(key, "constraints") ? class->constraints
           : !strcmp(key, "paper")       ? class->paper
           : !strcmp(key, "cost")        ? class->cost
                                         : NULL;
}

/* ---- Handles ---- */

enum { MOST_NAMES = 64 };

static s24_status unknown_solver(const char *name)
{
    const char *names[MOST_NAMES];
    int32_t count = 0;

    for (; s24i_solvers[count] && count < MOST_NAMES; count++)
        names[count] = s24i_solvers[count]->name;
    return s24i_fail_near(s24i_fail(S24_E_UNSUPPORTED, "this build has no solver \"%.64s\"", name),
                          name, names, count);
}

static s24_status create(s24_ctx *ctx, const char *name, s24_solver **out)
{
    const s24i_solver_class *class = find_class(name);
    s24_status status = s24i_check_pointer(name, "name");

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (!status && !class)
        return unknown_solver(name);
    if (!status && class->values_size > S24I_VALUES)
        status = s24i_fail(S24_E_INTERNAL, "solver %s has too many options", class->name);
    if (status)
        return status;
    s24_solver *solver = s24i_alloc_zero(&ctx->memory, sizeof *solver);
    if (!solver)
        return S24_E_MEMORY;
    s24i_object_init(&solver->object, S24I_SOLVER, ctx);
    solver->class = class;
    solver->options = (s24i_option_set){.table = class->options,
                                        .presets = class->presets,
                                        .owner = class->name,
                                        .values = solver->values,
                                        .size = class->values_size};
    s24i_options_reset(&solver->options);
    *out = solver;
    return S24_OK;
}

s24_status s24_solver_create(s24_ctx *ctx, const char *name, s24_solver **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    return s24i_done(__func__, status ? status : create(ctx, name, out));
}

void s24i_solver_release(s24_solver *solver)
{
    s24_ctx *ctx = solver->object.ctx;

    if (!s24i_object_drop(&solver->object))
        return;
    s24i_free(&ctx->memory, solver, sizeof *solver);
    s24i_ctx_release(ctx);
}

void s24_solver_destroy(s24_solver *solver)
{
    if (!s24i_is(solver, S24I_SOLVER))
        return;
    solver->object.handle.magic = S24I_DEAD;
    s24i_solver_release(solver);
}

/* ---- Options ---- */

static const s24i_option *find_option(const s24_solver *solver, const char *name)
{
    for (const s24i_option *row = solver->class->options; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

double s24i_solver_number(const s24_solver *solver, const char *option, double fallback)
{
    const s24i_option *row = find_option(solver, option);
    double number;
    int64_t integer;

    if (!row || row->type == S24_OPT_STR)
        return fallback;
    memcpy(&number, solver->values + row->offset, sizeof number);
    memcpy(&integer, solver->values + row->offset, sizeof integer);
    return row->type == S24_OPT_INT ? (double)integer : number;
}

static s24_status check_idle(const s24_solver *solver)
{
    s24_status status = s24i_check_handle(solver, S24I_SOLVER, "solver");

    if (!status && atomic_load(&solver->busy))
        status = s24i_fail(S24_E_STATE, "a solve is running on this solver: change it afterwards");
    return status;
}

static s24_status check_set(const s24_solver *solver, const char *option)
{
    s24_status status = check_idle(solver);

    return status ? status : s24i_check_pointer(option, "option");
}

static s24_status check_get(const s24_solver *solver, const char *option, const char *what,
                            const void *value)
{
    s24_status status = s24i_check_handle(solver, S24I_SOLVER, "solver");

    if (!status)
        status = s24i_check_pointer(option, "option");
    return status ? status : s24i_check_pointer(value, what);
}

s24_status s24_solver_set_int(s24_solver *solver, const char *option, int64_t value)
{
    s24_status status = check_set(solver, option);

    return s24i_done(__func__,
                     status ? status : s24i_options_set_int(&solver->options, option, value));
}

s24_status s24_solver_set_float(s24_solver *solver, const char *option, double value)
{
    s24_status status = check_set(solver, option);

    return s24i_done(__func__,
                     status ? status : s24i_options_set_float(&solver->options, option, value));
}

s24_status s24_solver_set_str(s24_solver *solver, const char *option, const char *value)
{
    s24_status status = check_set(solver, option);

    if (!status)
        status = s24i_check_pointer(value, "value");
    return s24i_done(__func__,
                     status ? status : s24i_options_set_str(&solver->options, option, value));
}

s24_status s24_solver_parse(s24_solver *solver, const char *assignments)
{
    s24_status status = check_idle(solver);

    return s24i_done(__func__, status ? status : s24i_options_parse(&solver->options, assignments));
}

s24_status s24_solver_get_int(const s24_solver *solver, const char *option, int64_t *value)
{
    s24_status status = check_get(solver, option, "value", value);

    return s24i_done(__func__,
                     status ? status : s24i_options_get_int(&solver->options, option, value));
}

s24_status s24_solver_get_float(const s24_solver *solver, const char *option, double *value)
{
    s24_status status = check_get(solver, option, "value", value);

    return s24i_done(__func__,
                     status ? status : s24i_options_get_float(&solver->options, option, value));
}

s24_status s24_solver_get_str(const s24_solver *solver, const char *option, const char **value)
{
    s24_status status = check_get(solver, option, "value", value);

    return s24i_done(__func__,
                     status ? status : s24i_options_get_str(&solver->options, option, value));
}

s24_status s24_solver_is_set(const s24_solver *solver, const char *option, int32_t *set)
{
    bool given = false;
    s24_status status = check_get(solver, option, "set", set);

    if (!status)
        status = s24i_options_is_set(&solver->options, option, &given);
    if (!status)
        *set = given;
    return s24i_done(__func__, status);
}

s24_status s24_solver_reset(s24_solver *solver)
{
    s24_status status = check_idle(solver);

    if (!status)
        s24i_options_reset(&solver->options);
    return s24i_done(__func__, status);
}

int32_t s24_solver_option_count(const s24_solver *solver)
{
    return s24i_is(solver, S24I_SOLVER) ? s24i_options_count(solver->class->options) : 0;
}

static s24_status option_row(const s24_solver *solver, int32_t index, const s24i_option **row)
{
    s24_status status = s24i_check_handle(solver, S24I_SOLVER, "solver");

    if (status)
        return status;
    int32_t count = s24i_options_count(solver->class->options);
    if (index < 0 || index >= count)
        return s24i_fail(S24_E_ARG, "index is %d, but solver %s has %d options", (int)index,
                         solver->class->name, (int)count);
    *row = &solver->class->options[index];
    return S24_OK;
}

s24_status s24_solver_option_info(const s24_solver *solver, int32_t index, const char **name,
                                  int32_t *type, const char **range, const char **default_value,
                                  const char **help)
{
    const s24i_option *row = NULL;
    s24_status status = option_row(solver, index, &row);

    if (status)
        return s24i_done(__func__, status);
    if (name)
        *name = row->name;
    if (type)
        *type = row->type;
    if (range)
        *range = row->range;
    if (default_value)
        *default_value = row->fallback;
    if (help)
        *help = row->help;
    return S24_OK;
}

/* ---- While it runs ---- */

s24_status s24_solver_set_progress(s24_solver *solver, s24_progress_fn fn, void *user)
{
    s24_status status = check_idle(solver);

    if (status)
        return s24i_done(__func__, status);
    solver->progress = fn;
    solver->progress_user = user;
    return S24_OK;
}

void s24_solver_cancel(s24_solver *solver)
{
    if (s24i_is(solver, S24I_SOLVER))
        atomic_store(&solver->cancel, 1);
}
