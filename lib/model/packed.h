/* Matrices of a .s24 file, which holds them packed: as tensors of the names that they had. */
#ifndef S24M_PACKED_H
#define S24M_PACKED_H
#include "model.h"

/* A matrix of that name is packed in the file. */
bool s24m_packed(const s24m_model *model, const char *name, int64_t *rows, int64_t *cols);
/* The tensor is a part of one. */
bool s24m_packed_part(const s24m_model *model, const char *name);
/* Any is. */
bool s24m_packed_any(const s24m_model *model);
/* Its values as f32, rows x cols. */
s24_status s24m_packed_read(const s24m_model *model, const char *name, const s24_mat *values);

enum { S24M_PACKED_ROWS = 16 }; /* of a block of the layouts whose names begin with ri16 */
/* The values of block `index` of one, as f32. */
s24_status s24m_packed_block(const s24m_model *model, const s24_packed *packed, int64_t index,
                             float *values);
/* The bytes of all parts. */
uint64_t s24m_packed_bytes(const s24_packed *packed);

#endif
