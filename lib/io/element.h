/* The element types of all file formats, one row each, and the block types' codes. Knows bytes of
 * tensors, no files. */
#ifndef S24I_ELEMENT_H
#define S24I_ELEMENT_H
#include "base/memory.h"

#define S24I_GGUF_BLOCK 32 /* weights in a block of every type that has a code here */

/* What one block decodes to, as the format defines it (in float); and the block for 32 finite
 * values (blocks_encode.c), false when their scale does not fit into 16 bits. */
typedef void (*s24i_decode_fn)(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
typedef bool (*s24i_encode_fn)(const float values[S24I_GGUF_BLOCK], unsigned char *block);

typedef struct s24i_element {
    const char *name;      /* "BF16", "Q4_1" */
    int32_t bits;          /* of a block; 0: not known */
    int32_t block;         /* elements that a block holds: 1 unless they share scales */
    int32_t dtype;         /* S24_BF16; 0: no code for it */
    bool safetensors;      /* that format has it */
    int32_t gguf;          /* its number there, or -1 */
    s24i_decode_fn decode; /* NULL: none */
    s24i_encode_fn encode;
} s24i_element;

/* A type that is not in the table: its tensors can be listed and copied. `safetensors` or `gguf`
 * says whose it is. */
extern const s24i_element s24i_element_of_safetensors, s24i_element_of_gguf;

const s24i_element *s24i_element_by_name(const char *name); /* NULL if unknown */
const s24i_element *s24i_element_by_dtype(int32_t dtype);
const s24i_element *s24i_element_by_gguf(uint32_t number);

/* blocks.c */
void s24i_decode_q4_0(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
void s24i_decode_q4_1(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
void s24i_decode_q5_0(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
void s24i_decode_q5_1(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
void s24i_decode_q8_0(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
/* blocks_encode.c */
bool s24i_encode_q4_0(const float values[S24I_GGUF_BLOCK], unsigned char *block);
bool s24i_encode_q4_1(const float values[S24I_GGUF_BLOCK], unsigned char *block);
bool s24i_encode_q8_0(const float values[S24I_GGUF_BLOCK], unsigned char *block);

#endif
