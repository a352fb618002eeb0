/* lib/pack: every layout against bytes that others wrote down. */
#include "test_pack.h"
#include "golden.h"

/* ---- Bytes that others wrote down ---- */

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

static void expect_part(const parts *p, const char *name, const void *bytes, size_t size)
{
    for (int32_t i = 0; i < p->count; i++)
        if (!strcmp(p->name[i], name)) {
            ck_assert_uint_eq(p->size[i], size);
            ck_assert_msg(!memcmp(p->data[i], bytes, size), "%s differs", name);
            return;
        }
    ck_abort_msg("no part %s", name);
}

static void expect_meta(int32_t dtype, int64_t rows, int64_t cols, bool fill, const void *meta,
                        size_t size)
{
    static int8_t integers[64 * 128];
    s24_packed *packed;

    pack_integers(rows, cols, group_width("cutlass-sm80", dtype), fill, integers);
    s24_mat w = pack_matrix(integers, rows, cols, dtype, ROW_MAJOR);
    ok(s24_pack(ctx, &w, NULL, "cutlass-sm80", &packed));
    parts p = pack_parts(packed);
    expect_part(&p, "meta", meta, size);
    if (dtype == S24_F32)
        for (size_t i = 0; i < sizeof cutlass_f32_fill_values; i++)
            ck_assert(((const float *)p.data[0])[i] == (float)cutlass_f32_fill_values[i]);
    s24_packed_destroy(packed);
    free(w.data);
}

/* golden.h: PyTorch's conversion, which says what CUTLASS's kernels read. */
START_TEST(cutlass_is_pytorch_s)
{
    expect_meta(S24_F16, 32, 64, false, cutlass_f16_meta, sizeof cutlass_f16_meta);
    expect_meta(S24_BF16, 64, 64, true, cutlass_bf16_fill_meta, sizeof cutlass_bf16_fill_meta);
    expect_meta(S24_I8, 16, 128, true, cutlass_i8_fill_meta, sizeof cutlass_i8_fill_meta);
    expect_meta(S24_F32, 32, 32, true, cutlass_f32_fill_meta, sizeof cutlass_f32_fill_meta);
}
END_TEST

START_TEST(bitmask_is_compressed_tensors_s)
{
    int8_t integers[6 * 20];
    int64_t shape[] = {6, 20};
    s24_packed *packed;

    pack_integers(6, 20, 4, false, integers);
    s24_mat w = pack_matrix(integers, 6, 20, S24_I8, ROW_MAJOR);
    ok(s24_pack(ctx, &w, NULL, "sparse-24-bitmask", &packed));
    parts p = pack_parts(packed);
    ck_assert_int_eq(p.count, 3);
    expect_part(&p, "compressed", bitmask_values, sizeof bitmask_values);
    expect_part(&p, "bitmask", bitmask_mask, sizeof bitmask_mask);
    expect_part(&p, "shape", shape, sizeof shape);
    s24_packed_destroy(packed);
    free(w.data);
}
END_TEST

/* The table of PTX: kept positions and nibbles, and what fills a group that keeps fewer. */
START_TEST(nibbles_are_ptx_s)
{
    float weights[] = {1,  2,  0, 0, 3, 0, 4, 0, 0, 5, 6, 0, 7, 0, 0, 8, 0, 9, 0, 10, 0, 0,
                       11, 12, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0,  0, 4};
    float values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 1, 0, 2, 0, 3, 0, 0, 4};
    uint8_t meta[] = {0x84, 0xC9, 0xED, 0x8E, 0xE9, 0x0E};
    s24_mat w = api_view(weights, 1, 44, S24_F32);
    s24_packed *packed;

    ok(s24_pack(ctx, &w, NULL, "nibble", &packed));
    parts p = pack_parts(packed);
    expect_part(&p, "values", values, sizeof values);
    expect_part(&p, "meta", meta, sizeof meta);
    s24_packed_destroy(packed);
}
END_TEST

