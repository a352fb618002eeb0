#include "steps.h"
#include <math.h>

/* What the unit depends on. */
static void set_reach(const s24i_layer *layer, const float *w, s24i_prepared *out)
{
    out->largest = s24i_largest(w, layer->rows * layer->cols);
    for (int64_t i = 0; layer->cross && layer->blend > 0 && i < layer->rows; i++)
        out->wanted =
            fmax(out->wanted, sqrt(layer->cross->norm2[0][i] + layer->cross->norm2[1][i]));
}

s24_status s24i_cpu_prepare(const s24i_run *run, const s24i_layer *layer, s24i_damping damping,
                            float *w, s24i_prepared *out)
{
    s24_status status = S24_OK;
    double heldout = NAN;
    s24i_prepared_take(run, layer->cols, out);
    if (!s24i_counting(run))
        set_reach(layer, w, out);
    if (!layer->gram) {
        if (!s24i_counting(run))
            s24i_prepare_identity(out);
        return S24_OK;
    }
    if (damping.rule == S24I_DAMP_TRANSFER) {
        bool parts = layer->pattern.grid.bits || layer->pattern.rank;
        damping = (s24i_damping){S24I_DAMP_RELATIVE, parts ? 0.2 : 0.1};
    }
    if (damping.rule == S24I_DAMP_AUTO) {
        status = s24i_choose_damping(run, layer, w, out, &damping.value, &heldout);
        damping.rule = S24I_DAMP_RELATIVE;
        if (damping.divisor > 0 && !isnan(heldout))
            damping.value /= damping.divisor;
    }
    if (!status)
        status = s24i_prepare_factor(run, layer->gram, S24I_BOTH, damping, out);
    out->heldout = heldout;
    if (!status)
        status = s24i_prepare_aim(run, layer, S24I_BOTH, out, w, NULL, layer->rows);
    return status;
}

s24_status s24i_cpu_aim(const s24i_run *run, const s24i_layer *layer, float *w)
{
    size_t mark = run->arena->used;
    s24i_prepared prepared;
    s24i_damping damping = {S24I_DAMP_RELATIVE, 0.1};
    if (!layer->gram || !layer->cross || !(layer->blend > 0))
        return S24_OK;
    s24_status status = s24i_cpu_prepare(run, layer, damping, w, &prepared);
    if (!status && !s24i_counting(run))
        status = s24i_cpu_unscale(run, &prepared, w, layer->rows);
    run->arena->used = mark;
    return status;
}
