#include "cuda.h"
#include <string.h>

/* Calibration sums on the device: copies of the host's, renewed when those have changed. */

void s24c_forget(const s24i_device *device, void *mirror)
{
    s24c_mirror *m = mirror;
    s24i_memory first;

    s24i_memory_init(&first, NULL, NULL, NULL);
    if (m)
        s24i_free(device->memory, m->scratch, m->scratch_bytes);
    for (int half = 0; m && half < 2; half++) {
        s24i_free(device->memory, m->half[half], m->bytes);
        s24i_free(device->memory, m->batch[half], m->batch_bytes);
        s24i_free(device->memory, m->norm2[half], m->norm_bytes);
    }
    s24i_free(&first, m, sizeof *m);
}

/* The mirror, and whether it has to be renewed. */
s24_status s24c_open_mirror(const s24i_run *run, void **mirror, size_t bytes, uint64_t changes,
                            s24c_mirror **out, bool *stale)
{
    s24i_memory first;

    s24i_memory_init(&first, NULL, NULL, NULL);
    *stale = !*mirror;
    if (*mirror) {
        *out = *mirror;
        *stale = (*out)->changes != changes;
        return S24_OK;
    }
    s24c_mirror *m = s24i_alloc_zero(&first, sizeof *m);
    if (!m)
        return S24_E_MEMORY;
    m->bytes = bytes;
    for (int half = 0; half < 2; half++)
        if (!(m->half[half] = s24i_alloc(run->device->memory, bytes))) {
            s24c_forget(run->device, m);
            return S24_E_MEMORY;
        }
    *out = *mirror = m;
    return S24_OK;
}

/* Of a half as the host keeps it: strips of the lower triangle (run.h). */
static size_t strip_bytes(int64_t dim)
{
    int64_t last = (dim - 1) / S24I_STRIP, top = last * S24I_STRIP;
    return (size_t)((int64_t)S24I_STRIP * S24I_STRIP * last * (last + 1) / 2 + (dim - top) * dim) *
           sizeof(double);
}

static s24_status renew_gram(const s24i_run *run, const s24i_gram *gram, s24c_mirror *m)
{
    size_t bytes = strip_bytes(gram->dim);
    double *strips = s24i_alloc(run->device->memory, bytes);
    s24_status status = strips ? S24_OK : S24_E_MEMORY;

    for (int half = 0; half < 2 && !status; half++) {
        status = s24c_send(run, gram->half[half], bytes, strips);
        s24c_expand(s24c_stream(run), strips, gram->dim, m->half[half]);
        if (!status)
            status = s24c_launched(run, "sums");
    }
    s24i_free(run->device->memory, strips, bytes);
    return status;
}

s24_status s24c_gram(const s24i_run *run, const s24i_gram *gram, s24c_mirror **out)
{
    size_t bytes = s24i_mul(s24i_mul((size_t)gram->dim, (size_t)gram->dim), sizeof(double));
    bool stale;
    s24_status status = s24c_open_mirror(run, &((s24i_gram *)(uintptr_t)gram)->mirror, bytes,
                                         gram->changes, out, &stale);

    if (!status && stale)
        status = renew_gram(run, gram, *out);
    if (!status && (*out)->lower) {
        for (int half = 0; half < 2; half++)
            s24c_mirror_lower(s24c_stream(run), gram->dim, (*out)->half[half]);
        (*out)->lower = false;
        status = s24c_launched(run, "sums");
    }
    if (!status)
        (*out)->changes = gram->changes;
    return status;
}

s24_status s24c_cross(const s24i_run *run, const s24i_cross *cross, uint64_t changes,
                      s24c_mirror **out)
{
    size_t bytes = s24i_mul(s24i_mul((size_t)cross->out, (size_t)cross->in), sizeof(double));
    bool stale;
    s24_status status = s24c_open_mirror(run, &((s24i_cross *)(uintptr_t)cross)->mirror, bytes,
                                         changes, out, &stale);

    for (int half = 0; half < 2 && !status && stale; half++)
        status = s24c_send(run, cross->half[half], bytes, (*out)->half[half]);
    if (!status)
        (*out)->changes = changes;
    return status;
}
