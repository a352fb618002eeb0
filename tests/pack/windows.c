/* lib/pack: 6:8 and its kind as 2:4 of windows that overlap; 2:4 beside dense columns. */
#include "test_pack.h"
#include <stdio.h>

static s24_packed *pack(s24_ctx *ctx, const s24_mat *w, const char *layout)
{
    s24_packed *packed;

    ok(s24_pack(ctx, w, NULL, layout, &packed));
    return packed;
}

/* The 2:4 matrix of the windows, from the parts by what docs/formats.md says of them. */
static void spread(const parts *p, int64_t row, int64_t windows, float *out)
{
    const float *values = (const float *)p->data[0] + row * 2 * windows;
    const uint8_t *nibbles = (const uint8_t *)p->data[1] + row * ((windows + 1) / 2);

    memset(out, 0, (size_t)(4 * windows) * sizeof *out);
    for (int64_t g = 0; g < windows; g++) {
        int nibble = nibbles[g / 2] >> 4 * (g % 2) & 15;
        out[4 * g + (nibble & 3)] = values[2 * g];
        out[4 * g + (nibble >> 2)] = values[2 * g + 1];
    }
}

/* Three rows packed by hand (N = 4), and the inputs that the windows read. */
static const float by_hand[3][8] = {
    {1, 0, 3, 4, 5, 0, 7, 8}, {1, 2, 3, 4, 5, 6, 0, 0}, {0, 0, 3, 4, 5, 6, 7, 8}};
static const float in_windows[3][12] = {{1, 0, 3, 0, 0, 4, 5, 0, 0, 0, 7, 8},
                                        {1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0, 0},
                                        {0, 0, 3, 4, 0, 0, 5, 6, 0, 0, 7, 8}};
static const int32_t lift[12] = {0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7};

START_TEST(rows_by_hand)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat w = api_view((void *)(uintptr_t)by_hand, 3, 8, S24_F32);
    s24_packed *packed = pack(ctx, &w, "window24:4");
    parts p = pack_parts(packed);
    float row[12];

    ck_assert_int_eq(p.count, 3);
    ck_assert_str_eq(p.name[2], "lift");
    ck_assert(p.size[2] == sizeof lift && !memcmp(p.data[2], lift, sizeof lift));
    for (int i = 0; i < 3; i++) {
        spread(&p, i, 3, row);
        ck_assert(!memcmp(row, in_windows[i], sizeof row));
    }
    s24_packed_destroy(packed);
    api_done(ctx, &heap);
}
END_TEST

/* _i = N: every support of up to 2N - 2 of 2N fits and comes back, and none of more does. */
START_TEST(all_supports)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    int64_t cols = 2 * _i;
    char layout[16];

    snprintf(layout, sizeof layout, "window24:%d", _i);
    for (int bits = 0; bits < 1 << cols; bits++) {
        float w[10] = {0}, back[10], wide[16];
        s24_mat view = api_view(w, 1, cols, S24_F32), dense = api_view(back, 1, cols, S24_F32);
        s24_packed *packed;
        for (int64_t j = 0; j < cols; j++)
            w[j] = bits >> j & 1 ? (float)(j + 1) : 0;
        if (__builtin_popcount((unsigned)bits) > cols - 2) {
            fails(s24_pack(ctx, &view, NULL, layout, &packed), S24_E_STATE,
                  "w: row 0, group 0 (columns 0 .. ");
            continue;
        }
        packed = pack(ctx, &view, layout);
        ok(s24_unpack(packed, &dense));
        ck_assert(!memcmp(w, back, (size_t)cols * sizeof *w));
        parts p = pack_parts(packed);
        spread(&p, 0, _i - 1, wide);
        for (int64_t g = 0; g < _i - 1; g++) { /* 2:4, and the lifted matrix is the same */
            int held = 0;
            for (int64_t k = 4 * g; k < 4 * g + 4; k++) {
                held += wide[k] != 0;
                ck_assert(wide[k] == 0 || wide[k] == w[((const int32_t *)p.data[2])[k]]);
            }
            ck_assert_int_le(held, 2);
        }
        s24_packed_destroy(packed);
    }
    api_done(ctx, &heap);
}
END_TEST

