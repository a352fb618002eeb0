/* Rows of a tensor that is stored in blocks, or as codes and scales. */
#include "packing.h"

uint64_t s24i_tensor_written(const s24i_tensor *t)
{
    int64_t rows, cols;

    s24i_tensor_extents(t, &rows, &cols);
    return t->packing ? (uint64_t)(rows * cols) * sizeof(float) : t->size;
}

void s24i_tensor_decode(const s24i_tensor *t, int64_t first, int64_t count, float *out,
                        int64_t stride)
{
    const s24i_element *element = t->element;
    if (t->packing) {
        t->packing->decode(t->packing, first, count, out, stride);
        return;
    }
    int64_t rows, cols, bytes = element->bits / 8;

    s24i_tensor_extents(t, &rows, &cols);
    int64_t blocks = cols / element->block;
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *block = t->data + (first + i) * blocks * bytes;
        for (int64_t b = 0; b < blocks; b++)
            element->decode(block + b * bytes, out + i * stride + b * element->block);
    }
}
