/* The shrinking kernels on every instruction set against the reference. Knows the trials only. */
#ifndef TEST_KERNELS_PROX_H
#define TEST_KERNELS_PROX_H
#include "kernels/kernels.h"

void check_prox_2m_f32(const s24i_kernels *fast);
void check_prox_2m_f64(const s24i_kernels *fast);
void check_prox_1m_f32(const s24i_kernels *fast);
void check_prox_1m_f64(const s24i_kernels *fast);
void check_prox_firm_f32(const s24i_kernels *fast);
void check_prox_firm_f64(const s24i_kernels *fast);

#endif
