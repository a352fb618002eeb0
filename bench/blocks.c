/* Speed of decoding every block type of GGUF, and codes of quantised folders, on one core: GB/s of
 * floats that come out, the best of SAMPLES, one JSON object a line. */
#include "io/packing.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WEIGHTS = 1 << 20, SAMPLES = 9, OUT = 1 << 12 }; /* out: 16 KiB, as a row is */
enum { SIDE = 1 << 10, GROUP = 128, GROUPS = SIDE / GROUP };

/* Of this thread's processor time: others on the machine take theirs. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_once(const s24i_element *e, const unsigned char *bytes, float *out)
{
    double start = seconds();
    for (int64_t i = 0; i < WEIGHTS; i += e->block, bytes += e->bits / 8)
        e->decode(bytes, out + i % OUT);
    return seconds() - start;
}

static void tell(const char *type, double best)
{
    printf("{\"type\": \"%s\", \"gb_per_second\": %.2f}\n", type,
           WEIGHTS * sizeof(float) / best / 1e9);
}

static void measure(const s24i_element *e, const unsigned char *bytes, float *out)
{
    double best = time_once(e, bytes, out);
    for (int i = 1; i < SAMPLES; i++) {
        double once = time_once(e, bytes, out);
        best = once < best ? once : best;
    }
    tell(e->name, best);
}

/* ---- Codes and scales ---- */

static s24i_tensor part(const char *type, const void *data)
{
    return (s24i_tensor){.element = s24i_element_by_name(type), .data = data};
}

static double decode_once(const s24i_packing *p, float *out)
{
    double start = seconds();
    for (int64_t i = 0; i < SIDE; i += S24I_DECODED_ROWS)
        p->decode(p, i, S24I_DECODED_ROWS, out, SIDE);
    return seconds() - start;
}

/* SIDE x SIDE weights; scales are whatever the bytes are. */
static void measure_packing(s24i_packing p, float *out)
{
    p.rows = p.cols = p.scale_rows = SIDE;
    p.row_block = 1;
    p.col_block = p.col_block ? p.col_block : SIDE;
    p.scale_cols = SIDE / p.col_block;
    double best = decode_once(&p, out);
    for (int i = 1; i < SAMPLES; i++) {
        double once = decode_once(&p, out);
        best = once < best ? once : best;
    }
    tell(p.type, best);
}

static void measure_packings(const unsigned char *bytes, float *out)
{
    static int32_t groups[SIDE];
    s24i_tensor words = part("I32", bytes), halves = part("F16", bytes), none = {0};
    for (int i = 0; i < SIDE; i++)
        groups[i] = i * 389 % SIDE / GROUP;
    s24i_packing p = {"gptq:int4", s24i_decode_gptq, words, halves, words, none, 4};
    p.col_block = GROUP;
    measure_packing(p, out);
    p.type = "gptq:int4, inputs in an order";
    p.groups = part("I32", groups);
    measure_packing(p, out);
    p = (s24i_packing){"compressed-tensors:int4", s24i_decode_rows, words, halves, none, none, 4};
    p.col_block = GROUP;
    measure_packing(p, out);
    p = (s24i_packing){"compressed-tensors:int8", s24i_decode_rows, part("I8", bytes), halves};
    p.bits = 8;
    measure_packing(p, out);
    p.type = "fp8:e4m3";
    p.codes = part("F8_E4M3", bytes);
    p.col_block = GROUP;
    measure_packing(p, out);
    p = (s24i_packing){"mxfp4:fp4", s24i_decode_mxfp4_turned, part("U8", bytes), part("U8", bytes)};
    p.matrices = 1;
    measure_packing(p, out);
}

int main(void)
{
    enum { NUMBERS = 64, MOST = 3 * WEIGHTS };
    unsigned char *bytes = malloc(MOST);
    float *out = malloc(S24I_DECODED_ROWS * SIDE * sizeof *out);
    uint32_t seed = 1;
    for (int64_t i = 0; bytes && i < MOST; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
    for (uint32_t number = 0; bytes && out && number < NUMBERS; number++) {
        const s24i_element *e = s24i_element_by_gguf(number);
        if (e && e->decode)
            measure(e, bytes, out);
    }
    if (bytes && out)
        measure_packings(bytes, out);
    free(bytes);
    free(out);
    return bytes && out ? 0 : 1;
}
