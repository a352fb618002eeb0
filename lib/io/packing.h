/* Weights that are stored as codes and scales in several tensors, as quantised folders have them:
 * rows of the matrix they stand for. Knows where codes lie, not how the tensors are named. */
#ifndef S24I_PACKING_H
#define S24I_PACKING_H
#include "reader.h"

/* Everything was checked when it was made: every code and scale lies in its tensor. */
struct s24i_packing {
    const char *type; /* what s24_file_info() tells: "gptq:int4" */
    void (*decode)(const s24i_packing *packing, int64_t first, int64_t count, float *out,
                   int64_t stride);
    s24i_tensor codes, scales;
    s24i_tensor zeros, groups; /* `data` NULL: there are none */
    int32_t bits;              /* of a code */
    int64_t matrices;          /* 0: two dimensions */
    int64_t rows, cols;        /* of the matrix, or of each */
    int64_t scale_rows, scale_cols;
    int64_t matrix_scales;        /* scales of a matrix; 0: all have the same */
    int64_t row_block, col_block; /* weights that share a scale */
    bool plus_one;                /* zeros are stored less one (GPTQ version 1) */
    char *name;                   /* of the tensor, NULL: as that of the codes */
};

/* Codes of `bits` that follow each other in a row, scales of rows and columns: FP8, integers of 8
 * bits, and packed ones. A weight is (code - zero) scale, each step rounded to float. */
void s24i_decode_rows(const s24i_packing *packing, int64_t first, int64_t count, float *out,
                      int64_t stride);
/* GPTQ: inputs go down, 32 / bits of them in a word; outputs lie side by side. */
void s24i_decode_gptq(const s24i_packing *packing, int64_t first, int64_t count, float *out,
                      int64_t stride);
/* MXFP4 as gpt-oss has it: outputs x blocks of 32 inputs; the matrix is inputs x outputs. */
void s24i_decode_mxfp4_turned(const s24i_packing *packing, int64_t first, int64_t count, float *out,
                              int64_t stride);

#endif
