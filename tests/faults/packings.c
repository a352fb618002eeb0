/* Steps on packed layouts. */
#include "stories.h"
#include <stdio.h>
#include <string.h>

enum { TALL = 32, WIDE = 64 }; /* what each layout takes */

static float wide[TALL * WIDE]; /* 2:4 */
static uint8_t codes[TALL * WIDE], zeros[TALL * WIDE];
static uint16_t scales[TALL * WIDE];

static s24_mat wide_weights(void)
{
    for (int i = 0; i < TALL * WIDE; i++)
        wide[i] = i % 4 == 1 || i % 4 == 2 ? (float)(i * 37 % 101 - 50) : 0;
    return plain(wide, TALL, WIDE, S24_F32);
}

/* What the layout holds. */
static const char *rounded_type(void)
{
    return strstr(told.layout, "f16") ? "f16" : "bf16";
}

static s24_status pack(void)
{
    s24_mat w = wide_weights(), code = plain(codes, TALL, WIDE, S24_U8),
            scale = plain(scales, TALL, WIDE / 32, S24_F16), zero = scale;
    char rounded[64];

    if (!told.grid) {
        snprintf(rounded, sizeof rounded, "%s:%s", told.layout, rounded_type());
        return s24_pack(scene.ctx, &w, NULL, rounded, &scene.packed);
    }
    for (int i = 0; i < TALL * WIDE; i++) {
        zeros[i] = strstr(told.grid, "int8") ? 128 : 8;
        codes[i] = i % 4 == 1 || i % 4 == 2 ? (uint8_t)(i * 5 % 16) : zeros[i];
        scales[i] = (uint16_t)(0x2c00 + i % 512);
    }
    if (!strstr(told.grid, "real"))
        zero = plain(zeros, TALL, WIDE / 32, S24_U8);
    return s24_pack_codes(scene.ctx, told.grid, &code, &scale, &zero, told.layout, &scene.packed);
}

static s24_status read_packed(void)
{
    int64_t rows, cols;
    s24_status status = s24_packed_info(scene.packed, &scene.text, &rows, &cols, NULL);
    if (!status)
        status = s24_packed_part(scene.packed, 0, &scene.text, NULL, NULL);
    return status ? status : s24_packed_matrix(scene.packed, scene.text, &scene.view);
}

static s24_status wrap(void)
{
    const void *parts[8];
    size_t sizes[8];
    int32_t count = 0, dtype;
    const char *name;

    s24_packed_info(scene.packed, NULL, NULL, NULL, &dtype);
    while (count < 8 &&
           !s24_packed_part(scene.packed, count, &name, parts + count, sizes + count) && name)
        count++;
    return s24_packed_wrap(scene.ctx, told.layout, TALL, WIDE, dtype, parts, sizes, count,
                           &scene.wrapped);
}

static s24_status unpack(void)
{
    s24_mat w = plain(scene.out, TALL, WIDE, S24_F32);
    s24_status status = s24_unpack(scene.wrapped, &w);

    if (!status)
        digest_bytes(scene.out, TALL * WIDE * sizeof *scene.out);
    return status;
}

static s24_status multiply_packed(void)
{
    s24_mat rows = plain(wide, 3, WIDE, S24_F32), y = plain(scene.out, 3, TALL, S24_F32);
    s24_status status = s24_packed_multiply(scene.wrapped, &rows, &y);

    if (!status)
        digest_bytes(scene.out, sizeof scene.out);
    return status;
}

static s24_status prepare_product(void)
{
    s24_status status = s24_packed_prepare(scene.wrapped, S24_FAST, 0, 3, NULL, &scene.product);

    return status == S24_E_UNSUPPORTED
               ? s24_packed_prepare(scene.wrapped, S24_EXACT, 0, 3, NULL, &scene.product)
               : status;
}

static s24_status run_product(void)
{
    s24_mat rows = plain(wide, 3, WIDE, S24_F32), y = plain(scene.out, 3, TALL, S24_F32);
    s24_status status = s24_product_run(scene.product, &rows, &y);

    if (!status)
        digest_bytes(scene.out, sizeof scene.out);
    return status;
}

static s24_status make_wide_problem(void)
{
    s24_mat w = wide_weights();
    return s24_problem_create(scene.ctx, &w, &scene.problem);
}

static s24_status pack_result(void)
{
    char rounded[64];

    snprintf(rounded, sizeof rounded, told.grid ? "%s" : "%s:%s", told.layout, rounded_type());
    return s24_pack_result(scene.ctx, scene.result, rounded, &scene.packed);
}

const step_fn pack_steps[] = {
    make_ctx,        set_threads,     pack,        read_packed, wrap, unpack,
    multiply_packed, prepare_product, run_product, NULL};
const step_fn pack_result_steps[] = {
    make_ctx, set_threads, make_wide_problem, constrain, make_solver, give_options,
    solve,    pack_result, read_packed,       wrap,      unpack,      NULL};