/* docs/formats.md, written down once more: where nibble and kept weight j of a row lie. */
static void expect_tiles(const uint8_t *tiles, const s24_mat *w, int64_t padded_rows,
                         int64_t padded_cols)
{
    int64_t size = size_of(w->dtype), tile = 64 + 16 * 16 * size, per = 4 / size;

    for (int64_t r = 0; r < padded_rows; r++)
        for (int64_t c = 0; c < padded_cols; c += 4) {
            const uint8_t *at = tiles + (r / 16 * (padded_cols / 32) + c / 32) * tile;
            uint32_t nibble = at[r % 16 * 4 + c % 32 / 8] >> (c % 8) & 0xF;
            for (int64_t k = 0; k < 2; k++) {
                int64_t j = c % 32 / 2 + k, place = k ? nibble >> 2 : nibble & 3;
                uint32_t value = 0, expected = 0;
                memcpy(&value, at + 64 + j / per * 64 + r % 16 * 4 + j % per * size, (size_t)size);
                if (r < w->rows && c < w->cols)
                    expected = pack_bits(w, r, c + place);
                else
                    unit_check(nibble == 0x4);
                unit_check(value == expected);
            }
        }
}

START_TEST(ri16x32_is_as_documented)
{
    static const int64_t shapes[][4] = {{16, 32, 16, 32}, {33, 68, 48, 96}, {1, 4, 16, 32}};
    static int8_t integers[33 * 68];
    int32_t dtype = element_types[_i];

    for (int s = 0; s < 3; s++) {
        const int64_t *n = shapes[s];
        s24_packed *packed;
        pack_integers(n[0], n[1], 4, s == 1, integers);
        s24_mat w = pack_matrix(integers, n[0], n[1], dtype, ROW_MAJOR);
        ok(s24_pack(ctx, &w, NULL, "ri16x32", &packed));
        parts p = pack_parts(packed);
        ck_assert_int_eq(p.count, 1);
        ck_assert_int_eq((int64_t)p.size[0],
                         n[2] / 16 * n[3] / 32 * (64 + 16 * 16 * size_of(dtype)));
        expect_tiles(p.data[0], &w, n[2], n[3]);
        s24_packed_destroy(packed);
        free(w.data);
    }
}
END_TEST

/* ---- There and back ---- */

/* A mask that keeps everything in `w` and, where a group has room, zeros as well; what it drops
 * gets a value in w that must vanish. */
static s24_mat random_mask(s24_mat *w, int32_t width, uint64_t seed)
{
    s24_mat mask = api_empty(w->rows, w->cols, S24_U8, PADDED);

    for (int64_t i = 0; i < w->rows; i++)
        for (int64_t c = 0; c < w->cols; c += width) {
            int32_t room = width / 2;
            for (int32_t k = 0; k < width; k++)
                if (pack_bits(w, i, c + k)) {
                    ((uint8_t *)mask.data)[i * mask.row_stride + (c + k) * mask.col_stride] = 200;
                    room--;
                }
            for (int32_t k = 0; k < width; k++) {
                uint8_t *m = (uint8_t *)mask.data + i * mask.row_stride + (c + k) * mask.col_stride;
                if (!*m && room > 0 && api_random(&seed) > 0) {
                    *m = 1; /* a kept zero, of either sign */
                    if (w->dtype != S24_I8 && api_random(&seed) > 0)
                        api_set(w, i, c + k, -0.0);
                    room--;
                } else if (!*m) {
                    pack_set(w, i, c + k, 77);
                }
            }
        }
    return mask;
}

