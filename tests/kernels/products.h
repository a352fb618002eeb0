/* The checks of the rows of kernels.def that multiply by weights in lanes. */
#ifndef S24_TESTS_PRODUCTS_H
#define S24_TESTS_PRODUCTS_H
#include "kernels/kernels.h"

#define S24_PRODUCT_CHECK(name) void check_##name(const s24i_kernels *fast);
S24_PRODUCT_CHECK(sparse_f32)
S24_PRODUCT_CHECK(sparse_bf16)
S24_PRODUCT_CHECK(sparse_f16)
S24_PRODUCT_CHECK(sparse_bf16_dot)
S24_PRODUCT_CHECK(dense_f32)
S24_PRODUCT_CHECK(dense_bf16)
S24_PRODUCT_CHECK(dense_f16)
S24_PRODUCT_CHECK(dense_bf16_dot)
S24_PRODUCT_CHECK(sparse_int8)
S24_PRODUCT_CHECK(sparse_int4)
S24_PRODUCT_CHECK(sparse_int4_zeros)
S24_PRODUCT_CHECK(sparse_int4_p6)
S24_PRODUCT_CHECK(dense_int8)
S24_PRODUCT_CHECK(dense_int4)
S24_PRODUCT_CHECK(dense_int4_zeros)
S24_PRODUCT_CHECK(quantise_token)
#undef S24_PRODUCT_CHECK

#endif
