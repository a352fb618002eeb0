/* What work on a model takes outside the library, in bytes. Knows sizes only. */
#ifndef MEMORY_H
#define MEMORY_H
#include "model.h"

/* Threads that the context works with. */
int64_t s24m_threads(const s24_ctx *ctx);
/* The weights of a block as f32. */
uint64_t s24m_memory_block(const s24m_model *model);
/* Elements of the largest matrix of a block. */
uint64_t s24m_memory_matrix(const s24m_model *model);
/* The block's weights as they lie in the file. */
uint64_t s24m_memory_block_source(const s24m_model *model);
/* A table of tokens where it lies and, if products do not take its type, as f32. */
uint64_t s24m_memory_table(const s24m_model *model);
/* The library's scratch of products, by inputs in single precision; of the head the table is
 * converted. */
uint64_t s24m_memory_product(const s24m_model *model);
/* And while rows join calibration sums. */
uint64_t s24m_memory_adding(const s24_ctx *ctx);
/* What attention has in work at a time. */
uint64_t s24m_memory_attention(const s24m_model *model, int64_t length);
/* A forward pass over rows, whatever it is at: a block with its chunk, or the head and its
 * logits. */
uint64_t s24m_memory_forward(const s24m_model *model, int64_t rows, int64_t length);
/* Let the pages of the source that were read go: they come from the file again when they are
 * needed. */
void s24m_memory_let_go(const s24_file *file);
/* What the process holds now that no file backs, with the buffers that BLAS will take for each
 * thread. */
uint64_t s24m_memory_base(const s24_ctx *ctx);

/* Give back to the system what was freed. */
void s24m_memory_trim(void);

#endif
