#include <products.h>
#include "kernels/table.h"
#include "kernels/lanes/products.h"

FLOAT_PRODUCT(sparse_bf16_dot, BF16_DOT, true)
FLOAT_PRODUCT(dense_bf16_dot, BF16_DOT, false)
