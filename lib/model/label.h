/* What a model file says of its types as a whole: the name and general.file_type of a GGUF file,
 * dtype of config.json. Knows names and texts only. */
#ifndef LABEL_H
#define LABEL_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

#define LABEL_FILE_TYPE "general.file_type"
/* Which version of its block types a GGUF file has, and the one that we write. */
#define LABEL_BLOCKS "general.quantization_version"
#define LABEL_BLOCKS_NOW "2"

/* The types that most weights have: of the source and of what is written. "": none counted. */
typedef struct label {
    char before[16], after[16];
} label;

/* The types of a tensor of the source, and as it is written. */
typedef bool (*label_types_fn)(void *from, const char *name, const char **before,
                               const char **after);
bool s24m_label_types(label *l, const s24_file *source, label_types_fn types, void *from);
/* The source's name with the type in it, if there is one, replaced, and without the number of a
 * part. To be freed. */
char *s24m_label_name(const label *l, const char *name);
/* llama.cpp's number of what most weights are, as text; NULL: leave it as it is. */
const char *s24m_label_file_type(const label *l);
/* "float16" and so on, as config.json has it. */
const char *s24m_label_dtype(int32_t store);

#endif
