/* The tables of a vocabulary as codes: embedding and output head as integers of 8 bits, for forms
 * that hold them so. Knows tensors; nothing of matrices in blocks. */
#ifndef TABLES_H
#define TABLES_H
#include "store.h"

/* Whether the form holds this tensor as codes. */
bool s24m_tables_have(const form *f, const s24m_model *model, const char *tensor);
/* Put it: "<module>.weight" I8 and "<module>.weight_scale" F16, value = scale code. A tied head has
 * the scales too: its codes are the embedding's. told[0..*count) says what was stored; room 2. */
bool s24m_tables_put(const s24m_model *model, s24_file *out, const char *tensor, stored *told,
                     int *count);
/* The memory that it takes while it is made, the library's included. */
bool s24m_tables_memory(const s24m_model *model, uint64_t *bytes);
/* What that takes in the file. */
uint64_t s24m_tables_bytes(const s24m_model *model, const char *tensor);

#endif
