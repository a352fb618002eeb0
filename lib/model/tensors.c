/* One tensor of the file: looked at, read, or used where it lies. */
#include "tensors.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool s24m_has(const s24m_model *model, const char *name)
{
    int64_t shape[8];
    int32_t rank;
    const char *type;
    return s24_file_info(model->file, name, shape, &rank, &type) == S24_OK;
}

/* ---- Type and shape ---- */

static void spell(const int64_t *shape, int32_t rank, char text[200])
{
    snprintf(text, 200, "a scalar");
    for (int32_t i = 0, used = 0; i < rank; i++)
        used +=
            snprintf(text + used, 200 - (size_t)used, i ? " x %lld" : "%lld", (long long)shape[i]);
}

s24_status s24m_check_shape(const s24m_model *model, const char *name, const int64_t *shape,
                            int32_t rank)
{
    int64_t found[8];
    int32_t dims = 0;
    const char *type;
    char is[200], wanted[200];
    s24_status status = s24_file_info(model->file, name, found, &dims, &type);
    if (status)
        return s24m_fail(status, "%s", s24_last_error());
    if ((status = s24_file_check_read(model->file, name)))
        return s24m_fail(status, "%s", s24_last_error());
    if (dims == rank && !memcmp(found, shape, (size_t)rank * sizeof *shape))
        return S24_OK;
    spell(found, dims, is);
    spell(shape, rank, wanted);
    return s24m_fail(S24_E_SHAPE, "%s is %s, but the configuration wants %s", name, is, wanted);
}

s24_status s24m_check_tensor(const s24m_model *model, const char *name, int64_t rows, int64_t cols)
{
    return s24m_check_shape(model, name, (const int64_t[]){rows, cols}, cols ? 2 : 1);
}

/* ---- Values that are no numbers ---- */

typedef struct finite_job {
    const s24m_model *model;
    const s24_mat *table;
    _Atomic int64_t first; /* row with a value that is not finite, -1: no memory */
} finite_job;

static bool is_finite(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000) != 0x7f800000;
}

/* Without a way out, so that it is vector code. */
static bool all_finite(const float *row, int64_t count)
{
    bool fine = true;
    for (int64_t i = 0; i < count; i++)
        fine &= is_finite(row[i]);
    return fine;
}

/* The row as floats, in `room` if it does not lie so. */
static const float *row_of(const finite_job *j, int64_t r, float *room)
{
    s24_mat row = *j->table, to = s24m_mat(room, 1, row.cols);
    row.data = (char *)row.data + r * row.row_stride * ((row.dtype & 0xff) / 8);
    row.rows = 1;
    if (row.dtype == S24_F32)
        return row.data;
    s24_mat_copy(j->model->ctx, &row, &to);
    return room;
}

static void look_at_rows(void *arg, int64_t first, int64_t last)
{
    finite_job *j = arg;
    float *room = s24m_floats(j->table->cols);
    int64_t least = j->first, r = first;
    while (room && r < last && all_finite(row_of(j, r, room), j->table->cols))
        r++;
    while (r < last && (room ? r : -1) < least)
        if (atomic_compare_exchange_weak(&j->first, &least, room ? r : -1))
            break;
    free(room);
}

s24_status s24m_find_fault(const s24m_model *model, const s24_mat *table, s24m_fault *fault)
{
    finite_job j = {.model = model, .table = table, .first = table->rows};
    *fault = (s24m_fault){-1, 0, 0};
    s24_status status = s24m_rows(model, look_at_rows, &j, table->rows);
    if (status || j.first == table->rows)
        return status;
    float *room = s24m_floats(table->cols);
    if (!room || j.first < 0) {
        free(room);
        return s24m_fail(S24_E_MEMORY, "out of memory");
    }
    const float *row = row_of(&j, j.first, room);
    fault->row = j.first;
    while (is_finite(row[fault->col]))
        fault->col++;
    fault->value = row[fault->col];
    free(room);
    return S24_OK;
}

s24_status s24m_check_finite(const s24m_model *model, const char *name, const s24_mat *table)
{
    s24m_fault fault;
    s24_status status = s24m_find_fault(model, table, &fault);
    return status || fault.row < 0
               ? status
               : s24m_fail(S24_E_NONFINITE, "%s: row %lld, column %lld is %g", name,
                           (long long)fault.row, (long long)fault.col, fault.value);
}

/* ---- Reading ---- */

/* Folded into rows, as files do. */
static s24_status read_rows(const s24m_model *model, const char *name, int64_t rows, int64_t cols,
                            float **out)
{
    float *values = s24m_floats(rows * cols);
    if (!values)
        return S24_E_MEMORY;
    s24_mat view = s24m_mat(values, rows, cols);
    s24_status status = s24_file_read(model->file, name, &view);
    if (status)
        s24m_fail(status, "%s", s24_last_error());
    else
        status = s24m_check_finite(model, name, &view);
    if (status)
        free(values);
    else
        *out = values;
    return status;
}

s24_status s24m_read(const s24m_model *model, const char *name, int64_t rows, int64_t cols,
                     float **out)
{
    s24_status status = s24m_check_tensor(model, name, rows, cols);
    return status ? status : read_rows(model, name, cols ? rows : 1, cols ? cols : rows, out);
}

s24_status s24m_read_shape(const s24m_model *model, const char *name, const int64_t *shape,
                           int32_t rank, float **out)
{
    int64_t rows = 1;
    s24_status status = s24m_check_shape(model, name, shape, rank);
    for (int32_t i = 0; i < rank - 1; i++)
        rows *= shape[i];
    return status ? status : read_rows(model, name, rows, shape[rank - 1], out);
}

s24_status s24m_read_any(const s24m_model *model, const char *name, float **out)
{
    int64_t shape[8];
    int32_t rank = 0;
    const char *type;
    s24_status status = s24_file_info(model->file, name, shape, &rank, &type);
    return status || !rank ? status : s24m_read_shape(model, name, shape, rank, out);
}

static bool is_float(int32_t dtype)
{
    return dtype == S24_F32 || dtype == S24_F16 || dtype == S24_BF16 || dtype == S24_F64;
}

s24_status s24m_table(const s24m_model *model, const char *name, int64_t rows, int64_t cols,
                      s24_mat *table, void **storage)
{
    float *values;
    s24_status status = s24m_check_tensor(model, name, rows, cols);
    if (!status && s24_file_get(model->file, name, table) == S24_OK && is_float(table->dtype))
        return S24_OK;
    if (!status)
        status = s24m_read(model, name, rows, cols, &values);
    if (!status) {
        *table = s24m_mat(values, rows, cols);
        *storage = values;
    }
    return status;
}
