/* The element types of matrices and of all file formats, one row each. Knows single elements; no
 * matrix, no file. */
#ifndef S24I_ELEMENT_H
#define S24I_ELEMENT_H
#include "blocks.h"
#include "half.h"
#include <sparse24/types.h>
#include <string.h>

typedef struct s24i_element {
    const char *name;      /* "BF16", "Q4_1" */
    int32_t bits;          /* of a block; 0: not known */
    int32_t block;         /* elements that a block holds: 1 unless they share scales */
    int32_t dtype;         /* S24_BF16; 0: no code for it */
    bool safetensors;      /* that format has it */
    int32_t gguf;          /* its number there, or -1 */
    const char *code;      /* "S24_BF16", NULL without one */
    s24i_decode_fn decode; /* NULL: none */
    s24i_encode_fn encode;
} s24i_element;

/* A type that is not in the table: its tensors can be listed and copied. `safetensors` or `gguf`
 * says whose it is. */
extern const s24i_element s24i_element_of_safetensors, s24i_element_of_gguf;

enum { S24I_GGUF_Q4_0 = 2, S24I_GGUF_Q4_1 = 3, S24I_GGUF_Q8_0 = 8 };

const s24i_element *s24i_element_by_name(const char *name); /* NULL if unknown */
const s24i_element *s24i_element_by_dtype(int32_t dtype);
const s24i_element *s24i_element_by_gguf(uint32_t number);

/* What can be loaded and stored. */
static inline bool s24i_is_float(int32_t dtype)
{
    return dtype == S24_F16 || dtype == S24_BF16 || dtype == S24_F32 || dtype == S24_F64;
}

/* Bytes of one element of a type that has a code: the code's low byte is its width in bits. */
static inline int32_t s24i_dtype_size(int32_t dtype)
{
    return (dtype & 0xff) / 8;
}

static inline double s24i_load(int32_t dtype, const void *from)
{
    double d;
    float f;
    uint16_t h;

    switch (dtype) {
    case S24_F64:
        memcpy(&d, from, sizeof d);
        return d;
    case S24_F32:
        memcpy(&f, from, sizeof f);
        return f;
    default:
        memcpy(&h, from, sizeof h);
        return dtype == S24_F16 ? s24i_f16_to_f32(h) : s24i_bf16_to_f32(h);
    }
}

/* To nearest even, rounded once. */
static inline void s24i_store(int32_t dtype, double value, void *to)
{
    float f = dtype == S24_F32 ? (float)value : s24i_f64_to_f32_odd(value);
    uint16_t h = dtype == S24_F16 ? s24i_f32_to_f16(f) : s24i_f32_to_bf16(f);

    if (dtype == S24_F64)
        memcpy(to, &value, sizeof value);
    else if (dtype == S24_F32)
        memcpy(to, &f, sizeof f);
    else
        memcpy(to, &h, sizeof h);
}

#endif
