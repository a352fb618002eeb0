#include <codes.h>
#include "kernels/table.h"
#include "kernels/lanes/codes.h"

CODE_PRODUCT(sparse_int8, 8, INDICES, false)
CODE_PRODUCT(sparse_int4, 4, INDICES, false)
CODE_PRODUCT(sparse_int4_zeros, 4, INDICES, true)
CODE_PRODUCT(sparse_int4_p6, 4, IN_PAIRS, false)
CODE_PRODUCT(dense_int8, 8, DENSE, false)
CODE_PRODUCT(dense_int4, 4, DENSE, false)
CODE_PRODUCT(dense_int4_zeros, 4, DENSE, true)
