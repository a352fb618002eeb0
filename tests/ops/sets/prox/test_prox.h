/* What the tests of the proximal operators share. */
#ifndef TEST_PROX_H
#define TEST_PROX_H
#include "kernels/kernels.h"
#include "inputs.h"
#include "oracle.h"
#include <check.h>

/* How many groups a test looks at: `usual`, ten times as many with SPARSE24_NIGHTLY=1, fewer under
 * a sanitizer. */
int64_t group_count(int64_t usual);

TCase *minimum_tests(void);  /* minima.c: against the oracles */
TCase *property_tests(void); /* properties.c */

#endif
