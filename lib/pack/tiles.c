#include "tiles.h"

enum { ROWS = S24I_TILE_ROWS, COLS = S24I_TILE_COLS, SCALES = 2 * ROWS, SPARSE = 4 };

/* ---- Where things lie ---- */

static bool is_dense(const s24i_packing *p)
{
    return p->own[S24I_OWN_META] == S24I_META_DENSE;
}

/* Codes that a tile holds of a row. */
static int32_t codes_of(const s24i_packing *p)
{
    return is_dense(p) ? COLS : COLS / 2;
}

static int64_t tile_size(const s24i_packing *p)
{
    return p->own[S24I_OWN_META] + ROWS * codes_of(p) * p->own[S24I_OWN_BITS] / 8;
}

static int64_t front_size(const s24i_packing *p)
{
    return SCALES + (p->own[S24I_OWN_ZEROS] ? ROWS : 0);
}

static int64_t tiles_of(const s24i_packing *p)
{
    return (p->cols + COLS - 1) / COLS;
}

static int64_t groups_of(int64_t cols, int64_t group)
{
    return (cols + group - 1) / group;
}

static int64_t block_size(const s24i_packing *p, int64_t group)
{
    return groups_of(p->cols, group) * front_size(p) + tiles_of(p) * tile_size(p);
}

static int64_t padded_rows(const s24i_packing *p)
{
    return (p->rows + ROWS - 1) / ROWS * ROWS;
}

static uint8_t *group_at(const s24i_packing *p, int64_t row, int64_t group)
{
    int64_t tiles = group * (p->own[S24I_OWN_GROUP] / COLS);

    return (uint8_t *)p->part[0].data + row / ROWS * p->part[0].cols + group * front_size(p) +
           tiles * tile_size(p);
}

static uint8_t *tile_at(const s24i_packing *p, int64_t row, int64_t tile)
{
    int64_t across = p->own[S24I_OWN_GROUP] / COLS;

    return group_at(p, row, tile / across) + front_size(p) + tile % across * tile_size(p);
}

static uint8_t *scale_at(const s24i_packing *p, int64_t row, int64_t group)
{
    return group_at(p, row, group) + row % ROWS * 2;
}

/* The row's zero point less the middle of the codes; 0 without zero points. */
static int8_t *zero_at(const s24i_packing *p, int64_t row, int64_t group)
{
    return (int8_t *)group_at(p, row, group) + SCALES + row % ROWS;
}

static int32_t zero_of(const s24i_packing *p, int64_t row, int64_t group)
{
    return p->own[S24I_OWN_ZEROS] ? *zero_at(p, row, group) : 0;
}

/* Code k of a row in a tile: a byte, or half of one. */
static uint8_t *code_at(const s24i_packing *p, int64_t row, uint8_t *tile, int32_t k)
{
    int32_t vector = p->own[S24I_OWN_BITS] == 8 ? k / 4 : k / 8;

    return tile + p->own[S24I_OWN_META] + vector * ROWS * 4 + row % ROWS * 4 + k % 4;
}

static void put_code(const s24i_packing *p, int64_t row, uint8_t *tile, int32_t k, int32_t code)
{
    uint8_t *at = code_at(p, row, tile, k);

    if (p->own[S24I_OWN_BITS] == 8)
        *at = (uint8_t)code;
    else
        *at |= (uint8_t)((code & 15) << (k & 4));
}

static int32_t get_code(const s24i_packing *p, int64_t row, uint8_t *tile, int32_t k)
{
    int32_t byte = *code_at(p, row, tile, k);

    if (p->own[S24I_OWN_BITS] == 8)
        return (int8_t)byte;
    return ((byte >> (k & 4) & 15) ^ 8) - 8;
}

/* ---- Metadata ---- */

static const uint8_t nibbles[6] = {0x4, 0x8, 0x9, 0xC, 0xD, 0xE};

static uint32_t rank_of(uint8_t nibble)
{
    uint32_t rank = 0;

    while (nibbles[rank] != nibble)
        rank++;
    return rank;
}

/* Two groups in 6 bits, a row's four such fields in 3 bytes. */
static void put_pairs(uint8_t *meta, int64_t row, const uint8_t nibble[COLS / 4])
{
    uint32_t bits = 0;

    for (int j = 0; j < 4; j++)
        bits |= (rank_of(nibble[2 * j]) + 6 * rank_of(nibble[2 * j + 1])) << 6 * j;
    for (int i = 0; i < 3; i++)
        meta[row % ROWS * 3 + i] = (uint8_t)(bits >> 8 * i);
}

