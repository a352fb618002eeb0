/* What work on a model takes outside the library, in bytes. Knows sizes only. */
#ifndef MEMORY_H
#define MEMORY_H
#include "llama.h"

/* The weights of a block as f32. */
uint64_t memory_block(const llama_model *model);
/* A table of tokens as f32, if it does not lie in the file as a type that products take. */
uint64_t memory_table(const llama_model *model);
/* What attention has in work at a time. */
uint64_t memory_attention(const llama_model *model, int64_t length);
/* A forward pass over rows, whatever it is at: a block with its chunk, or the head and its logits. */
uint64_t memory_forward(const llama_model *model, int64_t rows, int64_t length);
/* What the process holds now that no file backs, with the buffers that BLAS will take for each thread. */
uint64_t memory_base(const s24_ctx *ctx);

#endif
