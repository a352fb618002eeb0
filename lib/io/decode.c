/* Rows of a tensor that is stored in blocks as floats. */
#include "reader.h"

bool s24i_tensor_is_decoded(const s24i_tensor *t)
{
    return t->element->decode != NULL;
}

void s24i_tensor_decode(const s24i_tensor *t, int64_t first, int64_t count, float *out,
                        int64_t stride)
{
    const s24i_element *element = t->element;
    int64_t rows, cols, bytes = element->bits / 8;

    s24i_tensor_extents(t, &rows, &cols);
    int64_t blocks = cols / element->block;
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *block = t->data + (first + i) * blocks * bytes;
        for (int64_t b = 0; b < blocks; b++)
            element->decode(block + b * bytes, out + i * stride + b * element->block);
    }
}