static void get_pairs(const uint8_t *meta, int64_t row, uint8_t nibble[COLS / 4])
{
    const uint8_t *at = meta + row % ROWS * 3;
    uint32_t bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;

    for (int j = 0; j < 4; j++) {
        uint32_t pair = bits >> 6 * j & 63;
        nibble[2 * j] = pair < 36 ? nibbles[pair % 6] : 0;
        nibble[2 * j + 1] = pair < 36 ? nibbles[pair / 6] : 0;
    }
}

/* Index of kept code k = 4 j + i in bits 8 i + 2 j of the row's dword. */
static void put_indices(uint8_t *meta, int64_t row, const uint8_t nibble[COLS / 4])
{
    uint32_t bits = 0;

    for (int k = 0; k < COLS / 2; k++)
        bits |= (nibble[k / 2] >> 2 * (k & 1) & 3u) << (8 * (k % 4) + 2 * (k / 4));
    memcpy(meta + row % ROWS * 4, &bits, 4);
}

static void get_indices(const uint8_t *meta, int64_t row, uint8_t nibble[COLS / 4])
{
    uint32_t bits;

    memcpy(&bits, meta + row % ROWS * 4, 4);
    memset(nibble, 0, COLS / 4);
    for (int k = 0; k < COLS / 2; k++)
        nibble[k / 2] |= (bits >> (8 * (k % 4) + 2 * (k / 4)) & 3) << 2 * (k & 1);
}

static void put_meta(const s24i_packing *p, int64_t row, uint8_t *tile, const uint8_t *nibble)
{
    (p->own[S24I_OWN_META] == S24I_META_PAIRS ? put_pairs : put_indices)(tile, row, nibble);
}

static void get_meta(const s24i_packing *p, int64_t row, const uint8_t *tile, uint8_t *nibble)
{
    (p->own[S24I_OWN_META] == S24I_META_PAIRS ? get_pairs : get_indices)(tile, row, nibble);
}

/* ---- Planning ---- */

/* From the source; 0: they are no group of ours. */
static s24_status find_group(const s24i_packing *p, const s24i_pack_source *source, int32_t bits,
                             int64_t *group)
{
    s24i_codes c;
    s24_status status = s24i_codes_read(p, source, bits, false, &c);

    if (status)
        return status;
    *group = c.group;
    if (c.group < p->cols && c.group != 32 && c.group != 64 && c.group != 128)
        return s24i_fail(S24_E_UNSUPPORTED,
                         "layout %s has a scale for each 32, 64 or 128 columns or for the whole "
                         "row, not for %lld",
                         p->layout->name, (long long)c.group);
    return S24_OK;
}

/* From the size of the stream: the number of scales says it. */
static s24_status guess_group(const s24i_packing *p, int64_t *group)
{
    static const int64_t known[] = {32, 64, 128, INT64_MAX / 2};
    int64_t blocks = padded_rows(p) / ROWS;

    for (int i = 3; i >= 0; i--) {
        *group = known[i] < p->cols ? known[i] : p->cols;
        if (p->part[0].size == s24i_mul((size_t)blocks, (size_t)block_size(p, *group)))
            return S24_OK;
    }
    return s24i_fail(S24_E_SHAPE,
                     "part 0, \"stream\", has %zu bytes: layout %s of %lld x %lld has none of this "
                     "size for groups of 32, 64, 128 columns or whole rows",
                     p->part[0].size, p->layout->name, (long long)p->rows, (long long)p->cols);
}

s24_status s24i_tiles_plan(s24i_packing *p, const s24i_pack_source *source, int32_t bits,
                           int32_t meta, bool zeros)
{
    int64_t group = 0;

    p->own[S24I_OWN_BITS] = bits;
    p->own[S24I_OWN_META] = meta;
    p->own[S24I_OWN_ZEROS] = zeros;
    if (meta && p->cols % SPARSE)
        return s24i_half_check_shape(p, 1, SPARSE);
    s24_status status = source ? find_group(p, source, bits, &group) : guess_group(p, &group);
    if (status)
        return status;
    p->own[S24I_OWN_GROUP] = (group + COLS - 1) / COLS * COLS;
    s24i_packing_part(p, "stream", S24_U8, padded_rows(p) / ROWS,
                      block_size(p, p->own[S24I_OWN_GROUP]));
    return S24_OK;
}

