#include "tables.h"
#include "fail.h"
#include "parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 8, MIDDLE = 1 << (BITS - 1), WEIGHTS_AT_ONCE = 1 << 22 };

/* A table on its way to codes. */
typedef struct rounding {
    const s24m_model *model;
    const char *tensor;
    int64_t group, groups; /* columns of a scale; scales of a row */
    s24_mat table;
    void *storage; /* of the table, if it does not lie in the file */
    int8_t *codes;
    uint16_t *scales;
} rounding;

static bool is_global(const s24m_model *model, int32_t which, const char *tensor)
{
    char name[S24M_NAME];
    return s24m_global(model, which, name) && !strcmp(name, tensor);
}

bool s24m_tables_have(const form *f, const s24m_model *model, const char *tensor)
{
    return f->tables && !model->config.image.size &&
           (is_global(model, S24M_EMBEDDING, tensor) || is_global(model, S24M_OUTPUT, tensor));
}

/* The head has no tensor of its own. */
static bool is_tied(const s24m_model *model, const char *tensor)
{
    return model->config.tied && is_global(model, S24M_EMBEDDING, tensor);
}

/* Groups that fill a row. */
static int64_t group_of(const s24m_model *model)
{
    int64_t cols = model->config.width;
    return cols % 64 == 0 ? 64 : cols % 32 == 0 ? 32 : cols;
}

uint64_t s24m_tables_bytes(const s24m_model *model, const char *tensor)
{
    int64_t groups = model->config.width / group_of(model);
    int64_t scales = is_tied(model, tensor) ? 4 * groups : 2 * groups;
    return (uint64_t)(model->config.vocab * (model->config.width + scales));
}

/* ---- Rounding ---- */

/* The codes of rows from `first` on; those of a result have 0 in the middle. */
static bool take_codes(const rounding *r, int64_t first, const s24_result *result)
{
    s24_mat codes, scales;
    if (!s24m_good(s24_result_matrix(result, "codes", &codes), "%s", r->tensor) ||
        !s24m_good(s24_result_matrix(result, "scales", &scales), "%s", r->tensor))
        return false;
    int8_t *to = r->codes + first * r->table.cols;
    const uint8_t *from = codes.data;
    for (int64_t i = 0; i < codes.rows; i++)
        for (int64_t j = 0; j < codes.cols; j++)
            *to++ = (int8_t)(from[i * codes.row_stride + j * codes.col_stride] - MIDDLE);
    s24_mat narrow = scales;
    return s24m_good(s24_mat_rowmajor(&narrow, r->scales + first * r->groups, scales.rows,
                                      scales.cols, S24_F16),
                     "%s", r->tensor) &&
           s24m_good(s24_mat_copy(r->model->ctx, &scales, &narrow), "%s", r->tensor);
}

static void put_grid(const rounding *r, char grid[32])
{
    snprintf(grid, 32, r->groups > 1 ? "int8 sym g%lld" : "int8 sym", (long long)r->group);
}

static int64_t rows_at_once(const s24m_model *model)
{
    int64_t most = WEIGHTS_AT_ONCE / model->config.width + 1;
    return most < model->config.vocab ? most : model->config.vocab;
}

static bool make_solver(s24_ctx *ctx, s24_solver **solver)
{
    return s24m_good(s24_solver_create(ctx, "rtn", solver), "rtn") &&
           s24m_good(s24_solver_parse(*solver, "scales=f16"), "rtn");
}

bool s24m_tables_memory(const s24m_model *model, uint64_t *bytes)
{
    rounding r = {.model = model, .group = group_of(model)};
    s24_solver *solver = NULL;
    s24_problem *problem = NULL;
    char grid[32];
    *bytes = 0;
    if (model->config.image.size) /* it has no vocabulary */
        return true;
    r.groups = model->config.width / r.group;
    put_grid(&r, grid);
    s24_mat rows = s24m_mat((const float *)(const void *)model, rows_at_once(model),
                            model->config.width); /* its values are not looked at */
    bool done = make_solver(model->ctx, &solver) &&
                s24m_good(s24_problem_create(model->ctx, &rows, &problem), "tables") &&
                s24m_good(s24_problem_parse(problem, grid), "tables") &&
                s24m_good(s24_solver_memory(solver, problem, bytes), "tables");
    /* Codes and scales of all rows, and the table if it does not lie in the file as floats. */
    *bytes += (uint64_t)(model->config.vocab * (5 * model->config.width + 4 * r.groups));
    s24_problem_destroy(problem);
    s24_solver_destroy(solver);
    return done;
}

