/* The tensors of a model: their names in both kinds of file, their shapes, and whether they are
 * there. */
#ifndef S24M_PARTS_H
#define S24M_PARTS_H
#include "program.h"
#include "tensors.h"

/* The tensors outside the blocks. */
enum {
    S24M_EMBEDDING,
    S24M_LAST_NORM,
    S24M_LAST_SHIFT,
    S24M_OUTPUT,
    S24M_OUTPUT_BIAS,
    S24M_POSITIONS,
    S24M_EMBEDDING_NORM,
    S24M_EMBEDDING_SHIFT,
    S24M_TYPES,
    S24M_PROJECT_IN,
    S24M_PROJECT_OUT,
    S24M_GLOBALS
};
/* False: this architecture has none such. */
bool s24m_global(const s24m_model *model, int32_t which, char name[S24M_NAME]);
/* cols is 0 for vectors. */
void s24m_global_shape(const s24m_model *model, int32_t which, int64_t *rows, int64_t *cols);
s24m_presence s24m_global_presence(const s24m_model *model, int32_t which);

/* What stands before the number of a block: "model.layers." or "blk.". */
void s24m_block_prefix(const s24m_model *model, char name[S24M_NAME]);
/* The number of the block that a tensor belongs to; -1: outside. */
int64_t s24m_layer_of(const s24m_model *model, const char *tensor);
/* Which matrix of which block has this name, as s24m_name() gives it; false: none. */
bool s24m_find_matrix(const s24m_model *model, const char *name, int64_t *layer, int32_t *which);
/* The whole name of a vector, or of its shift. */
void s24m_vector_name(const s24m_model *model, int64_t layer, int32_t part, bool shift,
                      char name[S24M_NAME]);
/* The tensor in which a matrix lies, whole or as a slice, or its bias. */
void s24m_tensor_name(const s24m_model *model, int64_t layer, int32_t which, bool bias,
                      char name[S24M_NAME]);
/* Its shape in the file. */
void s24m_tensor_shape(const s24m_matrix *m, bool bias, int64_t shape[3], int32_t *rank);
/* The name in Hugging Face's Llama style, whatever the file has; and which of a block it is: the
 * last word of that. */
void s24m_common_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME]);
const char *s24m_kind(const s24m_model *model, int64_t layer, int32_t which);

#endif
