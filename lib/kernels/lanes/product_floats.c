#include <products.h>
#include "kernels/table.h"
#include "kernels/lanes/products.h"

FLOAT_PRODUCT(sparse_f32, F32, true)
FLOAT_PRODUCT(sparse_bf16, BF16, true)
FLOAT_PRODUCT(sparse_f16, F16, true)
FLOAT_PRODUCT(dense_f32, F32, false)
FLOAT_PRODUCT(dense_bf16, BF16, false)
FLOAT_PRODUCT(dense_f16, F16, false)
