#include "sets.h"
#include <string.h>

/* Supports as they are: where one comes from, how much it keeps, how much of it changed. */

s24_status s24i_cpu_drop_columns(const s24i_run *run, const float *norm, int64_t rows, int64_t cols,
                                 float *v)
{
    for (int64_t i = 0; i < rows * cols; i++)
        if (norm[i % cols] == 0)
            v[i] = 0;
    return S24_OK;
}

s24_status s24i_cpu_support_of(const s24i_run *run, const uint8_t *given, const float *w,
                               int64_t size, uint8_t *mask)
{
    if (given)
        memcpy(mask, given, (size_t)size);
    else if (!w)
        memset(mask, 1, (size_t)size);
    for (int64_t i = 0; !given && w && i < size; i++)
        mask[i] = w[i] != 0;
    return S24_OK;
}

s24_status s24i_cpu_count_kept(const s24i_run *run, const uint8_t *mask, int64_t size,
                               int64_t *kept)
{
    *kept = s24i_counting(run) ? size : 0;
    for (int64_t i = 0; !s24i_counting(run) && i < size; i++)
        *kept += mask[i];
    return S24_OK;
}

s24_status s24i_cpu_count_changed(const s24i_run *run, const uint8_t *mask, int64_t size,
                                  uint8_t *seen, int64_t *changed)
{
    *changed = 0;
    for (int64_t i = 0; i < size; i++) {
        *changed += seen[i] != mask[i];
        seen[i] = mask[i];
    }
    return S24_OK;
}

s24_status s24i_cpu_check_support(const s24i_run *run, const s24i_constraints *constraints,
                                  const uint8_t *support, int64_t rows, int64_t cols,
                                  const char *name)
{
    return s24i_obeys(constraints, support, rows, cols, name);
}
