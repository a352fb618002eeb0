/* The tensors of a block: their names in both kinds of file, their shapes, and whether they are there. */
#ifndef LLAMA_PARTS_H
#define LLAMA_PARTS_H
#include "model.h"

/* The linear layers, then the norms. */
enum {
    LLAMA_ATTENTION_NORM = LLAMA_LINEARS,
    LLAMA_MLP_NORM,
    LLAMA_Q_NORM,
    LLAMA_K_NORM,
    LLAMA_PARTS
};

typedef enum { LLAMA_NEVER, LLAMA_MAYBE, LLAMA_ALWAYS } llama_presence;

/* The tensors outside the blocks. */
enum { LLAMA_EMBEDDING, LLAMA_LAST_NORM, LLAMA_OUTPUT, LLAMA_GLOBALS };
const char *llama_global(const llama_model *model, int32_t which);

/* The name without "model.layers.N." or "blk.N.", and without its ending. */
const char *llama_part(const llama_model *model, int32_t part);
/* The whole name with the ending "weight" or "bias". */
void llama_part_name(const llama_model *model, int64_t layer, int32_t part, bool bias,
                     char name[LLAMA_NAME]);
/* cols is 0 for vectors. */
void llama_part_shape(const llama_model *model, int32_t part, bool bias, int64_t *rows,
                      int64_t *cols);
llama_presence llama_part_presence(const llama_model *model, int32_t part, bool bias);

#endif
