/* The parts of the configuration reader, in the order in which they are called. */
#ifndef LLAMA_CONFIG_H
#define LLAMA_CONFIG_H
#include "family.h"
#include "keys.h"

/* S24_E_UNSUPPORTED for each key that would change the model and that nothing here applies, named with its value. */
s24_status llama_refuse_keys(const llama_reader *r, const llama_family *family);
/* config.window and model->windowed. */
s24_status llama_read_windows(const llama_reader *r, const llama_family *family);
/* config.rope, and config.context as far as it stretches that. */
s24_status llama_read_rope(const llama_reader *r);
/* Its parts for GGUF files: keys, then tensors. */
s24_status llama_read_rope_gguf(const llama_reader *r);
s24_status llama_read_divisors(llama_model *model);

#endif
