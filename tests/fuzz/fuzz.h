/* What the fuzz targets share: reading an input piece by piece, claims that abort, and an allocator
 * that sees leaks and false sizes. */
#ifndef S24_TESTS_FUZZ_H
#define S24_TESTS_FUZZ_H
#include <sparse24/sparse24.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The one function of a target; libFuzzer, or replay.c with the kept inputs, calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For fuzzers a finding is a crash. */
#define CLAIM(condition)                                 \
    do {                                                 \
        if (!(condition))                                \
            fuzz_broken(__FILE__, __LINE__, #condition); \
    } while (0)

_Noreturn void fuzz_broken(const char *file, int line, const char *claim);

/* What is left of an input; past its end it gives zeros. */
typedef struct fuzz_input {
    const uint8_t *at, *end;
} fuzz_input;

uint8_t fuzz_byte(fuzz_input *in);
/* Uniform in [low, high] over one byte, or over two where the range is larger. */
int64_t fuzz_between(fuzz_input *in, int64_t low, int64_t high);
/* A number as inputs have them, or worse: NaN, infinities, denormals, huge ones, small integers,
 * any bits. */
double fuzz_number(fuzz_input *in);
/* The rest as a text that ends at its first NUL byte; free() it. */
char *fuzz_text(fuzz_input *in);

/* A context over an allocator that has 64 MiB. */
s24_ctx *fuzz_open(void);
/* From now on the k-th allocation (from 1) is refused; 0: none. */
void fuzz_refuse(int64_t k);
/* What new memory holds, 0 at first. Nothing may depend on it. */
void fuzz_fill(int byte);
/* Destroys it; nothing may be left. */
void fuzz_close(s24_ctx *ctx);
/* Bytes now in use, and the peak since it was last set to that. */
int64_t fuzz_bytes(void);
int64_t fuzz_peak(bool reset);
/* A status of the public list, with a text if it is an error. */
void fuzz_check_status(s24_status status);

#endif
