/* The tensors of a block: their names in both kinds of file, their shapes, and whether they are
 * there. */
#ifndef S24M_PARTS_H
#define S24M_PARTS_H
#include "tensors.h"

typedef enum { S24M_NEVER, S24M_MAYBE, S24M_ALWAYS } s24m_presence;

/* The tensors outside the blocks. */
enum { S24M_EMBEDDING, S24M_LAST_NORM, S24M_OUTPUT, S24M_GLOBALS };
const char *s24m_global(const s24m_model *model, int32_t which);

/* The name without "model.layers.N." or "blk.N.", and without its ending. */
const char *s24m_part(const s24m_model *model, int32_t part);
/* The same in Hugging Face's names, whatever the file has; and which of a block it is: the last
 * word of that. */
const char *s24m_common_part(int32_t part);
const char *s24m_kind(int32_t part);
/* The whole name with the ending "weight" or "bias". */
void s24m_part_name(const s24m_model *model, int64_t layer, int32_t part, bool bias,
                    char name[S24M_NAME]);
/* Which matrix of which block a tensor is; false: none. */
bool s24m_find_matrix(const s24m_model *model, const char *tensor, int64_t *layer, int32_t *which);
/* cols is 0 for vectors. */
void s24m_part_shape(const s24m_model *model, int32_t part, bool bias, int64_t *rows,
                     int64_t *cols);
s24m_presence s24m_part_presence(const s24m_model *model, int32_t part, bool bias);

#endif