/* 6:8 of every type: back bit for bit, again from its parts, and multiplied as the dense one. */
START_TEST(round_trips)
{
    enum { ROWS = 70, COLS = 96, TOKENS = 3 };
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    int32_t dtype = element_types[_i];
    static int8_t integers[ROWS * COLS];
    static float x[TOKENS * COLS], y[TOKENS * ROWS];
    s24_mat back = api_empty(ROWS, COLS, dtype, ROW_MAJOR);
    s24_mat in = api_view(x, TOKENS, COLS, S24_F32), out = api_view(y, TOKENS, ROWS, S24_F32);
    s24_packed *again;

    for (int i = 0; i < ROWS * COLS; i++)
        integers[i] = i % 8 == (i / 8) % 7 || i % 8 == 7 ? 0 : (int8_t)(i % 113 - 56);
    for (int i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)(i % 17 - 8);
    s24_mat w = pack_matrix(integers, ROWS, COLS, dtype, PADDED);
    s24_packed *packed = pack(ctx, &w, "window24:4");
    parts p = pack_parts(packed);
    ok(s24_packed_wrap(ctx, "window24", ROWS, COLS, dtype, p.data, p.size, p.count, &again));
    ok(s24_unpack(again, &back));
    for (int64_t i = 0; i < ROWS * COLS; i++)
        ck_assert_uint_eq(pack_bits(&w, i / COLS, i % COLS), pack_bits(&back, i / COLS, i % COLS));
    ok(s24_packed_multiply(again, &in, &out));
    for (int i = 0; i < TOKENS * ROWS; i++) {
        double sum = 0;
        for (int j = 0; j < COLS; j++)
            sum += x[i / ROWS * COLS + j] * integers[i % ROWS * COLS + j];
        ck_assert_double_eq(y[i], sum);
    }
    s24_packed_destroy(again);
    s24_packed_destroy(packed);
    free(w.data);
    free(back.data);
    api_done(ctx, &heap);
}
END_TEST

START_TEST(what_does_not_fit)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    api_mat w = api_filled(4, 24, S24_F32, ROW_MAJOR, 5);
    static const struct {
        const char *layout;
        s24_status status;
        const char *part;
    } table[] = {{"window24", S24_E_UNSUPPORTED, "needs a number: \"window24:4\" packs 6:8"},
                 {"window24:1", S24_E_SHAPE, "N must be 2 to 32"},
                 {"window24:33", S24_E_SHAPE, "N must be 2 to 32"},
                 {"window24:5", S24_E_SHAPE, "24 columns are not a multiple of 10"},
                 {"window24:4x", S24_E_SHAPE, "after the colon must be a number"},
                 {"window24:99999999999", S24_E_SHAPE, "after the colon must be a number"},
                 {"window24:4:int4", S24_E_DTYPE, "after the colon must be f32, f16 or bf16"},
                 {"window24:3", S24_E_STATE, "keeps more than 4 of 6"},
                 {"nibble:4", S24_E_DTYPE, "after the colon must be f32, f16 or bf16"},
                 {"hybrid24", S24_E_UNSUPPORTED, "packs a result of \"2:4 dense ..\""}};
    s24_packed *packed;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        fails(s24_pack(ctx, &w.mat, NULL, table[i].layout, &packed), table[i].status,
              table[i].part);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

