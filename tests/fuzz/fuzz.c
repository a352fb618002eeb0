#include "fuzz.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

enum { HEAD = 64, MOST = 64 << 20 };

static _Atomic int64_t bytes, peak, calls;
static int64_t refused;
static int filling;

void fuzz_broken(const char *file, int line, const char *claim)
{
    fprintf(stderr, "%s:%d: not true: %s (last error: %s)\n", file, line, claim, s24_last_error());
    abort();
}

/* ---- Input ---- */

uint8_t fuzz_byte(fuzz_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

int64_t fuzz_between(fuzz_input *in, int64_t low, int64_t high)
{
    uint64_t range = (uint64_t)high - (uint64_t)low + 1, value = fuzz_byte(in);

    if (range > 256)
        value = value << 8 | fuzz_byte(in);
    return low + (int64_t)(range ? value % range : value);
}

double fuzz_number(fuzz_input *in)
{
    static const double special[] = {0,     -0.0,   1,    NAN,   INFINITY, -INFINITY, 1e-45, 1e-40,
                                     1e-30, -1e-20, 1e20, -1e30, 3.4e38,   1e300,     65504, 7e4};
    uint8_t kind = fuzz_byte(in);
    uint64_t bits = 0;
    double value;

    if (kind < 240)
        return (kind - 120) / 16.0;
    if (kind < 255)
        return special[fuzz_byte(in) % 16];
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | fuzz_byte(in);
    memcpy(&value, &bits, sizeof value);
    return value;
}

char *fuzz_text(fuzz_input *in)
{
    size_t size = (size_t)(in->end - in->at);
    char *text = malloc(size + 1);

    memcpy(text, in->at, size);
    text[size] = 0;
    in->at = in->end;
    return text;
}

/* ---- Memory ---- */

static void *count_alloc(void *user, size_t size, size_t align)
{
    char *block;

    (void)user;
    CLAIM(align == HEAD);
    if (atomic_fetch_add(&calls, 1) + 1 == refused || size > MOST ||
        atomic_load(&bytes) + (int64_t)size > MOST ||
        posix_memalign((void **)&block, align, HEAD + size))
        return NULL;
    int64_t now = atomic_fetch_add(&bytes, (int64_t)size) + (int64_t)size, most = peak;
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        ;
    memcpy(block, &size, sizeof size);
    if (filling >= 0)
        memset(block + HEAD, filling, size);
    return block + HEAD;
}

static void count_free(void *user, void *block, size_t size)
{
    size_t asked;

    (void)user;
    memcpy(&asked, (char *)block - HEAD, sizeof asked);
    CLAIM(asked == size);
    atomic_fetch_sub(&bytes, (int64_t)size);
    free((char *)block - HEAD);
}

s24_ctx *fuzz_open(void)
{
    s24_ctx *ctx = NULL;

    fuzz_refuse(0);
    fuzz_fill(0);
    CLAIM(s24_ctx_create_with(count_alloc, count_free, NULL, &ctx) == S24_OK);
    return ctx;
}

void fuzz_fill(int byte)
{
    filling = byte;
}

void fuzz_refuse(int64_t k)
{
    refused = k ? atomic_load(&calls) + k : 0;
}

void fuzz_close(s24_ctx *ctx)
{
    s24_ctx_destroy(ctx);
    CLAIM(bytes == 0);
}

int64_t fuzz_bytes(void)
{
    return bytes;
}

int64_t fuzz_peak(bool reset)
{
    if (reset)
        peak = bytes;
    return peak;
}

void fuzz_check_status(s24_status status)
{
    CLAIM(status <= S24_OK && status > S24_E_INTERNAL);
    CLAIM(status == S24_OK || *s24_last_error());
}
