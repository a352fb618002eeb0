/* lib/base/blocks*.c: every type against what the gguf package decodes the same bytes to
 * (make_blocks.py made blocks.safetensors with version 0.19). */
#include "../scratch.h"
#include "io/reader.h"
#include <math.h>

static const char *vectors;

static const char *const types[] = {"Q4_0",  "Q4_1",    "Q5_0",  "Q5_1",   "Q8_0",    "Q2_K",
                                    "Q3_K",  "Q4_K",    "Q5_K",  "Q6_K",   "TQ1_0",   "TQ2_0",
                                    "MXFP4", "NVFP4",   "IQ1_S", "IQ1_M",  "IQ2_XXS", "IQ2_XS",
                                    "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"};

enum { TYPES = sizeof types / sizeof *types, WEIGHTS = 256, ROWS = 2 };

static s24_mat vector_of(s24i_reader *file, const char *type, const char *what)
{
    char name[32];
    s24_mat view;

    snprintf(name, sizeof name, "%s.%s", type, what);
    ck_assert_int_eq(s24i_reader_view(file, name, &view), S24_OK);
    ck_assert_int_eq(view.rows, ROWS);
    return view;
}

START_TEST(every_bit)
{
    const s24i_element *element = s24i_element_by_name(types[_i]);
    s24i_reader *file = NULL;
    float found[S24I_GGUF_LARGE_BLOCK];
    int finite = 0;

    ck_assert_int_eq(s24i_reader_open(&memory, vectors, &file), S24_OK);
    s24_mat blocks = vector_of(file, types[_i], "blocks"),
            values = vector_of(file, types[_i], "values");
    int64_t count = ROWS * WEIGHTS / element->block, size = element->bits / 8;
    ck_assert_int_eq(count * size, ROWS * blocks.cols);
    for (int64_t b = 0; b < count; b++) {
        const float *wanted = (const float *)values.data + b * element->block;
        element->decode((const unsigned char *)blocks.data + b * size, found);
        for (int j = 0; j < element->block; j++) {
            unit_check(!memcmp(&found[j], &wanted[j], sizeof *found) ||
                       (isnan(found[j]) && isnan(wanted[j])));
            finite += isfinite(found[j]) && found[j] != 0;
        }
    }
    ck_assert_int_gt(finite, WEIGHTS / 4); /* the comparison is of numbers */
    s24i_reader_close(file);
}
END_TEST

START_TEST(all_types_are_there)
{
    int decoded = 0;

    for (uint32_t number = 0; number < 64; number++) {
        const s24i_element *element = s24i_element_by_gguf(number);
        if (!element || !element->decode)
            continue;
        decoded++;
        ck_assert_int_le(element->block, S24I_GGUF_LARGE_BLOCK);
        int i = 0;
        while (i < TYPES && strcmp(types[i], element->name))
            i++;
        ck_assert_msg(i < TYPES, "%s has no vector", element->name);
    }
    ck_assert_int_eq(decoded, TYPES);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("block types");
    TCase *all = tcase_create("block types");

    unit_check(argc == 2);
    vectors = argv[1];
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_loop_test(all, every_bit, 0, TYPES);
    tcase_add_test(all, all_types_are_there);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
