#include "ops/ops.h"
#include <stdio.h>

const s24i_operations s24i_cpu_operations = {
#define S24I_OPERATION(scratch, name, parameters, arguments) .name = s24i_cpu_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
};

/* "ref, avx2": what this build and processor have. */
static void list_isas(char *text, size_t size)
{
    const char *isa;
    size_t used = 0;

    text[0] = 0;
    for (int i = 0; (isa = s24i_kernels_isa(i)) && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %s" : "%s", isa);
}

s24_status s24i_cpu_kernels(const char *isa, s24i_kernels *kernels)
{
    char available[64];
    int found = s24i_kernels_dispatch(kernels, isa);

    if (found == 1)
        return S24_OK;
    list_isas(available, sizeof available);
    return s24i_fail(found == 0 ? S24_E_OPTION : S24_E_UNSUPPORTED,
                     "isa %s is not in this build or not on this processor, which have: auto, %s",
                     isa, available);
}
