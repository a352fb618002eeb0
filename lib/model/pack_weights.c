#include "pack_weights.h"
#include "memory.h"
#include "packed.h"
#include "tensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const s24m_as_names[S24M_AS_TYPES] = {"stored", "f32", "bf16", "f16", "int8", "int4"};

/* ---- From where it lies ---- */

/* In the order in which they are tried: fewer bytes first. */
static const char *const of_codes[] = {"ri16x32-int4",    "ri16x32-int4-zeros", "ri16-int4",
                                       "ri16-int4-zeros", "ri16x32-int8",       "ri16-int8"};
static const char *const of_floats[] = {"ri16x32"};

static bool is_fast(const char *layout)
{
    return !strncmp(layout, "ri16", 4);
}

/* The layout cannot hold it: another may. */
static bool does_not_fit(s24_status status)
{
    return status == S24_E_STATE || status == S24_E_UNSUPPORTED || status == S24_E_SHAPE ||
           status == S24_E_DTYPE;
}

/* A packed matrix of any layout as the first of `layouts` that holds it; `from` is taken. */
static s24_status convert(const char *tensor, s24_packed *from, const char *const *layouts,
                          int count, s24_packed **out)
{
    s24_status status = S24_E_UNSUPPORTED;
    *out = NULL;
    for (int i = 0; i < count && does_not_fit(status); i++)
        status = s24_packed_convert(from, layouts[i], out);
    s24_packed_destroy(from);
    return does_not_fit(status) ? S24_OK : s24m_library(status, tensor);
}

static bool is_blocks(const s24m_model *model, const char *tensor)
{
    const char *type;
    return s24_file_info(model->file, tensor, NULL, NULL, &type) == S24_OK &&
           (!strcmp(type, "Q4_0") || !strcmp(type, "Q8_0"));
}

/* Whether layouts of codes are made of this one without going through values. */
static bool has_codes(const char *layout)
{
    return !strcmp(layout, "q4_0") || !strcmp(layout, "q8_0") || !strcmp(layout, "pack-quantized");
}

s24_status s24m_pack_stored(const s24m_model *model, const char *tensor, s24_packed **out)
{
    int64_t rows, cols;
    const char *layout;
    s24_packed *from = NULL;
    *out = NULL;
    if (!s24m_packed(model, tensor, &rows, &cols) && !is_blocks(model, tensor))
        return S24_OK;
    s24_status status = s24_file_packed(model->file, tensor, &from);
    if (status)
        return s24m_library(status, tensor);
    s24_packed_info(from, &layout, NULL, NULL, NULL);
    if (is_fast(layout)) {
        *out = from;
        return S24_OK;
    }
    if (has_codes(layout))
        return convert(tensor, from, of_codes, sizeof of_codes / sizeof *of_codes, out);
    if (!strcmp(layout, "nibble") || !strcmp(layout, "sparse-24-bitmask"))
        return convert(tensor, from, of_floats, 1, out);
    s24_packed_destroy(from);
    return S24_OK;
}

/* ---- From values ---- */

/* At most two of each four columns are not 0. */
static bool is_half(const s24_mat *w)
{
    if (w->cols % 4)
        return false;
    for (int64_t r = 0; r < w->rows; r++) {
        const float *row = (const float *)w->data + r * w->row_stride;
        for (int64_t i = 0; i < w->cols; i += 4)
            if ((row[i] != 0) + (row[i + 1] != 0) + (row[i + 2] != 0) + (row[i + 3] != 0) > 2)
                return false;
    }
    return true;
}

static bool fits_f16(const s24_mat *w)
{
    const float largest = 65504;
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        if (!(fabsf(((const float *)w->data)[i]) <= largest))
            return false;
    return true;
}

/* What the file has; values that are decoded from codes are no floats of 32 bits in truth. */
static s24m_as stored_as(const s24m_model *model, const char *tensor, const s24_mat *values)
{
    const char *type = "";
    s24_file_info(model->file, tensor, NULL, NULL, &type);
    return !strcmp(type, "F32") || !strcmp(type, "F64") ? S24M_AS_F32
           : !strcmp(type, "BF16")                      ? S24M_AS_BF16
           : fits_f16(values)                           ? S24M_AS_F16
                                                        : S24M_AS_BF16;
}

