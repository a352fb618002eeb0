#include "kernels/table.h"

#define TEXT(name) TEXT_OF(name)
#define TEXT_OF(name) #name

/* Compiled once for each instruction set: all of its entries. */
void S24I_JOIN(s24i_kernels_, S24I_SET)(s24i_kernels *table)
{
    table->isa = TEXT(S24I_SET);
#define S24I_KERNEL(type, name, arguments) table->name = S24I_IN_SET(name);
#include "kernels/kernels.def"
#undef S24I_KERNEL
}
