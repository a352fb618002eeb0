/* GGUF's block types of 32 weights, one block at a time. Knows bytes; element.h says which type has
 * which. */
#ifndef S24I_BLOCKS_H
#define S24I_BLOCKS_H
#include <stdbool.h>

#define S24I_GGUF_BLOCK 32 /* weights in a block of every type that has a code here */

/* What one block decodes to, as the format defines it (in float); and the block for 32 finite
 * values, false when their scale does not fit into 16 bits. */
typedef void (*s24i_decode_fn)(const unsigned char *block, float out[S24I_GGUF_BLOCK]);
typedef bool (*s24i_encode_fn)(const float values[S24I_GGUF_BLOCK], unsigned char *block);

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
