/*
 * Blocks for values: what GGUF's reference quantiser gives, unless another block decodes to exactly
 * these values. Such a block exists for every one that came out of a file, but where some codes are
 * not in use the reference finds another scale: a pruned matrix would lose bits each time it passes
 * through a file.
 */
#include "blocks.h"
#include "half.h"
#include <math.h>
#include <string.h>

enum { HALF = S24I_GGUF_BLOCK / 2, BYTES = 34 };

/* How well a block does. */
enum { OTHER_VALUES, EQUAL_VALUES, EQUAL_BITS };

/* The best block so far. */
typedef struct search {
    const float *values;
    s24i_decode_fn decode;
    size_t size;
    int grade; /* -1: none yet */
    unsigned char best[BYTES];
} search;

static void put_half(unsigned char *place, uint16_t half)
{
    place[0] = (unsigned char)half;
    place[1] = (unsigned char)(half >> 8);
}

static void pack(const int codes[S24I_GGUF_BLOCK], unsigned char *bytes)
{
    for (int j = 0; j < HALF; j++)
        bytes[j] = (unsigned char)(codes[j] | codes[j + HALF] << 4);
}

/* Take the block if it does better; true: none can. */
static bool offer(search *s, const unsigned char *block)
{
    float out[S24I_GGUF_BLOCK];
    int grade = EQUAL_BITS;

    s->decode(block, out);
    if (memcmp(out, s->values, sizeof out))
        grade = EQUAL_VALUES;
    for (int j = 0; j < S24I_GGUF_BLOCK && grade; j++) {
        if (out[j] != s->values[j])
            grade = OTHER_VALUES;
    }
    if (grade > s->grade) {
        memcpy(s->best, block, s->size);
        s->grade = grade;
    }
    return s->grade == EQUAL_BITS;
}

static float largest(const float values[S24I_GGUF_BLOCK])
{
    float found = 0;

    for (int j = 0; j < S24I_GGUF_BLOCK; j++) {
        if (fabsf(values[j]) > fabsf(found))
            found = values[j];
    }
    return found;
}

/* Trailing zero bits of the fraction: the magnitude of a code, k bits, times a half has 24 - 11 - k
 * of them. */
static bool is_product(float value, int magnitude_bits)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return !(bits & ((1u << (24 - 11 - magnitude_bits)) - 1));
}

static bool is_finite_half(float value)
{
    return (s24i_f32_to_f16(value) & 0x7c00) != 0x7c00;
}

/* ---- Q8_0: code d. ---- */

static void q8_0(const float values[S24I_GGUF_BLOCK], float d, unsigned char *block)
{
    float inverse = d != 0 ? 1 / d : 0;

    put_half(block, s24i_f32_to_f16(d));
    for (int j = 0; j < S24I_GGUF_BLOCK; j++)
        block[2 + j] = (unsigned char)(int8_t)fmaxf(-128, fminf(127, roundf(values[j] * inverse)));
}

bool s24i_encode_q8_0(const float values[S24I_GGUF_BLOCK], unsigned char *block)
{
    search s = {values, s24i_decode_q8_0, 34, -1};
    float top = largest(values), d = fabsf(top) / 127;

    q8_0(values, d, block);
    bool done = !is_finite_half(d) || offer(&s, block) || !is_product(top, 7);
    for (int k = 1; !done && k <= 128; k++) {
        for (int sign = -1; !done && sign <= 1; sign += 2) {
            d = top / (float)(sign * k);
            if (s24i_f16_to_f32(s24i_f32_to_f16(d)) != d)
                continue;
            q8_0(values, d, block);
            done = offer(&s, block);
        }
    }
    memcpy(block, s.best, s.size);
    return s.grade >= 0;
}

/* ---- Q4_0: (code - 8) d. ---- */

static void q4_0(const float values[S24I_GGUF_BLOCK], float d, unsigned char *block)
{
    float inverse = d != 0 ? 1 / d : 0;
    int codes[S24I_GGUF_BLOCK];

    put_half(block, s24i_f32_to_f16(d));
    for (int j = 0; j < S24I_GGUF_BLOCK; j++)
        codes[j] = (int)fmaxf(0, fminf(15, truncf(values[j] * inverse + 8.5f)));
    pack(codes, block + 2);
}

