#include "pack.h"
#include <string.h>

/*
 * Dense floats with the row as vector lane, the counterpart of ri16x32: "tiles" holds 16 rows after
 * 16 rows, and of each the columns one after another. f32: a column is 16 dwords. f16: 16 halves.
 * bf16: two columns are 16 dwords, the earlier one in the low half. Rows are padded to 16 and
 * columns to 32, with zeros.
 */
enum { ROWS = 16, COLS = 32 };

static int64_t columns_of(const s24i_packing *p)
{
    return (p->cols + COLS - 1) / COLS * COLS;
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    int64_t blocks = (p->rows + ROWS - 1) / ROWS;

    s24i_packing_part(p, "tiles", S24_U8, blocks, columns_of(p) * ROWS * s24i_dtype_size(p->dtype));
    return S24_OK;
}

static char *place(const s24i_packing *p, int64_t row, int64_t col)
{
    int64_t size = s24i_dtype_size(p->dtype), lane = row % ROWS;
    int64_t in_block =
        p->dtype == S24_BF16 ? col / 2 * ROWS * 2 + lane * 2 + col % 2 : col * ROWS + lane;

    return (char *)p->part[0].data + (row / ROWS * columns_of(p) * ROWS + in_block) * size;
}

typedef struct {
    const s24i_packing *p;
    s24_mat w, mask;
} packing;

static const char *element(const s24_mat *mat, int64_t row, int64_t col, size_t size)
{
    int64_t down = mat->rows > 1 ? row * mat->row_stride : 0;
    int64_t across = mat->cols > 1 ? col * mat->col_stride : 0;

    return (const char *)mat->data + (size_t)(down + across) * size;
}

/* What the mask drops, and negative zero, stays +0. */
static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *k = arg;
    size_t size = (size_t)s24i_dtype_size(k->p->dtype);
    uint32_t sign = 1u << (8 * size - 1);

    (void)scratch;
    for (int64_t col = 0; col < k->p->cols; col++) {
        uint32_t bits = 0;
        memcpy(&bits, element(&k->w, row, col, size), size);
        if ((bits & ~sign) && (!k->mask.data || *element(&k->mask, row, col, 1)))
            memcpy(place(k->p, row, col), &bits, size);
    }
    return S24_OK;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    packing k = {.p = p};
    s24_status status = source->matrix(source, "weights", &k.w);

    if (!status)
        status = source->matrix(source, "mask", &k.mask);
    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &k);
}

static s24_status check_row(void *arg, int64_t row, void *scratch)
{
    const s24i_packing *p = arg;
    size_t size = (size_t)s24i_dtype_size(p->dtype);

    (void)scratch;
    for (int64_t col = row < p->rows ? p->cols : 0; col < columns_of(p); col++)
        if (memcmp(place(p, row, col), (const char[4]){0}, size))
            return s24i_fail(S24_E_FORMAT,
                             "row %lld, column %lld is padding beyond %lld x %lld, but is not zero",
                             (long long)row, (long long)col, (long long)p->rows,
                             (long long)p->cols);
    return S24_OK;
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    return s24i_pack_rows(tools, (p->rows + ROWS - 1) / ROWS * ROWS, 0, check_row,
                          (void *)(uintptr_t)p);
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    char *to = out;

    (void)scratch;
    for (int64_t col = 0; col < p->cols; col++)
        memcpy(to + (size_t)col * size, place(p, row, col), size);
}

static s24_status lanes(const s24i_packing *p, int32_t activations, s24i_lanes *out)
{
    s24i_lanes f32 = {S24I_LANES_KERNEL(dense_f32)}, f16 = {S24I_LANES_KERNEL(dense_f16)},
               bf16 = {S24I_LANES_KERNEL(dense_bf16)}, dot = {S24I_LANES_KERNEL(dense_bf16_dot)};

    activations = activations ? activations : S24_F32;
    *out = p->dtype == S24_F32       ? f32
           : p->dtype == S24_F16     ? f16
           : activations == S24_BF16 ? dot
                                     : bf16;
    out->activations = activations;
    out->tiles = columns_of(p) / COLS;
    out->block = p->part[0].cols;
    return s24i_lanes_check(p, activations, S24_F32, p->dtype == S24_BF16 ? S24_BF16 : S24_F32);
}

const s24i_layout s24i_layout_ri16 = {
    .name = "ri16",
    .help = "dense floats, the row as vector lane of 16",
    .dtypes = {S24_F32, S24_F16, S24_BF16},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
    .lanes = lanes,
};