static s24_status pack_floats(const s24m_model *model, const char *tensor, const s24_mat *values,
                              s24m_as as, bool half, s24_packed **out)
{
    static const char *const layouts[2][S24M_AS_TYPES] = {
        {NULL, "ri16:f32", "ri16:bf16", "ri16:f16"},
        {NULL, "ri16x32:f32", "ri16x32:bf16", "ri16x32-f16:f16"}};
    return s24m_library(s24_pack(model->ctx, values, NULL, layouts[half][as], out), tensor);
}

/* Codes of 8 or 4 bits, a scale for each 64 columns if they divide the row, else 32 or all. */
static void grid_text(const s24_mat *values, s24m_as as, char text[64])
{
    int64_t group = values->cols % 64 == 0 ? 64 : values->cols % 32 == 0 ? 32 : 0;
    int used = snprintf(text, 64, "int%d sym", as == S24M_AS_INT8 ? 8 : 4);
    if (group)
        snprintf(text + used, 64 - (size_t)used, " g%d", (int)group);
}

/* What is not 0 is kept; *kept belongs to the caller, after the problem. */
static s24_status set_mask(s24_problem *problem, const s24_mat *values, uint8_t **kept)
{
    int64_t size = values->rows * values->cols;
    s24_mat mask;
    *kept = malloc((size_t)size);
    if (!*kept)
        return s24m_fail(S24_E_MEMORY, "out of memory");
    for (int64_t i = 0; i < size; i++)
        (*kept)[i] = ((const float *)values->data)[i] != 0;
    s24_status status = s24_mat_rowmajor(&mask, *kept, values->rows, values->cols, S24_U8);
    return status ? status : s24_problem_set_mask(problem, &mask);
}

/* To the nearest levels, of scales with the least sum of squares: no data are at hand. */
static s24_status round_to_grid(const s24m_model *model, const s24_mat *values, s24m_as as,
                                bool half, s24_result **result)
{
    char grid[64];
    uint8_t *kept = NULL;
    grid_text(values, as, grid);
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_status status = s24_problem_create(model->ctx, values, &problem);
    if (!status)
        status = s24_problem_parse(problem, grid);
    if (!status && half)
        status = set_mask(problem, values, &kept);
    if (!status)
        status = s24_solver_create(model->ctx, "rtn", &solver);
    if (!status)
        status = s24_solver_parse(solver, "scales=f16,fit=mse");
    if (!status)
        status = s24_solve(solver, problem, result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    free(kept);
    return status;
}

static s24_status pack_rounded(const s24m_model *model, const char *tensor, const s24_mat *values,
                               s24m_as as, bool half, s24_packed **out)
{
    static const char *const layouts[2][2] = {{"ri16-int8", "ri16-int4"},
                                              {"ri16x32-int8", "ri16x32-int4"}};
    s24_result *result = NULL;
    s24_status status = round_to_grid(model, values, as, half, &result);
    if (!status)
        status = s24_pack_result(model->ctx, result, layouts[half][as == S24M_AS_INT4], out);
    s24_result_destroy(result);
    return s24m_library(status, tensor);
}

s24_status s24m_pack_values(const s24m_model *model, const char *tensor, const s24_mat *values,
                            s24m_as as, s24_packed **out)
{
    bool half = is_half(values);
    if (as == S24M_AS_STORED)
        as = stored_as(model, tensor, values);
    return (as < S24M_AS_INT8 ? pack_floats : pack_rounded)(model, tensor, values, as, half, out);
}

/* ---- Tables ---- */

static s24_status pack_view(const s24m_model *model, const char *tensor, const s24_mat *table,
                            s24m_as as, s24_packed **out)
{
    static const char *const layouts[S24M_AS_TYPES] = {"ri16", "ri16:f32", "ri16:bf16", "ri16:f16"};
    return s24m_library(s24_pack(model->ctx, table, NULL, layouts[as], out), tensor);
}

s24_status s24m_pack_table(const s24m_model *model, const char *tensor, int64_t rows, int64_t cols,
                           s24m_as as, s24_packed **out)
{
    s24_mat table = {0};
    void *storage = NULL;
    s24_status status = as == S24M_AS_STORED ? s24m_pack_stored(model, tensor, out) : S24_OK;
    if (status || *out)
        return status;
    status = s24m_table(model, tensor, rows, cols, &table, &storage);
    if (!status && !storage)
        status = s24m_check_finite(model, tensor, &table);
    if (!status && as == S24M_AS_STORED && storage)
        as = stored_as(model, tensor, &table);
    if (!status && as < S24M_AS_INT8)
        status = pack_view(model, tensor, &table, as, out);
    else if (!status)
        status = pack_rounded(model, tensor, &table, as, false, out);
    free(storage);
    return status;
}