/* ---- Packing ---- */

typedef struct {
    const s24i_packing *p;
    s24i_codes c;
} packing;

/* What is stored for a code: steps from zero, or with zero points from the middle. */
static s24_status stored(const packing *w, int64_t row, int64_t col, int32_t *code)
{
    const s24i_packing *p = w->p;
    int32_t half = 1 << (p->own[S24I_OWN_BITS] - 1);
    int64_t group = row * w->c.groups + col / w->c.group;

    *code = w->c.code[row * p->cols + col];
    *code -= p->own[S24I_OWN_ZEROS] ? half : w->c.zero[group];
    return *code >= -half && *code < half
               ? S24_OK
               : s24i_fail(S24_E_STATE,
                           "row %lld, column %lld is %d steps from zero: layout %s holds %d .. %d "
                           "(ask for sym, or use a layout with zero points)",
                           (long long)row, (long long)col, (int)*code, p->layout->name, (int)-half,
                           (int)half - 1);
}

static bool is_kept(const packing *w, int64_t row, int64_t col)
{
    int64_t at = row * w->p->cols + col;

    return w->c.mask ? w->c.mask[at] != 0
                     : w->c.code[at] != w->c.zero[row * w->c.groups + col / w->c.group];
}

static s24_status choose(const packing *w, int64_t row, int64_t col, uint8_t *nibble)
{
    uint32_t flags = 0;

    for (int i = 0; i < SPARSE; i++)
        flags |= (uint32_t)is_kept(w, row, col + i) << i;
    *nibble = s24i_half_nibble(flags, SPARSE);
    return *nibble
               ? S24_OK
               : s24i_fail(S24_E_STATE,
                           "%s: row %lld, group %lld (columns %lld .. %lld) keeps %d, but "
                           "layout %s holds 2 of 4",
                           w->c.mask ? "mask" : "codes", (long long)row, (long long)(col / SPARSE),
                           (long long)col, (long long)(col + SPARSE - 1), __builtin_popcount(flags),
                           w->p->layout->name);
}

/* The codes of columns that are there; those that a group is filled up with decode to 0. */
static s24_status pack_group(const packing *w, int64_t row, uint8_t *tile, int64_t col,
                             uint8_t *nibble)
{
    const s24i_packing *p = w->p;
    s24_status status = choose(w, row, col, nibble);
    uint32_t places = status ? 0 : s24i_half_places(*nibble, SPARSE);

    for (int32_t k = (int32_t)(col % COLS) / 2; !status && places; places &= places - 1, k++) {
        int32_t code = 0;
        status = stored(w, row, col + __builtin_ctz(places), &code);
        put_code(p, row, tile, k, code);
    }
    return status;
}

/* From column `col` of the tile on there are none. */
static void pad_tile(const s24i_packing *p, int64_t row, uint8_t *tile, int64_t group, int64_t col,
                     uint8_t *nibble)
{
    for (int64_t g = col / SPARSE; g < COLS / SPARSE; g++)
        nibble[g] = 0x4;
    for (int32_t k = (int32_t)(is_dense(p) ? col : col / 2); k < codes_of(p); k++)
        put_code(p, row, tile, k, zero_of(p, row, group));
}

static s24_status pack_tile(const packing *w, int64_t row, int64_t index)
{
    const s24i_packing *p = w->p;
    int64_t first = index * COLS, left = row < p->rows ? p->cols - first : 0;
    int64_t group = first / p->own[S24I_OWN_GROUP], count = left < COLS ? left : COLS;
    uint8_t *tile = tile_at(p, row, index), nibble[COLS / SPARSE];
    s24_status status = S24_OK;

    for (int32_t c = 0; is_dense(p) && !status && c < count; c++) {
        int32_t code = 0;
        status = stored(w, row, first + c, &code);
        put_code(p, row, tile, c, code);
    }
    for (int64_t c = 0; !is_dense(p) && !status && c < count; c += SPARSE)
        status = pack_group(w, row, tile, first + c, &nibble[c / SPARSE]);
    if (status)
        return status;
    pad_tile(p, row, tile, group, count, nibble);
    if (!is_dense(p))
        put_meta(p, row, tile, nibble);
    return S24_OK;
}

