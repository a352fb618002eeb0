/* The checks of the rows of kernels.def that take few rows with many. */
#ifndef S24_TESTS_DOTS_H
#define S24_TESTS_DOTS_H
#include "kernels/kernels.h"

void check_dot_rows(const s24i_kernels *fast);
void check_excess_rows(const s24i_kernels *fast);
void check_multiply_panel(const s24i_kernels *fast);

#endif
