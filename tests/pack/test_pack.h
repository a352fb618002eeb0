/* What the tests of the packed layouts share: matrices that obey a pattern, of every element type,
 * and their parts. */
#ifndef S24_TESTS_PACK_H
#define S24_TESTS_PACK_H
#include "../api/api_test.h"

static const char *const layout_names[] = {"nibble", "cutlass-sm80", "sparse-24-bitmask",
                                           "ri16x32"};
static const int32_t element_types[] = {S24_F32, S24_F16, S24_BF16, S24_I8};
enum { LAYOUT_NAMES = 4, ELEMENT_TYPES = 4 };

static inline int64_t size_of(int32_t dtype)
{
    return (dtype & 0xff) / 8;
}

/* Groups of this width keep half of their weights. */
static inline int32_t group_width(const char *layout, int32_t dtype)
{
    return !strcmp(layout, "cutlass-sm80") && dtype == S24_F32 ? 2 : 4;
}

/* Small integers, exact in every type, half of each group; as matrix() of make_golden.py. fill: one
 * group in eight keeps fewer. */
void pack_integers(int64_t rows, int64_t cols, int32_t width, bool fill, int8_t *out);
/* The same integers in a type and layout, to be freed. */
s24_mat pack_matrix(const int8_t *from, int64_t rows, int64_t cols, int32_t dtype, int layout);
void pack_set(const s24_mat *mat, int64_t row, int64_t col, int value);
/* The bits of an element. */
uint32_t pack_bits(const s24_mat *mat, int64_t row, int64_t col);

typedef struct parts {
    const char *name[8];
    const void *data[8];
    size_t size[8];
    int32_t count;
} parts;

parts pack_parts(const s24_packed *packed);

void layouts_tests(Suite *suite);
void foreign_tests(Suite *suite);
void results_tests(Suite *suite);
void codes_tests(Suite *suite);
void products_tests(Suite *suite);
void tiles_tests(Suite *suite);
void conversions_tests(Suite *suite);
void files_tests(Suite *suite);
void windows_tests(Suite *suite);

#endif