static s24_status pack_fronts(const packing *w, int64_t row)
{
    const s24i_packing *p = w->p;

    for (int64_t g = 0; g < w->c.groups; g++) {
        int64_t at = row * w->c.groups + g;
        memcpy(scale_at(p, row, g), w->c.scale + at, 2);
        if (!p->own[S24I_OWN_ZEROS])
            continue;
        if (w->c.zero[at] >> w->c.bits)
            return s24i_fail(S24_E_STATE, "zeros: row %lld, group %lld is %d, beyond %d bits",
                             (long long)row, (long long)g, (int)w->c.zero[at], (int)w->c.bits);
        *zero_at(p, row, g) = (int8_t)(w->c.zero[at] - (1 << (p->own[S24I_OWN_BITS] - 1)));
    }
    return S24_OK;
}

static s24_status pack_row(void *arg, int64_t row, void *scratch)
{
    const packing *w = arg;
    s24_status status = S24_OK;

    (void)scratch;
    if (row < w->p->rows) {
        status = s24i_codes_check_row(w->p, &w->c, row);
        if (!status)
            status = pack_fronts(w, row);
    }
    for (int64_t tile = 0; !status && tile < tiles_of(w->p); tile++)
        status = pack_tile(w, row, tile);
    return status;
}

s24_status s24i_tiles_pack(const s24i_packing *p, const s24i_pack_source *source,
                           const s24i_pack_tools *tools)
{
    packing w = {.p = p};
    s24_status status = s24i_codes_read(p, source, (int32_t)p->own[S24I_OWN_BITS], false, &w.c);

    return status ? status : s24i_pack_rows(tools, padded_rows(p), 0, pack_row, &w);
}

/* ---- Checking ---- */

static s24_status check_front(const s24i_packing *p, int64_t row, int64_t group)
{
    uint16_t scale = s24i_half_at(scale_at(p, row, group), 0);
    int32_t half = 1 << (p->own[S24I_OWN_BITS] - 1), zero = zero_of(p, row, group);

    if (!s24i_half_is_finite(scale))
        return s24i_fail(S24_E_FORMAT, "row %lld, group %lld: its scale is not finite",
                         (long long)row, (long long)group);
    if (zero < -half || zero >= half)
        return s24i_fail(S24_E_FORMAT, "row %lld, group %lld: its zero point %d is not in %d .. %d",
                         (long long)row, (long long)group, (int)zero, (int)-half, (int)half - 1);
    if (row >= p->rows && (scale || zero))
        return s24i_fail(S24_E_FORMAT,
                         "row %lld, group %lld is padding beyond %lld rows, but its scale or zero "
                         "point is not 0",
                         (long long)row, (long long)group, (long long)p->rows);
    return S24_OK;
}

static s24_status check_tile(const s24i_packing *p, int64_t row, int64_t index)
{
    uint8_t *tile = tile_at(p, row, index), nibble[COLS / SPARSE];
    int64_t first = index * COLS, left = row < p->rows ? p->cols - first : 0;
    int32_t zero = zero_of(p, row, first / p->own[S24I_OWN_GROUP]), across = COLS / codes_of(p);
    bool right = true;

    if (!is_dense(p))
        get_meta(p, row, tile, nibble);
    for (int64_t g = 0; !is_dense(p) && g < COLS / SPARSE; g++) {
        if (!s24i_half_places(nibble[g], SPARSE))
            return s24i_fail(S24_E_FORMAT,
                             "row %lld, columns %lld .. %lld: the metadata does not name 2 of 4 "
                             "places in ascending order",
                             (long long)row, (long long)(first + g * SPARSE),
                             (long long)(first + g * SPARSE + SPARSE - 1));
        right = right && (g * SPARSE < left || nibble[g] == 0x4);
    }
    for (int32_t k = 0; k < codes_of(p); k++)
        right = right && (k * across < left || get_code(p, row, tile, k) == zero);
    return right ? S24_OK
                 : s24i_fail(S24_E_FORMAT,
                             "row %lld, columns %lld .. %lld are padding beyond %lld x %lld, but "
                             "do not hold index bits 0x4 and zero codes",
                             (long long)row, (long long)first, (long long)(first + COLS - 1),
                             (long long)p->rows, (long long)p->cols);
}

static s24_status check_row(void *arg, int64_t row, void *scratch)
{
    const s24i_packing *p = arg;
    s24_status status = S24_OK;

    (void)scratch;
    for (int64_t g = 0; !status && g < groups_of(p->cols, p->own[S24I_OWN_GROUP]); g++)
        status = check_front(p, row, g);
    for (int64_t tile = 0; !status && tile < tiles_of(p); tile++)
        status = check_tile(p, row, tile);
    return status;
}

