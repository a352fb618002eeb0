/* Frequencies of the rotary embedding from its settings. */
#ifndef S24M_ROPE_H
#define S24M_ROPE_H
#include "model.h"

/* Settings that scale nothing, for heads of this size. */
s24m_rope s24m_rope_plain(int64_t size);
/* The pairs between which yarn interpolates, from turns within the trained context. */
s24_status s24m_rope_yarn(s24m_rope *rope, double fast, double slow, bool whole);
/* 1 + weight ln(factor) / 10 of yarn's cosines and sines, 1 without stretching. */
double s24m_rope_strength(double factor, double weight);
/* S24_E_FORMAT for settings that give no angles to heads of this size. */
s24_status s24m_rope_check(const s24m_rope *rope, int64_t head_dim);
/* Stretched models take longer rows than the context that the file says, if that is the one of the
 * training. */
void s24m_rope_reach(const s24m_rope *rope, int64_t *context);
/* Angle of pair i of one position, in rows of `length` tokens. */
double s24m_rope_frequency(const s24m_rope *rope, int64_t i, int64_t length);

#endif