/* Nobody sees what goes in or comes out, so that every weight counts the same. */
static bool round_rows(const rounding *r, int64_t first, int64_t count, s24_solver *solver)
{
    s24_problem *problem = NULL;
    s24_result *result = NULL;
    s24_mat rows = r->table;
    char grid[32];
    rows.data = (char *)rows.data + first * rows.row_stride * ((rows.dtype & 0xff) / 8);
    rows.rows = count;
    put_grid(r, grid);
    bool done = s24m_good(s24_problem_create(r->model->ctx, &rows, &problem), "%s", r->tensor) &&
                s24m_good(s24_problem_parse(problem, grid), "%s", r->tensor) &&
                s24m_good(s24_solve(solver, problem, &result), "%s", r->tensor) &&
                take_codes(r, first, result);
    s24_result_destroy(result);
    s24_problem_destroy(problem);
    return done;
}

static bool round_table(rounding *r)
{
    s24_solver *solver = NULL;
    int64_t rows = r->model->config.vocab, cols = r->model->config.width;
    int64_t at_once = rows_at_once(r->model);
    r->codes = s24m_have(malloc((size_t)(rows * cols)));
    r->scales = s24m_have(malloc((size_t)(rows * r->groups) * sizeof *r->scales));
    bool done =
        r->codes && r->scales &&
        s24m_done(s24m_table(r->model, r->tensor, rows, cols, &r->table, &r->storage)) &&
        s24m_done(r->storage ? S24_OK : s24m_check_finite(r->model, r->tensor, &r->table)) &&
        make_solver(r->model->ctx, &solver);
    for (int64_t first = 0; done && first < rows; first += at_once)
        done = round_rows(r, first, first + at_once < rows ? at_once : rows - first, solver);
    s24_solver_destroy(solver);
    return done;
}

/* ---- Writing ---- */

static bool put_scales(const rounding *r, s24_file *out, const char *module)
{
    char name[S24M_NAME + 16];
    s24_mat scales = {0};
    snprintf(name, sizeof name, "%s.weight_scale", module);
    return s24m_good(s24_mat_rowmajor(&scales, r->scales, r->table.rows, r->groups, S24_F16), "%s",
                     name) &&
           s24m_good(s24_file_put(out, name, &scales, NULL, 2, NULL), "%s", name);
}

/* As `told` has it. */
static bool put_codes(const rounding *r, s24_file *out, const stored *told, int count)
{
    s24_mat codes = {0};
    bool done = s24m_good(s24_mat_rowmajor(&codes, r->codes, r->table.rows, r->table.cols, S24_I8),
                          "%s", r->tensor) &&
                s24m_good(s24_file_put(out, r->tensor, &codes, NULL, 2, NULL), "%s", r->tensor);
    for (int i = 0; done && i < count; i++)
        done = put_scales(r, out, told[i].module);
    return done;
}

bool s24m_tables_put(const s24m_model *model, s24_file *out, const char *tensor, stored *told,
                     int *count)
{
    rounding r = {.model = model, .tensor = tensor, .group = group_of(model)};
    char head[S24M_NAME];
    r.groups = model->config.width / r.group;
    told[0] = (stored){.solved = true,
                       .table = true,
                       .bits = BITS,
                       .symmetric = true,
                       .group = r.groups > 1 ? r.group : 0};
    told[1] = told[0];
    s24m_module(tensor, told[0].module);
    *count = 1;
    if (is_tied(model, tensor) && s24m_global(model, S24M_OUTPUT, head)) {
        s24m_module(head, told[1].module);
        *count = 2;
    }
    bool done = round_table(&r) && put_codes(&r, out, told, *count);
    free(r.storage);
    free(r.codes);
    free(r.scales);
    return done;
}
