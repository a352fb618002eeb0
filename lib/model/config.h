/* The parts of the configuration reader, in the order in which they are called. */
#ifndef S24M_CONFIG_H
#define S24M_CONFIG_H
#include "family.h"
#include "keys.h"

/* S24_E_UNSUPPORTED for each key that would change the model and that nothing here applies, named
 * with its value. */
s24_status s24m_refuse_keys(const s24m_reader *r, const s24m_family *family);
/* config.window and model->windowed. */
s24_status s24m_read_windows(const s24m_reader *r, const s24m_family *family);
/* config.rope, and config.context as far as it stretches that. */
s24_status s24m_read_rope(const s24m_reader *r);
/* Its parts for GGUF files: keys, then tensors. */
s24_status s24m_read_rope_gguf(const s24m_reader *r);
s24_status s24m_read_divisors(s24m_model *model);

#endif
