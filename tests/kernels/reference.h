/* The reference kernels against independent definitions: sorting, published formulas, arithmetic in
 * double. */
#ifndef TEST_REFERENCE_H
#define TEST_REFERENCE_H
#include <check.h>

TCase *reference_tests(void);
TCase *conversion_tests(void); /* conversions.c */
TCase *sweep_tests(void);      /* sweeps.c */

#endif
