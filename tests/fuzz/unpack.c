#include "fuzz.h"

/* Packed parts made elsewhere: either they are refused or they unpack, and pack again to the same
 * matrix. A good packing is made first and then damaged as the input says, for most damage would
 * not get past the sizes. */

enum { ROWS = 32, COLS = 64, PARTS = 8 };

static const char *layout_at(int64_t index)
{
    static char text[1024], *names[64];
    char *rest = text, *name;
    int64_t count = 0;

    CLAIM(strlen(s24_build_info("layouts")) < sizeof text);
    strcpy(text, s24_build_info("layouts"));
    while (count < 64 && (name = strsep(&rest, ", ")))
        if (*name)
            names[count++] = name;
    return names[index % count];
}

/* For layouts of codes: the first of three grids that it takes. */
static s24_packed *make_codes(s24_ctx *ctx, const char *layout, int64_t rows, int64_t cols)
{
    static const char *const grids[] = {"int4 sym g32", "int4 real g32", "int8 sym g32"};
    static uint8_t codes[ROWS * COLS], zeros[ROWS * COLS];
    static uint16_t scales[ROWS * COLS];
    int64_t groups = (cols + 31) / 32;
    s24_packed *packed = NULL;

    for (int g = 0; g < 3 && !packed; g++) {
        s24_mat code, scale, zero;
        for (int64_t i = 0; i < rows * cols; i++) {
            /* Two of four, for layouts that want it; the others do not mind. */
            codes[i] = (uint8_t)(i % 4 == 1 || i % 4 == 2 ? i * 5 % 16 : g ? 128 : 8);
            codes[i] = g == 1 ? (uint8_t)(i * 5 % 16) : codes[i];
            scales[i] = (uint16_t)(0x2c00 + i % 512);
            zeros[i] = g ? 128 : 8;
        }
        CLAIM(!s24_mat_rowmajor(&code, codes, rows, cols, S24_U8));
        CLAIM(!s24_mat_rowmajor(&scale, scales, rows, groups, S24_F16));
        zero = scale;
        if (g != 1)
            CLAIM(!s24_mat_rowmajor(&zero, zeros, rows, groups, S24_U8));
        fuzz_check_status(s24_pack_codes(ctx, grids[g], &code, &scale, &zero, layout, &packed));
    }
    return packed;
}

/* Magnitudes that differ, two of four kept. */
static s24_packed *make_packed(s24_ctx *ctx, const char *layout, const s24_mat *w)
{
    s24_packed *packed = NULL;
    s24_mat plain;
    static float values[ROWS * COLS];

    for (int64_t i = 0; i < w->rows * w->cols; i++)
        values[i] = i % 4 == 1 || i % 4 == 2 - i / 4 % 3 ? (float)(i % 97) - 48 : 0;
    CLAIM(!s24_mat_rowmajor(&plain, values, w->rows, w->cols, S24_F32));
    s24_status status = s24_mat_copy(ctx, &plain, w);
    fuzz_check_status(status);
    if (!status)
        fuzz_check_status(status = s24_pack(ctx, w, NULL, layout, &packed));
    return status == S24_E_UNSUPPORTED ? make_codes(ctx, layout, w->rows, w->cols) : packed;
}

static void use(s24_ctx *ctx, const s24_packed *packed, int64_t rows, int64_t cols)
{
    static float w[ROWS * COLS], again[ROWS * COLS], x[2 * COLS], y[2 * ROWS];
    s24_packed *second = NULL;
    s24_product *product = NULL;
    const char *layout;
    s24_mat dense, other, in, out;

    CLAIM(!s24_mat_rowmajor(&dense, w, rows, cols, S24_F32));
    CLAIM(!s24_mat_rowmajor(&other, again, rows, cols, S24_F32));
    CLAIM(!s24_mat_rowmajor(&in, x, 2, cols, S24_F32));
    CLAIM(!s24_mat_rowmajor(&out, y, 2, rows, S24_F32));
    s24_status status = s24_unpack(packed, &dense);
    fuzz_check_status(status);
    fuzz_check_status(s24_packed_multiply(packed, &in, &out));
    if (!s24_packed_prepare(packed, S24_FAST, 0, 2, NULL, &product))
        CLAIM(!s24_product_run(product, &in, &out));
    s24_product_destroy(product);
    CLAIM(!s24_packed_info(packed, &layout, NULL, NULL, NULL));
    if (!status && !s24_pack(ctx, &dense, NULL, layout, &second)) {
        CLAIM(!s24_unpack(second, &other));
        for (int64_t i = 0; i < rows * cols; i++)
            CLAIM(w[i] == again[i] || (w[i] != w[i] && again[i] != again[i]));
    }
    s24_packed_destroy(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t types[] = {S24_F32, S24_F16, S24_BF16, S24_I8};
    static double room[ROWS * COLS];
    fuzz_input in = {data, data + size};
    const char *layout = layout_at(fuzz_byte(&in));
    int64_t rows = fuzz_between(&in, 0, 3), cols = fuzz_between(&in, 0, 3), count = 0;
    int32_t dtype = types[fuzz_byte(&in) % 4];
    void *parts[PARTS];
    size_t sizes[PARTS];
    s24_ctx *ctx = fuzz_open();
    s24_packed *made = NULL, *wrapped = NULL;
    s24_mat w;

    rows = rows == 3 ? fuzz_between(&in, 0, ROWS) : rows * 16;
    cols = cols == 3 ? fuzz_between(&in, 0, COLS) : cols * 32;
    CLAIM(!s24_mat_rowmajor(&w, room, rows, cols, dtype) && !s24_ctx_set_int(ctx, "threads", 1));
    made = make_packed(ctx, layout, &w);
    for (const char *name = ""; made && name && count < PARTS; count += name != NULL) {
        const void *bytes;
        size_t length;
        CLAIM(!s24_packed_part(made, (int32_t)count, &name, &bytes, &length));
        if (!name)
            continue;
        sizes[count] = length;
        parts[count] = malloc(length + 1);
        memcpy(parts[count], bytes, length);
    }
    for (int64_t n = fuzz_byte(&in) % 6; n > 0 && count > 0; n--) {
        int64_t which = fuzz_between(&in, 0, count - 1), at = fuzz_between(&in, 0, 65535);
        if (sizes[which])
            ((uint8_t *)parts[which])[(size_t)at % sizes[which]] = fuzz_byte(&in);
        if (fuzz_byte(&in) > 250)
            sizes[which] = (size_t)at % (sizes[which] + 1);
    }
    if (fuzz_byte(&in) > 240)
        cols = fuzz_between(&in, 0, COLS);
    fuzz_check_status(s24_packed_wrap(ctx, layout, rows, cols, dtype, (const void *const *)parts,
                                      sizes, (int32_t)count, &wrapped));
    if (wrapped)
        use(ctx, wrapped, rows, cols);
    s24_packed_destroy(wrapped);
    s24_packed_destroy(made);
    while (count)
        free(parts[--count]);
    fuzz_close(ctx);
    return 0;
}