s24_status s24i_tiles_check(const s24i_packing *p, const s24i_pack_tools *tools)
{
    return s24i_pack_rows(tools, padded_rows(p), 0, check_row, (void *)(uintptr_t)p);
}

/* ---- Unpacking ---- */

/* Of code k of a tile. */
static int64_t column_of(const s24i_packing *p, int64_t index, const uint8_t *nibble, int32_t k)
{
    return index * COLS + (is_dense(p) ? k : k / 2 * SPARSE + (nibble[k / 2] >> 2 * (k & 1) & 3));
}

void s24i_tiles_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch)
{
    float *to = out;

    (void)scratch;
    memset(out, 0, (size_t)p->cols * sizeof *to);
    for (int64_t index = 0; index < tiles_of(p); index++) {
        uint8_t *tile = tile_at(p, row, index), nibble[COLS / SPARSE];
        int64_t group = index * COLS / p->own[S24I_OWN_GROUP];
        float scale = s24i_f16_to_f32(s24i_half_at(scale_at(p, row, group), 0));
        int32_t zero = zero_of(p, row, group);
        if (!is_dense(p))
            get_meta(p, row, tile, nibble);
        for (int32_t k = 0; k < codes_of(p); k++) {
            int64_t col = column_of(p, index, nibble, k);
            if (col < p->cols)
                to[col] = scale * (float)(get_code(p, row, tile, k) - zero);
        }
    }
}

/* ---- Codes again ---- */

void s24i_tiles_grid(const s24i_packing *p, int32_t *bits, int64_t *group)
{
    *bits = (int32_t)p->own[S24I_OWN_BITS];
    *group = p->own[S24I_OWN_GROUP] < p->cols ? p->own[S24I_OWN_GROUP] : p->cols;
}

void s24i_tiles_codes(const s24i_packing *p, int64_t row, uint8_t *codes, uint16_t *scales,
                      uint8_t *zeros)
{
    int32_t half = 1 << (p->own[S24I_OWN_BITS] - 1);

    for (int64_t g = 0; g < groups_of(p->cols, p->own[S24I_OWN_GROUP]); g++) {
        scales[g] = s24i_half_at(scale_at(p, row, g), 0);
        zeros[g] = (uint8_t)(zero_of(p, row, g) + half);
    }
    for (int64_t col = 0; col < p->cols; col++)
        codes[col] = zeros[col / p->own[S24I_OWN_GROUP]];
    for (int64_t index = 0; index < tiles_of(p); index++) {
        uint8_t *tile = tile_at(p, row, index), nibble[COLS / SPARSE];
        if (!is_dense(p))
            get_meta(p, row, tile, nibble);
        for (int32_t k = 0; k < codes_of(p); k++) {
            int64_t col = column_of(p, index, nibble, k);
            if (col < p->cols)
                codes[col] = (uint8_t)(get_code(p, row, tile, k) + half);
        }
    }
}

/* ---- Products ---- */

/* Activations share a scale with the weights they meet, or 128 of them where whole rows do. */
s24_status s24i_tiles_lanes(const s24i_packing *p, int32_t activations, s24i_lanes *out)
{
    static const s24i_lanes kernels[2][4] = {
        {{S24I_LANES_KERNEL(dense_int8)},
         {S24I_LANES_KERNEL(dense_int4)},
         {S24I_LANES_KERNEL(dense_int4_zeros)}},
        {{S24I_LANES_KERNEL(sparse_int8)},
         {S24I_LANES_KERNEL(sparse_int4)},
         {S24I_LANES_KERNEL(sparse_int4_zeros)},
         {S24I_LANES_KERNEL(sparse_int4_p6)}},
    };
    int64_t group = p->own[S24I_OWN_GROUP] / COLS;
    int form = p->own[S24I_OWN_BITS] == 8                 ? 0
               : p->own[S24I_OWN_META] == S24I_META_PAIRS ? 3
               : p->own[S24I_OWN_ZEROS]                   ? 2
                                                          : 1;

    *out = kernels[!is_dense(p)][form];
    out->activations = S24_I8;
    out->block = p->part[0].cols;
    out->tiles = tiles_of(p);
    out->group = group;
    out->x_group = group < 4 ? group : 4;
    return s24i_lanes_check(p, activations ? activations : S24_I8, S24_I8, S24_I8);
}
