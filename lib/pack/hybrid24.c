#include "groups.h"

/*
 * 2:4 beside dense columns, in two parts as two products take them: "values" and "nibbles" are the
 * 2:4 of the columns that are not dense, side by side; "dense" is the matrix of the others, and
 * "columns" says which these are, rising.
 */

static int64_t groups(const s24i_packing *p)
{
    return (p->cols - p->own[0]) / 4;
}

static const int32_t *columns(const s24i_packing *p)
{
    return p->part[3].data;
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_mat dense = {.cols = (int64_t)(p->part[3].size / sizeof(int32_t))};
    if (source && source->matrix(source, "dense", &dense))
        return s24i_fail(S24_E_UNSUPPORTED,
                         "layout hybrid24 packs a result of \"2:4 dense ..\": s24_pack_result()");
    if (dense.cols < 1 || dense.cols > p->cols || (p->cols - dense.cols) % 4)
        return s24i_fail(S24_E_SHAPE,
                         "layout hybrid24: beside %lld dense ones the %lld columns are no groups "
                         "of 4",
                         (long long)dense.cols, (long long)p->cols);
    p->own[0] = dense.cols;
    s24i_group_parts(p, groups(p));
    s24i_packing_part(p, "dense", p->dtype, p->rows, dense.cols);
    s24i_packing_vector(p, "columns", S24_I32, dense.cols);
    return S24_OK;
}

static char *dense_value(const s24i_packing *p, int64_t row, int64_t d)
{
    return (char *)p->part[2].data + (size_t)((row * p->own[0] + d) * s24i_dtype_size(p->dtype));
}

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const s24i_weights *k = arg;
    const s24i_packing *p = k->p;
    uint32_t flags = 0, bits[4];
    int64_t d = 0, place = 0;
    bool kept;
    (void)scratch;
    for (int64_t j = 0; j < p->cols; j++) {
        uint32_t value = s24i_weight_bits(k, row, j, &kept);
        if (d < p->own[0] && columns(p)[d] == j) {
            memcpy(dense_value(p, row, d++), &value, (size_t)s24i_dtype_size(p->dtype));
            continue;
        }
        bits[place % 4] = value;
        flags |= (uint32_t)kept << place % 4;
        if (++place % 4)
            continue;
        if (!s24i_group_put(p, row, place / 4 - 1, flags, bits))
            return s24i_fail(S24_E_STATE,
                             "%s: row %lld keeps %d of the 4 columns beside dense ones that end at "
                             "%lld, but layout hybrid24 holds 2",
                             k->mask.data ? "mask" : "w", (long long)row, __builtin_popcount(flags),
                             (long long)j);
        flags = 0;
    }
    return S24_OK;
}

static s24_status check_columns(const s24i_packing *p)
{
    for (int64_t d = 0; d < p->own[0]; d++)
        if (columns(p)[d] < (d ? columns(p)[d - 1] + 1 : 0) || columns(p)[d] >= p->cols)
            return s24i_fail(S24_E_FORMAT, "\"columns\": number %lld is %d: they rise below %lld",
                             (long long)d, (int)columns(p)[d], (long long)p->cols);
    return S24_OK;
}

static s24_status pack(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools)
{
    s24i_weights k;
    s24_mat dense;
    s24_status status = s24i_weights_open(p, source, &k);
    if (!status)
        status = source->matrix(source, "dense", &dense);
    if (status)
        return status;
    memcpy(p->part[3].data, dense.data, p->part[3].size);
    status = check_columns(p);
    return status ? status : s24i_pack_rows(tools, p->rows, 0, pack_row, &k);
}

static s24_status check_row(void *arg, int64_t row, void *scratch)
{
    s24_status status = S24_OK;
    (void)scratch;
    for (int64_t g = 0; !status && g < groups(arg); g++)
        status = s24i_group_check(arg, row, g, groups(arg));
    return status;
}

static s24_status check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    s24_status status = check_columns(p);
    return status ? status : s24i_pack_rows(tools, p->rows, 0, check_row, (void *)(uintptr_t)p);
}

static void unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    size_t size = (size_t)s24i_dtype_size(p->dtype);
    int32_t place[2] = {0};
    uint32_t bits[2] = {0};
    char *to = out;
    int64_t next = 0;
    (void)scratch;
    memset(out, 0, (size_t)p->cols * size);
    for (int64_t j = 0, d = 0; j < p->cols; j++) {
        if (d < p->own[0] && columns(p)[d] == j) {
            memcpy(to + (size_t)j * size, dense_value(p, row, d++), size);
            continue;
        }
        if (next % 4 == 0)
            s24i_group_get(p, row, next / 4, place, bits);
        for (int i = 0; i < 2; i++)
            if (place[i] == next % 4)
                memcpy(to + (size_t)j * size, &bits[i], size);
        next++;
    }
}

const s24i_layout s24i_layout_hybrid24 = {
    .name = "hybrid24",
    .help = "2:4 beside dense columns: the 2:4 of the others, the dense ones, and which they are",
    .dtypes = {S24_F32, S24_F16, S24_BF16, S24_I8},
    .plan = plan,
    .pack = pack,
    .check = check,
    .unpack_row = unpack_row,
};