bool s24i_encode_q4_0(const float values[S24I_GGUF_BLOCK], unsigned char *block)
{
    search s = {values, s24i_decode_q4_0, 18, -1};
    float top = largest(values), d = top / -8;

    q4_0(values, d, block);
    bool done = !is_finite_half(d) || offer(&s, block) || !is_product(top, 3);
    for (int k = -8; !done && k <= 8; k++) {
        d = top / (float)k;
        if (k == 0 || s24i_f16_to_f32(s24i_f32_to_f16(d)) != d)
            continue;
        q4_0(values, d, block);
        done = offer(&s, block);
    }
    memcpy(block, s.best, s.size);
    return s.grade >= 0;
}

/* ---- Q4_1: code d + m. ---- */

static void q4_1(const float values[S24I_GGUF_BLOCK], float d, float m, unsigned char *block)
{
    float inverse = d != 0 ? 1 / d : 0;
    int codes[S24I_GGUF_BLOCK];

    put_half(block, s24i_f32_to_f16(d));
    put_half(block + 2, s24i_f32_to_f16(m));
    for (int j = 0; j < S24I_GGUF_BLOCK; j++)
        codes[j] = (int)fmaxf(0, fminf(15, truncf((values[j] - m) * inverse + 0.5f)));
    pack(codes, block + 4);
}

/* The different values, ascending; 0 if there are more than 16: no grid has them. */
static int distinct(const float values[S24I_GGUF_BLOCK], float found[16])
{
    int n = 0;

    for (int j = 0; j < S24I_GGUF_BLOCK; j++) {
        int at = n;
        while (at > 0 && found[at - 1] >= values[j])
            at--;
        if (at < n && found[at] == values[j])
            continue;
        if (n == 16)
            return 0;
        memmove(found + at + 1, found + at, (size_t)(n - at) * sizeof *found);
        found[at] = values[j];
        n++;
    }
    return n;
}

/*
 * The half m for which every value is code d + m rounded to float, if there is one: each value
 * confines m to an interval, and if a half lies in the intersection, so does the half nearest to
 * its centre. False: the codes are not in range, or the interval is empty.
 */
static bool fit_offset(const float *values, int n, double d, int first, double *m)
{
    double low = -INFINITY, high = INFINITY;

    for (int i = 0; i < n; i++) {
        double code = first + nearbyint((values[i] - (double)values[0]) / d), v = values[i];
        if (code < 0 || code > 15)
            return false;
        low = fmax(low, (v + nextafterf(values[i], -INFINITY)) / 2 - code * d);
        high = fmin(high, (v + nextafterf(values[i], INFINITY)) / 2 - code * d);
    }
    *m = s24i_f16_to_f32(s24i_f32_to_f16((float)((low + high) / 2)));
    return low <= high;
}

/* Grids of this step, rounded to a half, whatever the code of the least value. */
static bool search_q4_1(search *s, const float *found, int n, float d)
{
    unsigned char block[BYTES];
    double m;

    d = s24i_f16_to_f32(s24i_f32_to_f16(d));
    for (int first = 0; d != 0 && first <= 15; first++) {
        if (!fit_offset(found, n, d, first, &m))
            continue;
        q4_1(s->values, d, (float)m, block);
        if (offer(s, block))
            return true;
    }
    return false;
}

bool s24i_encode_q4_1(const float values[S24I_GGUF_BLOCK], unsigned char *block)
{
    search s = {values, s24i_decode_q4_1, 20, -1};
    float found[16], low = values[0], high = values[0];

    for (int j = 1; j < S24I_GGUF_BLOCK; j++) {
        low = values[j] < low ? values[j] : low;
        high = values[j] > high ? values[j] : high;
    }
    float d = (high - low) / 15;
    q4_1(values, d, low, block);
    bool done = !is_finite_half(d) || !is_finite_half(low) || offer(&s, block);
    int n = done ? 0 : distinct(values, found);
    for (int span = 15; !done && n > 1 && span > 0; span--) {
        d = (high - low) / (float)span;
        done = search_q4_1(&s, found, n, d) || search_q4_1(&s, found, n, -d);
    }
    memcpy(block, s.best, s.size);
    return s.grade >= 0;
}
