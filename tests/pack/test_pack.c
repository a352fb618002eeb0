/* lib/pack: the packed layouts, one file a kind of source. */
#include "test_pack.h"

void pack_integers(int64_t rows, int64_t cols, int32_t width, bool fill, int8_t *out)
{
    static const int8_t pairs[6][2] = {{0, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {2, 3}};
    uint64_t state = (uint64_t)(rows * 1000 + cols * 10 + width);

    memset(out, 0, (size_t)(rows * cols));
    for (int64_t i = 0; i < rows * cols; i += width) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t which = (state >> 40) % (width == 4 ? 6 : 2);
        int32_t count = width / 2;
        if (fill && (state >> 50) % 8 == 0)
            count = (int32_t)((state >> 55) % (uint64_t)count);
        for (int32_t k = 0; k < count; k++) {
            int8_t value = (int8_t)((state >> (8 * k)) % 127 + 1);
            int64_t place = i + (width == 4 ? pairs[which][k] : (int64_t)which);
            out[place] = (state >> (35 + k)) % 2 ? (int8_t)-value : value;
        }
    }
}

void pack_set(const s24_mat *mat, int64_t row, int64_t col, int value)
{
    if (mat->dtype == S24_I8)
        ((int8_t *)mat->data)[row * mat->row_stride + col * mat->col_stride] = (int8_t)value;
    else
        api_set(mat, row, col, value);
}

uint32_t pack_bits(const s24_mat *mat, int64_t row, int64_t col)
{
    int64_t size = size_of(mat->dtype);
    uint32_t bits = 0;

    memcpy(&bits, (char *)mat->data + (row * mat->row_stride + col * mat->col_stride) * size,
           (size_t)size);
    return bits;
}

s24_mat pack_matrix(const int8_t *from, int64_t rows, int64_t cols, int32_t dtype, int layout)
{
    s24_mat made = api_empty(rows, cols, dtype, layout);

    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            pack_set(&made, i, j, from[i * cols + j]);
    return made;
}

parts pack_parts(const s24_packed *packed)
{
    parts p = {.count = 0};

    while (true) {
        ok(s24_packed_part(packed, p.count, &p.name[p.count], &p.data[p.count], &p.size[p.count]));
        if (!p.name[p.count])
            return p;
        p.count++;
    }
}

int main(void)
{
    Suite *suite = suite_create("pack");

    layouts_tests(suite);
    foreign_tests(suite);
    results_tests(suite);
    codes_tests(suite);
    products_tests(suite);
    tiles_tests(suite);
    conversions_tests(suite);
    files_tests(suite);
    windows_tests(suite);
    return unit_run(suite);
}
