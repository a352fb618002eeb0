/* Frequencies of the rotary embedding from its settings. */
#ifndef LLAMA_ROPE_H
#define LLAMA_ROPE_H
#include "llama.h"

/* Settings that scale nothing, for heads of this size. */
llama_rope llama_rope_plain(int64_t size);
/* The pairs between which yarn interpolates, from turns within the trained context. */
s24_status llama_rope_yarn(llama_rope *rope, double fast, double slow, bool whole);
/* 1 + weight ln(factor) / 10 of yarn's cosines and sines, 1 without stretching. */
double llama_rope_strength(double factor, double weight);
/* S24_E_FORMAT for settings that give no angles to heads of this size. */
s24_status llama_rope_check(const llama_rope *rope, int64_t head_dim);
/* Stretched models take longer rows than the context that the file says, if that is the one of the training. */
void llama_rope_reach(const llama_rope *rope, int64_t *context);
/* Angle of pair i of one position, in rows of `length` tokens. */
double llama_rope_frequency(const llama_rope *rope, int64_t i, int64_t length);

#endif