/* Bytes that were changed: named, never followed. */
START_TEST(foreign_windows)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    s24_mat w = api_view((void *)(uintptr_t)by_hand, 3, 8, S24_F32);
    s24_packed *packed = pack(ctx, &w, "window24:4"), *again;
    parts p = pack_parts(packed);
    uint8_t nibbles[6];
    int32_t other[12];
    float values[18];

    memcpy(nibbles, p.data[1], sizeof nibbles);
    memcpy(other, p.data[2], sizeof other);
    memcpy(values, p.data[0], sizeof values);
    p.data[0] = values;
    p.data[1] = nibbles;
    p.data[2] = other;
    other[5] = 0x7fffffff;
    fails(s24_packed_wrap(ctx, "window24", 3, 8, S24_F32, p.data, p.size, 3, &again), S24_E_FORMAT,
          "\"lift\": column 5 reads input 2147483647, not 3");
    other[5] = 3;
    nibbles[0] = (uint8_t)((nibbles[0] & 0xf0) | 0x5);
    fails(s24_packed_wrap(ctx, "window24", 3, 8, S24_F32, p.data, p.size, 3, &again), S24_E_FORMAT,
          "row 0, group 0: its nibble names places 1 and 1");
    nibbles[0] = (uint8_t)((nibbles[0] & 0x0f) | 0x40); /* place 2 of window 0, 0 of window 1 */
    nibbles[0] = 0x48;
    fails(s24_packed_wrap(ctx, "window24", 3, 8, S24_F32, p.data, p.size, 3, &again), S24_E_FORMAT,
          "row 0: column 2 is held by two windows");
    p.size[2] -= 4;
    fails(s24_packed_wrap(ctx, "window24", 3, 8, S24_F32, p.data, p.size, 3, &again), S24_E_SHAPE,
          "N must be 2 to 32");
    s24_packed_destroy(packed);
    api_done(ctx, &heap);
}
END_TEST

/* ---- 2:4 beside dense columns ---- */

START_TEST(hybrids)
{
    enum { ROWS = 40, COLS = 44, DENSE = 8 };
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 2);
    api_mat w = api_filled(ROWS, COLS, S24_F32, ROW_MAJOR, 8);
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
    s24_packed *packed, *again;
    s24_mat v, dense, back = api_empty(ROWS, COLS, S24_F32, ROW_MAJOR);
    int32_t columns[DENSE];

    ok(s24_problem_create(ctx, &w.mat, &problem));
    ok(s24_problem_parse(problem, "2:4 dense 8"));
    ok(s24_solver_create(ctx, "magnitude", &solver));
    ok(s24_solve(solver, problem, &result));
    ok(s24_result_matrix(result, "weights", &v));
    ok(s24_result_matrix(result, "dense", &dense));
    ok(s24_pack_result(ctx, result, "hybrid24", &packed));
    parts p = pack_parts(packed);
    ck_assert_int_eq(p.count, 4);
    ck_assert_uint_eq(p.size[0], ROWS * (COLS - DENSE) / 2 * sizeof(float));
    ck_assert_uint_eq(p.size[1], ROWS * 5); /* nine groups a row */
    ck_assert_uint_eq(p.size[2], ROWS * DENSE * sizeof(float));
    ck_assert(!memcmp(p.data[3], dense.data, sizeof columns));
    ok(s24_packed_wrap(ctx, "hybrid24", ROWS, COLS, S24_F32, p.data, p.size, 4, &again));
    ok(s24_unpack(again, &back));
    ck_assert(!memcmp(back.data, v.data, ROWS * COLS * sizeof(float)));
    s24_packed_destroy(again);
    memcpy(columns, p.data[3], sizeof columns);
    p.data[3] = columns;
    columns[3] = columns[2];
    fails(s24_packed_wrap(ctx, "hybrid24", ROWS, COLS, S24_F32, p.data, p.size, 4, &again),
          S24_E_FORMAT, "\"columns\": number 3 is");
    columns[DENSE - 1] = COLS;
    fails(s24_packed_wrap(ctx, "hybrid24", ROWS, COLS, S24_F32, p.data, p.size, 4, &again),
          S24_E_FORMAT, "rise below 44");
    fails(s24_pack_result(ctx, result, "nibble", &again), S24_E_STATE, "keeps");
    s24_packed_destroy(packed);
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    free(back.data);
    api_free(&w);
    api_done(ctx, &heap);
}
END_TEST

void windows_tests(Suite *suite)
{
    TCase *tcase = tcase_create("windows");

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, rows_by_hand);
    tcase_add_loop_test(tcase, all_supports, 2, 6);
    tcase_add_loop_test(tcase, round_trips, 0, ELEMENT_TYPES);
    tcase_add_test(tcase, what_does_not_fit);
    tcase_add_test(tcase, foreign_windows);
    tcase_add_test(tcase, hybrids);
}
