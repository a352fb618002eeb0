/* The parts of the configuration reader, in the order in which they are called. */
#ifndef S24M_CONFIG_H
#define S24M_CONFIG_H
#include "keys.h"

/* The whole name of a key, by that of its kind of file; whether the file says it, and not null. */
bool s24m_config_key(const s24m_model *model, const char *json, const char *gguf,
                     char full[S24M_KEY]);
/* Scales and caps that the row applies. */
s24_status s24m_read_multipliers(const s24m_reader *r);
/* Whether `key` is one of those, in either kind of file. */
bool s24m_is_multiplier(const s24m_reader *r, const char *key);
/* S24_E_UNSUPPORTED for each key that would change the model and that nothing here applies, named
 * with its value. */
s24_status s24m_refuse_keys(const s24m_reader *r);
/* config.experts and config.delta. */
s24_status s24m_read_experts(const s24m_reader *r);
/* config.window and model->layer. */
s24_status s24m_read_windows(const s24m_reader *r);
/* config.rope, which layers turn, and config.context as far as rotation stretches that. */
s24_status s24m_read_rope(const s24m_reader *r);
/* Its parts for GGUF files: keys, then tensors. */
s24_status s24m_read_rope_gguf(const s24m_reader *r);
s24_status s24m_read_local_gguf(const s24m_reader *r, bool *two);
s24_status s24m_read_divisors(s24m_model *model);

#endif
