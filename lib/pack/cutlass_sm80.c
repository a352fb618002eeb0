#include "pack.h"
#include <string.h>

/*
 * The operand of CUTLASS's sparse kernels for compute capability 8.x, which is PyTorch's
 * SparseSemiStructuredTensorCUTLASS: "values" is the row-major matrix of kept weights; "meta" is
 * made of words of four groups (16 bits) or, for i8, eight groups (32 bits), moved as word_place()
 * says. f32, which runs as tf32, is 1:2: one of each two weights.
 */

static int32_t word_groups(const s24i_packing *p)
{
    return p->dtype == S24_I8 ? 8 : 4;
}

/* Smallest multiples that PyTorch's operators take. */
static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    int32_t width = p->dtype == S24_F32 ? 2 : 4;
    int64_t words = p->cols / (width * word_groups(p));

    s24i_packing_part(p, "values", p->dtype, p->rows, p->cols / 2);
    s24i_packing_part(p, "meta", p->dtype == S24_I8 ? S24_I32 : S24_I16, p->rows, words);
    s24_status status = s24i_half_check_shape(p, p->dtype == S24_I8 ? 16 : 32,
                                              p->dtype == S24_I8    ? 128
                                              : p->dtype == S24_F32 ? 32
                                                                    : 64);
    return status ? status : s24i_half_plan(p, width, 1, width);
}

/* Where word (row, col) of the row-major metadata goes: rows are dealt so that a warp finds its
 * eight rows together, the off-diagonal words of each 2 x 2 block change places, and two columns at
 * a time are stored column by column. */
static int64_t word_place(const s24i_packing *p, int64_t row, int64_t col)
{
    int64_t r = p->dtype == S24_I8 ? row / 16 * 16 + row % 8 * 2 + row % 16 / 8
                                   : row / 32 * 32 + row % 8 * 4 + row % 32 / 8;

    if (r % 2 != col % 2) {
        r += r % 2 ? -1 : 1;
        col += col % 2 ? -1 : 1;
    }
    return col / 2 * 2 * p->rows + 2 * r + col % 2;
}

static char *word(const s24i_packing *p, int64_t row, int64_t col)
{
    return (char *)p->part[1].data + word_place(p, row, col) * s24i_dtype_size(p->part[1].dtype);
}

static void put(const s24i_packing *p, int64_t row, const s24i_half_row *from)
{
    int32_t groups = word_groups(p);

    s24i_half_put_values(p, row, from);
    for (int64_t c = 0; c < p->part[1].cols; c++) {
        uint32_t bits = 0;
        for (int32_t g = 0; g < groups; g++)
            bits |= (uint32_t)from->nibbles[c * groups + g] << 4 * g;
        memcpy(word(p, row, c), &bits, (size_t)groups / 2);
    }
}

static void get(const s24i_packing *p, int64_t row, const s24i_half_row *to)
{
    int32_t groups = word_groups(p);

    s24i_half_get_values(p, row, to);
    for (int64_t c = 0; c < p->part[1].cols; c++) {
        uint32_t bits = 0;
        memcpy(&bits, word(p, row, c), (size_t)groups / 2);
        for (int32_t g = 0; g < groups; g++)
            to->nibbles[c * groups + g] = bits >> 4 * g & 0xF;
    }
}

const s24i_layout s24i_layout_cutlass_sm80 = {
    .name = "cutlass-sm80",
    .help = "2:4 (f32: 1:2) as CUTLASS and PyTorch take it on compute capability 8.x",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .plan = plan,
    .pack = s24i_half_pack,
    .check = s24i_half_check,
    .unpack_row = s24i_half_unpack_row,
    .put = put,
    .get = get,
};
