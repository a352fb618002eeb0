/* lib/pack/tiles.c, ri16.c, ri16x32_f16.c: where each bit of the layouts lies, written down a
 * second time from docs/formats.md, and what is refused. */
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

/* ---- Floats ---- */

START_TEST(planes_are_as_documented)
{
    static int8_t integers[33 * 68];
    s24_packed *packed;

    pack_integers(33, 68, 4, true, integers);
    s24_mat w = pack_matrix(integers, 33, 68, S24_F16, ROW_MAJOR);
    ok(s24_pack(ctx, &w, NULL, "ri16x32-f16", &packed));
    parts p = pack_parts(packed);
    ck_assert_uint_eq(p.size[0], 3 * 3 * 576);
    for (int64_t r = 0; r < 48; r++)
        for (int64_t c = 0; c < 96; c += 4) {
            const uint8_t *at = (const uint8_t *)p.data[0] + (r / 16 * 3 + c / 32) * 576;
            uint32_t nibble = at[r % 16 * 4 + c % 32 / 8] >> (c % 8) & 0xF;
            for (int64_t k = 0; k < 2; k++) {
                uint16_t value;
                memcpy(&value, at + 64 + (c % 32 / 2 + k) * 32 + r % 16 * 2, 2);
                bool inside = r < 33 && c < 68;
                ck_assert(inside || nibble == 0x4);
                ck_assert_uint_eq(
                    value, inside ? pack_bits(&w, r, c + (k ? nibble >> 2 : nibble & 3)) : 0);
            }
        }
    s24_packed_destroy(packed);
    free(w.data);
}
END_TEST

START_TEST(dense_floats_are_as_documented)
{
    static const int32_t types[] = {S24_F32, S24_F16, S24_BF16};
    int32_t dtype = types[_i];
    int64_t size = size_of(dtype);
    static int8_t integers[33 * 68];
    s24_packed *packed, *wrapped = NULL;

    pack_integers(33, 68, 4, true, integers);
    s24_mat w = pack_matrix(integers, 33, 68, dtype, COL_MAJOR), back;
    ok(s24_pack(ctx, &w, NULL, "ri16", &packed));
    parts p = pack_parts(packed);
    ck_assert_int_eq((int64_t)p.size[0], 48 * 96 * size);
    for (int64_t r = 0; r < 48; r++)
        for (int64_t c = 0; c < 96; c++) {
            int64_t at = dtype == S24_BF16 ? c / 2 * 32 + r % 16 * 2 + c % 2 : c * 16 + r % 16;
            uint32_t value = 0;
            memcpy(&value, (const char *)p.data[0] + (r / 16 * 16 * 96 + at) * size, (size_t)size);
            ck_assert_uint_eq(value, r < 33 && c < 68 ? pack_bits(&w, r, c) : 0);
        }
    back = api_empty(33, 68, dtype, PADDED);
    ok(s24_unpack(packed, &back));
    for (int64_t i = 0; i < 33 * 68; i++)
        ck_assert_uint_eq(pack_bits(&back, i / 68, i % 68), pack_bits(&w, i / 68, i % 68));
    char *copy = malloc(p.size[0]);
    memcpy(copy, p.data[0], p.size[0]);
    copy[p.size[0] - 1] = 1; /* padding */
    p.data[0] = copy;
    fails(s24_packed_wrap(ctx, "ri16", 33, 68, dtype, p.data, p.size, 1, &wrapped), S24_E_FORMAT,
          "row 47, column 95 is padding beyond 33 x 68");
    ck_assert_ptr_null(wrapped);
    s24_packed_destroy(packed);
    free(copy);
    free(back.data);
    free(w.data);
}
END_TEST

/* ---- Codes ---- */

enum { R = 18, C = 72, G = 32, GROUPS = 3 };
static uint8_t code[R * C], zero[R * GROUPS];
static uint16_t scale[R * GROUPS];

/* Two of four, at places that differ from group to group. */
static void make_codes(int bits, bool zeros)
{
    static const uint8_t pairs[6] = {3, 5, 6, 9, 10, 12};
    uint64_t seed = 5;

    for (int i = 0; i < R * GROUPS; i++) {
        zero[i] = zeros ? (uint8_t)(i % 16) : (uint8_t)(1 << (bits - 1));
        scale[i] = (uint16_t)(0x2c00 + i);
    }
    for (int i = 0; i < R * C; i++) {
        uint8_t none = zero[i / C * GROUPS + i % C / G];
        int value = (int)((api_random(&seed) + 1) * (1 << (bits - 1)));
        code[i] = pairs[(i / 4 * 7 + i / C) % 6] >> i % 4 & 1 ? (uint8_t)value : none;
        if (code[i] == none && (pairs[(i / 4 * 7 + i / C) % 6] >> i % 4 & 1))
            code[i] = none ? none - 1 : 1;
    }
}

