/* Speed of decoding every block type of GGUF on one core: GB/s of floats that come out, the best of
 * SAMPLES, one JSON object a line. */
#include "base/element.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WEIGHTS = 1 << 20, SAMPLES = 9, OUT = 1 << 12 }; /* out: 16 KiB, as a strip of rows is */

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

static void measure(const s24i_element *e, const unsigned char *bytes, float *out)
{
    double best = time_once(e, bytes, out);
    for (int i = 1; i < SAMPLES; i++) {
        double once = time_once(e, bytes, out);
        best = once < best ? once : best;
    }
    printf("{\"type\": \"%s\", \"gb_per_second\": %.2f}\n", e->name,
           WEIGHTS * sizeof(float) / best / 1e9);
}

int main(void)
{
    enum { NUMBERS = 64, MOST = 2 * WEIGHTS };
    unsigned char *bytes = malloc(MOST);
    float *out = malloc(OUT * sizeof *out);
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
    free(bytes);
    free(out);
    return bytes && out ? 0 : 1;
}
