#include "api.h"
#include <math.h>

void s24i_shared_init(s24i_shared *shared, uint32_t magic, const char *name, s24_ctx *ctx)
{
    s24i_object_init(&shared->object, magic, ctx);
    shared->name = name;
    s24i_lock_init(&shared->lock);
}

static s24_status refuse_lost(const s24i_shared *shared)
{
    return s24i_fail(
        S24_E_STATE,
        "the %s is spoilt: the host's parallel runner failed in the middle of an earlier "
        "addition; make a new one",
        shared->name);
}

s24_status s24i_shared_change(s24i_shared *shared)
{
    s24i_lock_take(&shared->lock);
    if (!shared->readers && !shared->lost)
        return S24_OK;
    bool lost = shared->lost;
    s24i_lock_drop(&shared->lock);
    if (lost)
        return refuse_lost(shared);
    return s24i_fail(S24_E_STATE, "the %s is being read by a running solve: change it afterwards",
                     shared->name);
}

void s24i_shared_changed(s24i_shared *shared, bool lost)
{
    shared->lost = lost;
    shared->version++;
    s24i_lock_drop(&shared->lock);
}

s24_status s24i_shared_open(s24i_shared *shared, s24i_flush_fn flush)
{
    s24_status status = S24_OK;

    s24i_lock_take(&shared->lock);
    if (!shared->lost && !shared->readers) {
        status = s24i_enter(shared->object.ctx);
        if (!status)
            status = flush(shared);
        s24i_leave(shared->object.ctx);
    } else if (shared->lost) {
        status = refuse_lost(shared);
    }
    if (!status) {
        shared->readers++;
        s24i_object_retain(&shared->object);
    }
    s24i_lock_drop(&shared->lock);
    return status;
}

void s24i_shared_close(s24i_shared *shared)
{
    s24i_lock_take(&shared->lock);
    shared->readers--;
    s24i_lock_drop(&shared->lock);
}

double s24i_rows_weight(const s24i_rows *rows)
{
    return rows->weight[0] + rows->weight[1];
}

s24_status s24i_check_accumulator(int32_t accumulator)
{
    if (accumulator == S24_F32 || accumulator == S24_F64)
        return S24_OK;
    return s24i_fail(S24_E_DTYPE, "accumulator is 0x%04x, but must be S24_F32 or S24_F64",
                     (unsigned)accumulator);
}

s24_status s24i_check_dim(int64_t dim, const char *what)
{
    if (dim >= 1 && dim <= S24I_MAX_DIM)
        return S24_OK;
    return s24i_fail(S24_E_SHAPE, "%s is %lld, but must be in 1 .. %d", what, (long long)dim,
                     S24I_MAX_DIM);
}

s24_status s24i_check_half(int32_t half)
{
    if (half == 1 || half == 2)
        return S24_OK;
    return s24i_fail(S24_E_ARG, "half is %d, but must be 1 or 2", (int)half);
}

s24_status s24i_check_sum(double value, const char *what)
{
    if (value >= 0 && isfinite(value))
        return S24_OK;
    return s24i_fail(isfinite(value) ? S24_E_ARG : S24_E_NONFINITE,
                     "%s is %g, but must be finite and not negative", what, value);
}

s24_status s24i_check_row_weight(const s24_mat *row_weight, int64_t rows)
{
    if (!row_weight)
        return S24_OK;
    s24_status status = s24i_check_mat(row_weight, "row_weight", S24I_FLOAT_TYPE);
    return status ? status : s24i_check_shape(row_weight, "row_weight", rows, 1);
}

void s24i_add_sums(double *to, const double *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}
