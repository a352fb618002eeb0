/* The activations of all calibration tokens at one place of the model, tokens x width floats: in
 * memory, in memory as halves, or in a file without a name. Knows nothing of models. */
#ifndef ACTIVATIONS_H
#define ACTIVATIONS_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

enum { KEEP_RAM, KEEP_HALF, KEEP_DISK };

typedef struct activations {
    s24_ctx *ctx;
    int64_t tokens, width;
    int kind;
    void *memory; /* of KEEP_RAM and KEEP_HALF */
    int file;     /* of KEEP_DISK; 0: none */
} activations;

/* Bytes of memory that one of this kind takes. */
uint64_t s24m_activations_bytes(int kind, int64_t tokens, int64_t width);
/* `folder` is where the file of KEEP_DISK lives while it is open. */
bool s24m_activations_open(activations *a, s24_ctx *ctx, int kind, const char *folder,
                           int64_t tokens, int64_t width);
/* Rows [first, first + count), contiguous. Writing halves names a value that does not fit. */
bool s24m_activations_read(const activations *a, int64_t first, int64_t count, float *out);
bool s24m_activations_write(activations *a, int64_t first, int64_t count, const float *in);
/* The same store for rows of another width, its contents lost; not above the width it was opened
 * with. */
void s24m_activations_reuse(activations *a, int64_t width);
void s24m_activations_close(activations *a);

#endif
