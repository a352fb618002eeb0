/*
 * The operations that solvers are written in, on whatever device the run names. Knows no handles,
 * options or methods.
 *
 * Matrices are row-major and contiguous unless a stride is named: W and V are rows x cols (a
 * matrix's outputs x inputs), H is cols x cols. Arrays lie on the device: a solver passes their
 * addresses and looks into none. Every operation cuts its work by shape alone, so the bits do not
 * depend on the threads. Scratch comes from the run's arena; an operation leaves `arena->used` as
 * it found it unless said. A row that a device lacks is S24_E_UNSUPPORTED; nothing falls back in
 * secret.
 */
#ifndef S24I_OPS_H
#define S24I_OPS_H
#include "ops/steps/steps.h"

typedef struct s24i_operations {
#define S24I_OPERATION(scratch, name, parameters, arguments) s24_status(*name) parameters;
#include "ops/ops.def"
#undef S24I_OPERATION
} s24i_operations;

/* Those of the CPU. */
extern const s24i_operations s24i_cpu_operations;
/* Its kernels up to that instruction set: S24_E_OPTION for a name that no build knows,
 * S24_E_UNSUPPORTED for one that this build or processor lacks. */
s24_status s24i_cpu_kernels(const char *isa, s24i_kernels *kernels);

static inline s24_status s24i_no_operation(const s24i_run *run, const char *name)
{
    return s24i_fail(S24_E_UNSUPPORTED, "device %s has no operation \"%s\"", run->device->name,
                     name);
}

#define S24I_OPERATION(scratch, name, parameters, arguments)                           \
    static inline s24_status s24i_##name parameters                                    \
    {                                                                                  \
        if (!scratch && s24i_counting(run))                                            \
            return S24_OK;                                                             \
        return run->device->operations->name ? run->device->operations->name arguments \
                                             : s24i_no_operation(run, #name);          \
    }
#include "ops/ops.def"
#undef S24I_OPERATION

#endif
