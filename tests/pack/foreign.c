/* lib/pack: parts made elsewhere, right and wrong. */
#include "test_pack.h"

static s24_ctx *ctx;
static unit_heap heap;

static void set_up(void)
{
    ctx = api_ctx(&heap, 2);
}

static void tear_down(void)
{
    api_done(ctx, &heap);
}

/* Parts of a 32 x 132 matrix (cutlass-sm80: 32 x 128) as another program would hold them: copies,
 * at odd addresses. */
enum { ROWS = 32, ROOM = 32 * 132 * 4 };
static char storage[3][ROOM + 1];

typedef struct foreign {
    const char *layout;
    int32_t dtype;
    int64_t cols;
    parts parts;
} foreign;

static foreign make_foreign(const char *layout, int32_t dtype)
{
    static int8_t integers[ROWS * 132];
    foreign f = {.layout = layout, .dtype = dtype};
    s24_packed *packed;

    f.cols = strcmp(layout, "cutlass-sm80") ? 132 : 128;
    pack_integers(ROWS, f.cols, group_width(layout, dtype), false, integers);
    s24_mat w = pack_matrix(integers, ROWS, f.cols, dtype, ROW_MAJOR);
    ok(s24_pack(ctx, &w, NULL, layout, &packed));
    f.parts = pack_parts(packed);
    for (int32_t i = 0; i < f.parts.count; i++) {
        ck_assert_uint_le(f.parts.size[i], ROOM);
        memcpy(storage[i] + 1, f.parts.data[i], f.parts.size[i]);
        f.parts.data[i] = storage[i] + 1;
    }
    s24_packed_destroy(packed);
    free(w.data);
    return f;
}

static s24_status wrap(const foreign *f, s24_packed **packed)
{
    return s24_packed_wrap(ctx, f->layout, ROWS, f->cols, f->dtype, f->parts.data, f->parts.size,
                           f->parts.count, packed);
}

START_TEST(wrapping_borrows)
{
    foreign f = make_foreign(layout_names[_i / ELEMENT_TYPES], element_types[_i % ELEMENT_TYPES]);
    static int8_t integers[ROWS * 132];
    s24_packed *packed;

    ok(wrap(&f, &packed));
    parts again = pack_parts(packed);
    for (int32_t i = 0; i < again.count; i++)
        ck_assert_ptr_eq(again.data[i], f.parts.data[i]);
    pack_integers(ROWS, f.cols, group_width(f.layout, f.dtype), false, integers);
    s24_mat w = pack_matrix(integers, ROWS, f.cols, f.dtype, ROW_MAJOR);
    s24_mat back = api_empty(ROWS, f.cols, f.dtype, ROW_MAJOR);
    ok(s24_unpack(packed, &back));
    ck_assert_mem_eq(back.data, w.data, (size_t)(ROWS * f.cols * size_of(f.dtype)));
    s24_packed_destroy(packed);
    free(back.data);
    free(w.data);
}
END_TEST

START_TEST(sizes_are_checked)
{
    foreign f = make_foreign(layout_names[_i], S24_F16);
    s24_packed *packed = NULL;

    for (int32_t i = 0; i < f.parts.count; i++) {
        foreign bad = f;
        bad.parts.size[i]--;
        fails(wrap(&bad, &packed), S24_E_SHAPE, f.parts.name[i]);
        bad = f;
        bad.parts.data[i] = NULL;
        fails(wrap(&bad, &packed), S24_E_ARG, f.parts.name[i]);
    }
    f.parts.count--;
    fails(wrap(&f, &packed), S24_E_ARG, "count is");
    f.parts.count = -1;
    fails(wrap(&f, &packed), S24_E_ARG, "count is");
    f.parts.count = 1;
    fails(s24_packed_wrap(ctx, f.layout, 0, 8, S24_F16, f.parts.data, f.parts.size, 1, &packed),
          S24_E_SHAPE, "rows");
    fails(s24_packed_wrap(ctx, f.layout, 1, INT64_MAX, S24_F16, f.parts.data, f.parts.size, 1,
                          &packed),
          S24_E_SHAPE, "cols");
    fails(s24_packed_wrap(ctx, f.layout, 32, 64, S24_F64, f.parts.data, f.parts.size, 1, &packed),
          S24_E_DTYPE, "not f64");
    fails(s24_packed_wrap(ctx, "nibbles", 32, 64, S24_F16, f.parts.data, f.parts.size, 1, &packed),
          S24_E_UNSUPPORTED, "nearest: nibble");
    fails(s24_packed_wrap(ctx, f.layout, 32, 64, S24_F16, NULL, f.parts.size, 1, &packed),
          S24_E_ARG, "parts is NULL");
    ck_assert_ptr_null(packed);
}
END_TEST

