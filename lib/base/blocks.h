/* GGUF's block types, one block at a time: bytes in, floats out. Knows bytes; element.h says which
 * type has which. */
#ifndef S24I_BLOCKS_H
#define S24I_BLOCKS_H
#include <stdbool.h>

enum {
    S24I_GGUF_BLOCK = 32,        /* weights in a block of every type that can be encoded */
    S24I_GGUF_LARGE_BLOCK = 256, /* in a block of K-quants and I-quants, the largest there is */
};

/* What one block decodes to, as the format defines it (in float): as many values as the type's
 * blocks have weights; and the block for 32 finite values, false when their scale does not fit into
 * 16 bits. */
typedef void (*s24i_decode_fn)(const unsigned char *block, float *out);
typedef bool (*s24i_encode_fn)(const float values[S24I_GGUF_BLOCK], unsigned char *block);

/* blocks.c */
void s24i_decode_q4_0(const unsigned char *block, float *out);
void s24i_decode_q4_1(const unsigned char *block, float *out);
void s24i_decode_q5_0(const unsigned char *block, float *out);
void s24i_decode_q5_1(const unsigned char *block, float *out);
void s24i_decode_q8_0(const unsigned char *block, float *out);
/* blocks_k.c */
void s24i_decode_q2_k(const unsigned char *block, float *out);
void s24i_decode_q3_k(const unsigned char *block, float *out);
void s24i_decode_q4_k(const unsigned char *block, float *out);
void s24i_decode_q5_k(const unsigned char *block, float *out);
void s24i_decode_q6_k(const unsigned char *block, float *out);
void s24i_decode_tq1_0(const unsigned char *block, float *out);
void s24i_decode_tq2_0(const unsigned char *block, float *out);
/* blocks_fp4.c */
void s24i_decode_mxfp4(const unsigned char *block, float *out);
void s24i_decode_nvfp4(const unsigned char *block, float *out);
void s24i_decode_iq4_nl(const unsigned char *block, float *out);
void s24i_decode_iq4_xs(const unsigned char *block, float *out);
/* blocks_iq.c */
void s24i_decode_iq1_s(const unsigned char *block, float *out);
void s24i_decode_iq1_m(const unsigned char *block, float *out);
void s24i_decode_iq2_xxs(const unsigned char *block, float *out);
void s24i_decode_iq2_xs(const unsigned char *block, float *out);
void s24i_decode_iq2_s(const unsigned char *block, float *out);
void s24i_decode_iq3_xxs(const unsigned char *block, float *out);
void s24i_decode_iq3_s(const unsigned char *block, float *out);
/* blocks_encode.c */
bool s24i_encode_q4_0(const float values[S24I_GGUF_BLOCK], unsigned char *block);
bool s24i_encode_q4_1(const float values[S24I_GGUF_BLOCK], unsigned char *block);
bool s24i_encode_q8_0(const float values[S24I_GGUF_BLOCK], unsigned char *block);

#endif
