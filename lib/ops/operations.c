#include "ops/ops.h"

const s24i_operations s24i_cpu_operations = {
#define S24I_OPERATION(scratch, name, parameters, arguments) .name = s24i_cpu_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
};
