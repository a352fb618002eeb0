/* What an encoder is worth: how far its hidden states are from the dense model's. */
#ifndef HIDDEN_H
#define HIDDEN_H
#include "evaluate.h"

/* Those behind the last block, rows x length x hidden, of all rows together; to be freed. */
bool s24m_hidden_take(s24m_model *model, const tokens *t, const evaluating *how, float **h);
/* Bytes of them. */
uint64_t s24m_hidden_bytes(const s24m_model *model, const tokens *t);
/* sum (found - dense)^2 / sum dense^2 */
double s24m_hidden_error(const float *dense, const float *found, int64_t count);

#endif