static void there_and_back(const char *layout, int32_t dtype, int64_t rows, int64_t cols,
                           int strides, bool masked)
{
    static int8_t integers[96 * 256];
    int32_t width = group_width(layout, dtype), found_type;
    int64_t found_rows, found_cols;
    const char *found;
    s24_packed *packed;

    pack_integers(rows, cols, width, true, integers);
    s24_mat w = pack_matrix(integers, rows, cols, dtype, strides), mask = {NULL};
    if (masked)
        mask = random_mask(&w, width, (uint64_t)rows);
    ok(s24_pack(ctx, &w, masked ? &mask : NULL, layout, &packed));
    ok(s24_packed_info(packed, &found, &found_rows, &found_cols, &found_type));
    ck_assert_str_eq(found, layout);
    ck_assert(found_rows == rows && found_cols == cols && found_type == dtype);
    s24_mat back = api_empty(rows, cols, dtype, (strides + 1) % LAYOUTS);
    s24_mat plain = pack_matrix(integers, rows, cols, dtype, ROW_MAJOR);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            pack_set(&back, i, j, 99);
    ok(s24_unpack(packed, &back));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            unit_check(pack_bits(&back, i, j) == pack_bits(&plain, i, j));
    s24_packed_destroy(packed);
    free(plain.data);
    free(back.data);
    free(mask.data);
    free(w.data);
}

START_TEST(round_trips)
{
    const char *layout = layout_names[_i / ELEMENT_TYPES];
    int32_t dtype = element_types[_i % ELEMENT_TYPES];
    bool strict = !strcmp(layout, "cutlass-sm80");

    for (int strides = 0; strides < LAYOUTS; strides++)
        for (int masked = 0; masked < 2; masked++) {
            there_and_back(layout, dtype, 96, 128, strides, masked);
            if (strict)
                continue;
            there_and_back(layout, dtype, 1, 4, strides, masked);
            there_and_back(layout, dtype, 67, 36, strides, masked);
        }
}
END_TEST

/* Bits that no arithmetic may touch. */
START_TEST(odd_bits_survive)
{
    uint16_t bits[] = {0x7e01, 0, 0, 0xfc00, 0x0001, 0x8001, 0, 0}, back[8];
    s24_mat w = api_view(bits, 1, 8, S24_F16), to = api_view(back, 1, 8, S24_F16);
    s24_packed *packed;

    ok(s24_pack(ctx, &w, NULL, "nibble", &packed));
    ok(s24_unpack(packed, &to));
    ck_assert_mem_eq(bits, back, sizeof bits);
    float wide[8];
    to = api_view(wide, 1, 8, S24_F32); /* another type: converted */
    ok(s24_unpack(packed, &to));
    ck_assert(wide[4] == 0x1p-24f && wide[3] == -INFINITY && wide[1] == 0);
    s24_packed_destroy(packed);
}
END_TEST

/* ---- Refusals ---- */

START_TEST(patterns_are_refused_with_their_place)
{
    float w[3 * 8] = {1, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 2, 0, 3};
    uint8_t m[3 * 8] = {0};
    s24_mat mat = api_view(w, 3, 8, S24_F32), mask = api_view(m, 3, 8, S24_U8);
    s24_packed *packed = NULL;

    fails(s24_pack(ctx, &mat, NULL, "ri16x32", &packed), S24_E_STATE,
          "w: row 1, group 1 (columns 4 .. 7) keeps 3, but layout ri16x32 holds 2 of 4");
    w[15] = 0;
    memset(m + 20, 1, 4);
    fails(s24_pack(ctx, &mat, &mask, "nibble", &packed), S24_E_STATE,
          "mask: row 2, group 1 (columns 4 .. 7) keeps 4");
    ck_assert_ptr_null(packed);

    static float wide[64 * 64];
    mat = api_view(wide, 64, 64, S24_F32);
    wide[63 * 64 + 32] = wide[63 * 64 + 33] =
        1; /* 2:4 but not 1:2; and in the last tile, after one that is fine */
    fails(s24_pack(ctx, &mat, NULL, "cutlass-sm80", &packed), S24_E_STATE,
          "row 63, group 16 (columns 32 .. 33) keeps 2, but layout cutlass-sm80 holds 1 of 2");
    ok(s24_pack(ctx, &mat, NULL, "cutlass-sm80:f16", &packed));
    s24_packed_destroy(packed);
}
END_TEST

