#include "ops/ops.h"
#include <math.h>

/* Written in operations alone: it is the same on every device. */

s24_status s24i_cpu_prepare(const s24i_run *run, const s24i_matrix *matrix, s24i_damping damping,
                            float *w, s24i_prepared *out)
{
    s24_status status = S24_OK;
    double heldout = NAN;
    s24i_prepared_take(run, matrix->cols, out);
    status = s24i_prepare_reach(run, matrix, w, out);
    if (status || !matrix->gram)
        return status ? status : s24i_prepare_identity(run, out);
    if (damping.rule == S24I_DAMP_TRANSFER) {
        bool parts = matrix->constraints.grid.bits || matrix->constraints.rank;
        damping = (s24i_damping){S24I_DAMP_RELATIVE, parts ? 0.2 : 0.1};
    }
    if (damping.rule == S24I_DAMP_AUTO) {
        status = s24i_choose_damping(run, matrix, w, out, &damping.value, &heldout);
        damping.rule = S24I_DAMP_RELATIVE;
        if (damping.divisor > 0 && !isnan(heldout))
            damping.value /= damping.divisor;
    }
    if (!status)
        status = s24i_prepare_factor(run, matrix->gram, S24I_BOTH, damping, out);
    out->heldout = heldout;
    if (!status)
        status = s24i_prepare_aim(run, matrix, S24I_BOTH, out, w, NULL, matrix->rows);
    return status;
}

s24_status s24i_cpu_aim(const s24i_run *run, const s24i_matrix *matrix, float *w)
{
    size_t mark = run->arena->used;
    s24i_prepared prepared;
    s24i_damping damping = {S24I_DAMP_RELATIVE, 0.1};
    if (!matrix->gram || !matrix->cross || !(matrix->blend > 0))
        return S24_OK;
    s24_status status = s24i_cpu_prepare(run, matrix, damping, w, &prepared);
    if (!status)
        status = s24i_unscale(run, &prepared, w, matrix->rows);
    run->arena->used = mark;
    return status;
}
