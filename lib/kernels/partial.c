#include "kernels/table.h"

#define TEXT(name) TEXT_OF(name)
#define TEXT_OF(name) #name
#define ROWS_OF(part) ROWS_OF_PART(part)
#define ROWS_OF_PART(part) ROWS_OF_##part
#define FILL(name) table->name = S24I_IN_SET(name);

/* Which entries a set has that only adds instructions to another's. */
#define ROWS_OF_codes       \
    FILL(sparse_int8)       \
    FILL(sparse_int4)       \
    FILL(sparse_int4_zeros) \
    FILL(sparse_int4_p6)    \
    FILL(dense_int8)        \
    FILL(dense_int4)        \
    FILL(dense_int4_zeros)
#define ROWS_OF_dots      \
    FILL(sparse_bf16_dot) \
    FILL(dense_bf16_dot)

/* Compiled once for each of them. */
void S24I_JOIN(s24i_kernels_, S24I_SET)(s24i_kernels *table)
{
    table->isa = TEXT(S24I_SET);
    ROWS_OF(S24I_PARTIAL)
}
