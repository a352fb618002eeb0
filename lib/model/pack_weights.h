/* One matrix of a model as a packed matrix that has a fast product: in the type that the file has,
 * or in one that is asked for. */
#ifndef S24M_PACK_WEIGHTS_H
#define S24M_PACK_WEIGHTS_H
#include "model.h"

typedef enum {
    S24M_AS_STORED,
    S24M_AS_F32,
    S24M_AS_BF16,
    S24M_AS_F16,
    S24M_AS_INT8,
    S24M_AS_INT4,
    S24M_AS_TYPES
} s24m_as;

/* "stored", "f32", "bf16" .. */
extern const char *const s24m_as_names[S24M_AS_TYPES];

/* From where it lies: *out stays NULL if the file has floats under this name, or other codes than
 * fast products take. */
s24_status s24m_pack_stored(const s24m_model *model, const char *tensor, s24_packed **out);
/* From its values; `tensor` is where they come from. Half of each four columns if at most two of
 * them are not 0. */
s24_status s24m_pack_values(const s24m_model *model, const char *tensor, const s24_mat *values,
                            s24m_as as, s24_packed **out);
/* A table, always dense, with the same two ways. */
s24_status s24m_pack_table(const s24m_model *model, const char *tensor, int64_t rows, int64_t cols,
                           s24m_as as, s24_packed **out);

#endif
