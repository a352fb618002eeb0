/* The two 16-bit float formats, one value at a time: the definition that the conversion kernels
 * must match. Round to nearest, ties to even; NaN stays NaN (quiet, sign and high payload bits
 * kept). */
#ifndef S24I_HALF_H
#define S24I_HALF_H
#include <stdint.h>

float s24i_f16_to_f32(uint16_t h);
uint16_t s24i_f32_to_f16(float f);
float s24i_bf16_to_f32(uint16_t h);
uint16_t s24i_f32_to_bf16(float f);
/* Rounded to odd (inexact: towards zero, then the last bit set): the step from f64 to either 16-bit
 * format that rounds only once. */
float s24i_f64_to_f32_odd(double d);

#endif