START_TEST(arguments_are_refused)
{
    float w[2 * 8] = {0};
    double d[2 * 8] = {0};
    s24_mat mat = api_view(w, 2, 8, S24_F32), wide = api_view(d, 2, 8, S24_F64);
    s24_mat odd = api_view(w, 2, 6, S24_F32), mask = api_view(w, 2, 4, S24_U8);
    s24_packed *packed = NULL;
    const char *name;

    fails(s24_pack(ctx, &mat, NULL, "ri16x23", &packed), S24_E_UNSUPPORTED, "nearest: ri16x32");
    fails(s24_pack(ctx, &mat, NULL, "nibble:f8", &packed), S24_E_DTYPE, "f32, f16 or bf16");
    fails(s24_pack(ctx, &wide, NULL, "nibble", &packed), S24_E_DTYPE,
          "holds f32, f16, bf16, i8, not f64");
    fails(s24_pack(ctx, &odd, NULL, "nibble", &packed), S24_E_SHAPE, "multiples of 1 x 4");
    fails(s24_pack(ctx, &mat, NULL, "cutlass-sm80", &packed), S24_E_SHAPE, "multiples of 32 x 32");
    fails(s24_pack(ctx, &mat, &mask, "nibble", &packed), S24_E_SHAPE, "mask");
    fails(s24_pack(ctx, &mat, &mat, "nibble", &packed), S24_E_DTYPE, "mask");
    fails(s24_pack(ctx, NULL, NULL, "nibble", &packed), S24_E_ARG, "w is NULL");
    fails(s24_pack(ctx, &mat, NULL, NULL, &packed), S24_E_ARG, "layout is NULL");
    fails(s24_pack(ctx, &mat, NULL, "nibble", NULL), S24_E_ARG, "out is NULL");
    ok(s24_pack(ctx, &wide, NULL, "nibble:bf16", &packed));
    fails(s24_packed_part(packed, -1, &name, NULL, NULL), S24_E_ARG, "index is -1");
    fails(s24_unpack(packed, &odd), S24_E_SHAPE, "2 x 8");
    mat.dtype = S24_I8;
    fails(s24_unpack(packed, &mat), S24_E_DTYPE, "dtype");
    s24_packed_destroy(packed);
}
END_TEST

/* Every allocation refused once. */
START_TEST(memory_runs_out)
{
    static int8_t integers[32 * 64];
    s24_packed *packed;
    s24_status status = S24_E_MEMORY;

    pack_integers(32, 64, 4, false, integers);
    s24_mat w = pack_matrix(integers, 32, 64, S24_F32, ROW_MAJOR);
    ok(s24_pack(ctx, &w, NULL, "nibble", &packed)); /* the pool is there now */
    s24_packed_destroy(packed);
    int64_t k, blocks = heap.blocks;
    for (k = 1; status; k++) {
        packed = NULL;
        heap.refuse = heap.calls + k;
        status = s24_pack(ctx, &w, NULL, "cutlass-sm80:bf16", &packed);
        ck_assert(status == S24_OK || (status == S24_E_MEMORY && !packed));
        if (status)
            ck_assert_int_eq(heap.blocks, blocks);
    }
    ck_assert_int_ge(k, 6); /* copy, two parts, scratch, handle */
    heap.refuse = 0;
    s24_packed_destroy(packed);
    free(w.data);
}
END_TEST

void layouts_tests(Suite *suite)
{
    TCase *tc = tcase_create("layouts");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, cutlass_is_pytorch_s);
    tcase_add_test(tc, bitmask_is_compressed_tensors_s);
    tcase_add_test(tc, nibbles_are_ptx_s);
    tcase_add_loop_test(tc, ri16x32_is_as_documented, 0, ELEMENT_TYPES);
    tcase_add_loop_test(tc, round_trips, 0, LAYOUT_NAMES * ELEMENT_TYPES);
    tcase_add_test(tc, odd_bits_survive);
    tcase_add_test(tc, patterns_are_refused_with_their_place);
    tcase_add_test(tc, arguments_are_refused);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
}
