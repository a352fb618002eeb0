/* The parts of the reader of tokenizer.json, in the order in which they are called. */
#ifndef S24M_HF_H
#define S24M_HF_H
#include "json.h"
#include "tokenizer.h"

typedef struct hf_reader {
    tokenizer *t;
    const json_tree *tree;
    const char *name; /* of the file, for errors */
    buffer whole;     /* scratch: what a merge makes */
} hf_reader;

/* A merge of two pieces that are in the vocabulary, as their whole must be. */
bool s24m_hf_merge(hf_reader *r, int32_t rank, const char *left, size_t left_size,
                   const char *right, size_t right_size);
/* "normalizer", "pre_tokenizer", "post_processor" and "decoder"; each value may be NULL. */
bool s24m_hf_normalizer(hf_reader *r, const json_value *v);
bool s24m_hf_splitter(hf_reader *r, const json_value *v);
bool s24m_hf_around(hf_reader *r, const json_value *v);
bool s24m_hf_decoder(hf_reader *r, const json_value *v);

#endif
