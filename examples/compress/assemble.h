/* The finished model from the source and the blocks of a checkpoint: everything that was not
 * compressed is carried over byte for byte. Knows files; neither solvers nor activations. */
#ifndef ASSEMBLE_H
#define ASSEMBLE_H
#include "checkpoint.h"
#include "llama.h"

/* Write `out`, a folder: the model in the container of the source, records.jsonl, and
 * parts.safetensors when results have further parts. It appears at once, complete. */
bool assemble(const llama_model *model, const char *path, const checkpoint *c, const char *out,
              const char *const *records, int count);
/* Where the model lies in `out`: the folder itself or a file in it. To be freed. */
char *assemble_model_path(const char *path, const char *out);

#endif
