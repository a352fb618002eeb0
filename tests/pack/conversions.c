/* lib/api/packed.c: one packed layout from another, blocks of GGUF from codes in lanes and back. */
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

enum { BLOCKS = 3, BLOCK_ROWS = 17 };
static uint8_t blocks[BLOCK_ROWS * BLOCKS * 34];

/* Places 1 and 2 of each group of 4; scales of either sign. */
static s24_packed *wrap_blocks(const char *layout)
{
    bool bytes = !strcmp(layout, "q8_0");
    size_t each = bytes ? 34 : 18, size = BLOCK_ROWS * BLOCKS * each;
    const void *data = blocks;
    uint64_t seed = 3;
    s24_packed *packed;

    for (int b = 0; b < BLOCK_ROWS * BLOCKS; b++) {
        uint8_t *block = blocks + (size_t)b * each;
        memset(block, bytes ? 0 : 0x88, each);
        uint16_t scale = (uint16_t)(0x2c00 | b | (b % 2) << 15);
        memcpy(block, &scale, 2);
        for (int j = 1; j < 32; j += j % 4 == 1 ? 1 : 3) {
            int code = (int)((api_random(&seed) + 1) * (bytes ? 127 : 8));
            if (bytes)
                block[2 + j] = (uint8_t)(code - 128);
            else
                block[2 + j % 16] = (uint8_t)((block[2 + j % 16] & (j < 16 ? 0xf0 : 0x0f)) |
                                              code << (j < 16 ? 0 : 4));
        }
    }
    ok(s24_packed_wrap(ctx, layout, BLOCK_ROWS, BLOCKS * 32, S24_F32, &data, &size, 1, &packed));
    return packed;
}

static void expect_same_matrix(const s24_packed *a, const s24_packed *b)
{
    static float w[2][BLOCK_ROWS * BLOCKS * 32];

    for (int i = 0; i < 2; i++) {
        s24_mat view = api_view(w[i], BLOCK_ROWS, BLOCKS * 32, S24_F32);
        ok(s24_unpack(i ? b : a, &view));
    }
    for (int i = 0; i < BLOCK_ROWS * BLOCKS * 32; i++)
        ck_assert(w[0][i] == w[1][i]);
}

static const struct {
    const char *from, *to;
} conversions[] = {
    {"q4_0", "ri16x32-int4"},
    {"q4_0", "ri16x32-int4-p6"},
    {"q4_0", "ri16x32-int4-zeros"},
    {"q4_0", "ri16-int4"},
    {"q4_0", "ri16-int4-zeros"},
    {"q8_0", "ri16x32-int8"},
    {"q8_0", "ri16-int8"},
    {"q4_0", "ri16x32-int8"},
    {"q4_0", "ri16x32"},
    {"q8_0", "nibble"},
    {"q8_0", "ri16"},
};

START_TEST(blocks_become_lanes)
{
    s24_packed *from = wrap_blocks(conversions[_i].from), *to, *back;

    ok(s24_packed_convert(from, conversions[_i].to, &to));
    expect_same_matrix(from, to);
    if (!strstr(conversions[_i].to, "int8") == !strcmp(conversions[_i].from, "q4_0") &&
        strstr(conversions[_i].to, "int")) { /* and blocks again, of the same codes */
        ok(s24_packed_convert(to, conversions[_i].from, &back));
        parts p = pack_parts(from), q = pack_parts(back);
        ck_assert_mem_eq(p.data[0], q.data[0], p.size[0]);
        s24_packed_destroy(back);
    }
    s24_packed_destroy(to);
    s24_packed_destroy(from);
}
END_TEST

START_TEST(what_stops_obeying_is_named)
{
    s24_packed *from = wrap_blocks("q4_0"), *to = NULL;

    blocks[(5 * BLOCKS + 1) * 18 + 2 + 8] = 0x81; /* row 5, column 40 beside 41 and 42 */
    fails(s24_packed_convert(from, "ri16x32-int4", &to), S24_E_STATE,
          "codes: row 5, group 10 (columns 40 .. 43) keeps 3, but layout ri16x32-int4 holds 2");
    fails(s24_packed_convert(from, "ri16x32", &to), S24_E_STATE,
          "w: row 5, group 10 (columns 40 .. 43) keeps 3");
    fails(s24_packed_convert(from, "ri16x32-int3", &to), S24_E_UNSUPPORTED, "nearest");
    fails(s24_packed_convert(NULL, "ri16", &to), S24_E_ARG, "packed is NULL");
    fails(s24_packed_convert(from, NULL, &to), S24_E_ARG, "layout is NULL");
    fails(s24_packed_convert(from, "ri16", NULL), S24_E_ARG, "out is NULL");
    ck_assert_ptr_null(to);
    s24_packed_destroy(from);
    from = wrap_blocks("q8_0");
    fails(s24_packed_convert(from, "ri16-int4", &to), S24_E_UNSUPPORTED, "4 bits, not of 8");
    s24_packed_destroy(from);
}
END_TEST

/* Every allocation of a conversion refused once. */
START_TEST(memory_runs_out)
{
    s24_packed *from = wrap_blocks("q4_0"), *to;
    s24_status status = S24_E_MEMORY;
    int64_t k, before;

    ok(s24_packed_convert(from, "ri16-int4", &to)); /* the pool is there now */
    s24_packed_destroy(to);
    before = heap.blocks;
    for (k = 1; status; k++) {
        to = NULL;
        heap.refuse = heap.calls + k;
        status = s24_packed_convert(from, "ri16x32-int4", &to);
        ck_assert(status == S24_OK || (status == S24_E_MEMORY && !to));
        ck_assert(!status || heap.blocks == before);
    }
    ck_assert_int_ge(k, 6); /* codes, scales, zeros, part, handle */
    heap.refuse = 0;
    s24_packed_destroy(to);
    s24_packed_destroy(from);
}
END_TEST

void conversions_tests(Suite *suite)
{
    TCase *tc = tcase_create("conversions");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, blocks_become_lanes, 0, sizeof conversions / sizeof *conversions);
    tcase_add_test(tc, what_stops_obeying_is_named);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
}