static void spoilt(const char *layout, int32_t part, size_t byte, int value, const char *text)
{
    foreign f = make_foreign(layout, S24_F16);
    s24_packed *packed = NULL;

    storage[part][1 + byte] = (char)value;
    fails(wrap(&f, &packed), S24_E_FORMAT, text);
    ck_assert_ptr_null(packed);
}

START_TEST(contents_are_checked)
{
    /* Nibbles of equal or descending indices; 17 bytes a row, the last half empty. */
    spoilt("nibble", 1, 3 * 17 + 5, 0x58, "row 3, group 11 (columns 44 .. 47)");
    spoilt("nibble", 1, 16, 0x1E, "row 0: the last four bits");
    spoilt("sparse-24-bitmask", 1, 17 + 2, 0x73, "row 1, group 5");
    spoilt("sparse-24-bitmask", 1, 16, 0x13, "row 0: \"bitmask\" marks columns beyond 132");
    spoilt("sparse-24-bitmask", 2, 0, 31, "\"shape\" says 31 x 132");
    spoilt("cutlass-sm80", 1, 0, 0x0E, "row 0, group 1 (columns 4 .. 7): its index bits 0x0");
    spoilt("ri16x32", 0, 4 * 576 + 2, 0x4E, "row 0, group 36 is padding");
    spoilt("ri16x32", 0, 4 * 576 + 64 + 100, 1, "is padding");
    spoilt("ri16x32", 0, 5 * 576 + 5, 0xDB,
           "row 17, group 2 (columns 8 .. 11): its index bits 0xB");
}
END_TEST

/* Whatever bytes come: refused, or a matrix that obeys the pattern and packs to the same bytes
 * where nothing is filled up. */
START_TEST(any_bytes)
{
    const char *layout = layout_names[_i / ELEMENT_TYPES];
    int32_t dtype = element_types[_i % ELEMENT_TYPES], width = group_width(layout, dtype);
    uint64_t seed = 7;
    int accepted = 0;

    for (int trial = 0; trial < 100; trial++) {
        foreign f = make_foreign(layout, dtype);
        s24_packed *packed;
        for (int change = 0; change < 1 + trial % 3; change++) {
            int part = (int)((api_random(&seed) + 1) / 2 * f.parts.count);
            size_t at = (size_t)((api_random(&seed) + 1) / 2 * (double)f.parts.size[part]);
            storage[part][1 + at] = (char)(api_random(&seed) * 128);
        }
        if (wrap(&f, &packed))
            continue;
        accepted++;
        s24_mat back = api_empty(ROWS, f.cols, dtype, ROW_MAJOR);
        ok(s24_unpack(packed, &back));
        for (int64_t i = 0; i < ROWS; i++)
            for (int64_t c = 0; c < f.cols; c += width) {
                int kept = 0;
                for (int32_t k = 0; k < width; k++)
                    kept += pack_bits(&back, i, c + k) != 0;
                unit_check(kept <= width / 2);
            }
        s24_packed_destroy(packed);
        free(back.data);
    }
    ck_assert_int_gt(accepted, 0);
}
END_TEST

void foreign_tests(Suite *suite)
{
    TCase *tc = tcase_create("foreign");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, wrapping_borrows, 0, LAYOUT_NAMES * ELEMENT_TYPES);
    tcase_add_loop_test(tc, sizes_are_checked, 0, LAYOUT_NAMES);
    tcase_add_test(tc, contents_are_checked);
    tcase_add_loop_test(tc, any_bytes, 0, LAYOUT_NAMES * ELEMENT_TYPES);
    suite_add_tcase(suite, tc);
}
