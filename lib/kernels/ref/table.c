#include "kernels/ref/table.h"

void s24i_kernels_ref(s24i_kernels *table)
{
    table->isa = "ref";
#define S24I_KERNEL(type, name, arguments) table->name = s24i_ref_##name;
#include "kernels/kernels.def"
#undef S24I_KERNEL
}