static s24_packed *packed_codes(const char *grid, const char *layout)
{
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, GROUPS, S24_F16);
    s24_mat zeros = api_view(zero, R, GROUPS, S24_U8);
    s24_packed *packed;

    ok(s24_pack_codes(ctx, grid, &codes, &scales, &zeros, layout, &packed));
    return packed;
}

static const struct form {
    const char *layout, *grid;
    int bits, meta, zeros;
} forms[] = {
    {"ri16x32-int8", "int8 sym g32", 8, 64, 0},   {"ri16x32-int4", "int4 sym g32", 4, 64, 0},
    {"ri16x32-int4-zeros", "int4 g32", 4, 64, 1}, {"ri16x32-int4-p6", "int4 sym g32", 4, 48, 0},
    {"ri16-int8", "int8 sym g32", 8, 0, 0},       {"ri16-int4", "int4 sym g32", 4, 0, 0},
    {"ri16-int4-zeros", "int4 g32", 4, 0, 1},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* Index of kept code k of a row, by the metadata of its tile. */
static int index_of(const struct form *f, const uint8_t *meta, int64_t r, int k)
{
    static const uint8_t nibbles[6] = {0x4, 0x8, 0x9, 0xC, 0xD, 0xE};
    uint32_t bits = 0;

    if (f->meta == 64) {
        memcpy(&bits, meta + 4 * r, 4);
        return (int)(bits >> (8 * (k % 4) + 2 * (k / 4)) & 3);
    }
    memcpy(&bits, meta + 3 * r, 3);
    uint32_t pair = bits >> 6 * (k / 4) & 63;
    ck_assert_uint_lt(pair, 36);
    return nibbles[k % 4 < 2 ? pair % 6 : pair / 6] >> 2 * (k % 2) & 3;
}

static int code_of(const struct form *f, const uint8_t *codes, int64_t r, int k)
{
    if (f->bits == 8)
        return (int8_t)codes[k / 4 * 64 + r * 4 + k % 4];
    int half = codes[k / 8 * 64 + r * 4 + k % 4] >> (k % 8 < 4 ? 0 : 4) & 15;
    return half > 7 ? half - 16 : half;
}

START_TEST(codes_are_as_documented)
{
    const struct form *f = &forms[_i];
    int kept = f->meta ? 16 : 32;
    int64_t front = 32 + (f->zeros ? 16 : 0), tile = f->meta + 16 * kept * f->bits / 8;

    make_codes(f->bits, f->zeros);
    s24_packed *packed = packed_codes(f->grid, f->layout);
    parts p = pack_parts(packed);
    ck_assert_str_eq(p.name[0], "stream");
    ck_assert_int_eq((int64_t)p.size[0], 2 * 3 * (front + tile));
    for (int64_t r = 0; r < 32; r++)
        for (int64_t g = 0; g < GROUPS; g++) {
            const uint8_t *at = (const uint8_t *)p.data[0] + (r / 16 * GROUPS + g) * (front + tile);
            uint16_t half;
            memcpy(&half, at + r % 16 * 2, 2);
            ck_assert_uint_eq(half, r < R ? scale[r * GROUPS + g] : 0);
            int middle = f->zeros ? (int8_t)at[32 + r % 16] : 0;
            ck_assert_int_eq(middle, r < R && f->zeros ? zero[r * GROUPS + g] - 8 : 0);
            for (int k = 0; k < kept; k++) {
                int64_t c = g * G + (f->meta ? k / 2 * 4 + index_of(f, at + front, r % 16, k) : k);
                int expected = middle;
                if (r < R && c < C)
                    expected = code[r * C + c] - (1 << (f->bits - 1));
                else if (f->meta) /* padding: nibble 0x4 */
                    ck_assert_int_eq(c % 4, k % 2);
                ck_assert_int_eq(code_of(f, at + front + f->meta, r % 16, k), expected);
            }
        }
    s24_packed_destroy(packed);
}
END_TEST

/* Bytes of others: one wrong. */
static void spoilt(const struct form *f, size_t byte, int value, const char *text)
{
    static uint8_t copy[1 << 14];
    make_codes(f->bits, f->zeros);
    s24_packed *packed = packed_codes(f->grid, f->layout), *wrapped = NULL;
    parts p = pack_parts(packed);
    const void *data = copy + 1;

    memcpy(copy + 1, p.data[0], p.size[0]);
    ok(s24_packed_wrap(ctx, f->layout, R, C, S24_F32, &data, p.size, 1, &wrapped));
    s24_packed_destroy(wrapped);
    wrapped = NULL;
    copy[1 + byte] = (uint8_t)value;
    fails(s24_packed_wrap(ctx, f->layout, R, C, S24_F32, &data, p.size, 1, &wrapped), S24_E_FORMAT,
          text);
    p.size[0] -= 2;
    fails(s24_packed_wrap(ctx, f->layout, R, C, S24_F32, &data, p.size, 1, &wrapped), S24_E_SHAPE,
          "has none of this size");
    ck_assert_ptr_null(wrapped);
    s24_packed_destroy(packed);
}

START_TEST(foreign_streams_are_checked)
{
    spoilt(&forms[0], 2 * 5 + 1, 0x7c, "row 5, group 0: its scale is not finite");
    spoilt(&forms[1], 32, 0xff, "row 0, columns 0 .. 3: the metadata does not name 2 of 4");
    spoilt(&forms[2], 32 + 3, 8, "row 3, group 0: its zero point 8 is not in -8 .. 7");
    spoilt(&forms[3], 32, 63, "row 0, columns 0 .. 3: the metadata");
    /* Block 1 holds rows 16, 17 and padding; tile 2 of a block columns 64 .. 71 and padding. */
    spoilt(&forms[4], 3 * (32 + 512) + 2 * 2, 1, "row 18, group 0 is padding beyond 18 rows");
    spoilt(&forms[5], 2 * (32 + 256) + 32 + 255, 0x10, "row 15, columns 64 .. 95 are padding");
    spoilt(&forms[0], 2 * (32 + 320) + 32 + 319, 1, "row 15, columns 64 .. 95 are padding");
}
END_TEST

/* Codes that a layout does not hold. */
START_TEST(misfits_are_refused)
{
    s24_packed *packed = NULL;
    s24_mat codes = api_view(code, R, C, S24_U8), scales = api_view(scale, R, GROUPS, S24_F16);
    s24_mat zeros = api_view(zero, R, GROUPS, S24_U8), few = api_view(scale, R, 5, S24_F16);
    s24_mat few_zeros = api_view(zero, R, 5, S24_U8);

    make_codes(4, true);
    fails(s24_pack_codes(ctx, "int4 g32", &codes, &scales, &zeros, "ri16x32-int4", &packed),
          S24_E_STATE, "steps from zero: layout ri16x32-int4 holds -8 .. 7");
    fails(s24_pack_codes(ctx, "int4 g16", &codes, &few, &few_zeros, "ri16-int4", &packed),
          S24_E_UNSUPPORTED, "32, 64 or 128 columns or for the whole row, not for 16");
    make_codes(4, false);
    code[3 * C + 8] = code[3 * C + 9] = code[3 * C + 10] = 1;
    fails(s24_pack_codes(ctx, "int4 sym g32", &codes, &scales, &zeros, "ri16x32-int4-p6", &packed),
          S24_E_STATE, "codes: row 3, group 2 (columns 8 .. 11) keeps");
    codes.cols = 70;
    fails(s24_pack_codes(ctx, "int4 sym g32", &codes, &scales, &zeros, "ri16x32-int4", &packed),
          S24_E_SHAPE, "multiples of 1 x 4");
    ck_assert_ptr_null(packed);
}
END_TEST

/* Any bytes of the right size: refused, or a matrix that multiplies. */
START_TEST(any_bytes_unpack)
{
    static uint8_t bytes[1 << 13];
    static float x[2 * C], y[2 * R], w[R * C];
    const struct form *f = &forms[_i];
    uint64_t seed = 17;
    int accepted = 0;

    for (int trial = 0; trial < 400; trial++) {
        make_codes(f->bits, f->zeros);
        s24_packed *packed = packed_codes(f->grid, f->layout), *wrapped;
        parts p = pack_parts(packed);
        const void *data = bytes;
        memcpy(bytes, p.data[0], p.size[0]);
        s24_packed_destroy(packed);
        for (int hits = trial % 3; hits > 0; hits--)
            bytes[(size_t)((api_random(&seed) + 1) / 2 * (double)p.size[0])] =
                (uint8_t)((api_random(&seed) + 1) * 128);
        if (s24_packed_wrap(ctx, f->layout, R, C, S24_F32, &data, p.size, 1, &wrapped))
            continue;
        accepted++;
        s24_product *product;
        s24_mat from = api_view(x, 2, C, S24_F32), to = api_view(y, 2, R, S24_F32);
        s24_mat back = api_view(w, R, C, S24_F32);
        ok(s24_unpack(wrapped, &back));
        ok(s24_packed_prepare(wrapped, S24_FAST, 0, 2, NULL, &product));
        ok(s24_product_run(product, &from, &to));
        s24_product_destroy(product);
        s24_packed_destroy(wrapped);
    }
    ck_assert_int_gt(accepted, 130);
}
END_TEST

void tiles_tests(Suite *suite)
{
    TCase *tc = tcase_create("tiles");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, planes_are_as_documented);
    tcase_add_loop_test(tc, dense_floats_are_as_documented, 0, 3);
    tcase_add_loop_test(tc, codes_are_as_documented, 0, FORMS);
    tcase_add_test(tc, foreign_streams_are_checked);
    tcase_add_test(tc, misfits_are_refused);
    tcase_add_loop_test(tc, any_bytes_unpack, 0, FORMS);
    suite_add_tcase(suite, tc);
}
