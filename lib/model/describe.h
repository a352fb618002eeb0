/* What config.json and its neighbours say of packed matrices, as JSON: what loaders of Hugging Face
 * folders read before the weights. docs/outputs.md names their formats. */
#ifndef DESCRIBE_H
#define DESCRIBE_H
#include "store.h"

/* What is told of a folder. */
typedef struct described {
    const stored *matrices;
    int count;
    bool encoder; /* loaders may put a word before names or leave it out, and make a pooler */
} described;

/* quantization_config of a folder in this form; NULL without memory. To be freed. GPTQ's
 * has one grid for all. */
char *s24m_describe(const form *f, const described *of);
/* adapter_config.json of PEFT for factors of these modules and ranks; W = base + B A. */
typedef struct factors {
    char module[S24M_NAME];
    int64_t rank;
} factors;
/* turned: their weights lie as inputs x outputs. */
char *s24m_describe_adapter(const factors *each, int count, bool turned);
/* A folder in this form has its description in this file too; NULL: none. */
const char *s24m_description_file(const form *f);

#endif
