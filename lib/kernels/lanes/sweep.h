/* The column sweep of one block, some registers of rows at a time. Written in the vocabulary of an
 * instruction set's lanes.h, which comes first; knows no instruction set. */
#ifndef S24I_LANES_SWEEP_H
#define S24I_LANES_SWEEP_H
#include "kernels/inline.h"
#include "kernels/lanes/grid.h"
#include "kernels/lanes/select.h"
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
    PANEL = 4,              /* columns whose sums are held in registers: a group of 2:4 */
    TILE = S24I_MAX_GROUP,  /* rows and columns of R at a time, at most */
    TILE_LD = TILE + PANEL, /* a panel may reach over the end */
    STRIP = WIDE * LANES,   /* rows of the matrix whose sums are held in registers, at most */
    SLAB = 2 * STRIP, /* rows of the matrix between which work on columns alternates, at most */
};

/* A piece of R: what `rows` columns of the block leave to `cols` of them, zero beyond these.
 * Contiguous because rows of R may be a power of two apart and fall on each other in the caches. */
typedef struct sweep_tile {
    const s24i_sweep_block *block;
    int64_t row, column;
    int32_t rows, cols;
    float r[TILE][TILE_LD];
} sweep_tile;

/* D of the tile's rows for a slab of lanes, and while the weights of a group are tried, the losses
 * of these. Work on it goes in strips of a few registers; what one strip waits for is covered by
 * the next one's work. */
typedef struct sweep_slab {
    int64_t lane;
    int32_t registers;
    float d[TILE][SLAB];
} sweep_slab;

/* Some registers of a slab. */
typedef struct sweep_strip {
    int64_t lane; /* of the block */
    float *d;     /* [TILE][SLAB], of the slab */
} sweep_strip;

static void fill_tile(sweep_tile *tile, int64_t row, int32_t rows, int64_t column, int32_t cols)
{
    tile->row = row;
    tile->rows = rows;
    tile->column = column;
    tile->cols = cols;
    for (int32_t j = 0; j < rows; ++j) {
        const float *r = tile->block->r + (row + j) * tile->block->ldr + column;
        int32_t diagonal = row == column ? j : 0;
        memset(tile->r[j], 0, (size_t)diagonal * sizeof *r);
        memcpy(tile->r[j] + diagonal, r + diagonal, (size_t)(cols - diagonal) * sizeof *r);
        memset(tile->r[j] + cols, 0, PANEL * sizeof *r);
    }
}

/* The sums of a panel of columns, or as many of them as there are. */
typedef struct panel_sums {
    float a[PANEL][STRIP];
} panel_sums;

/*
 * A sum a_k takes its terms in ascending j, whatever happens to the other k meanwhile. So nothing
 * is pushed on to later columns: a panel of columns, from `first` on and before `end`, pulls what
 * rows [from, to) of the tile leave to it, its sums in registers, as in a matrix product.
 */
INLINE void pull(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t from,
                 int32_t to, int32_t first, int32_t end, float *out, int64_t ldo)
{
    int64_t lanes = tile->block->lanes;
    const float *a = tile->block->a + (tile->column + first) * lanes + strip->lane;
    lane_values sum[PANEL][WIDE];
    UNROLL
    for (int k = 0; k < PANEL; ++k) {
        UNROLL
        for (int l = 0; l < wide; ++l)
            sum[k][l] = first + k < end ? lanes_load(a + k * lanes + l * LANES) : lanes_zero();
    }
    for (int32_t j = from; j < to; ++j) {
        const float *r = tile->r[j] + first;
        lane_values d[WIDE];
        UNROLL
        for (int l = 0; l < wide; ++l)
            d[l] = lanes_load(strip->d + j * SLAB + l * LANES);
        UNROLL
        for (int k = 0; k < PANEL; ++k) {
            lane_values factor = lanes_all(r[k]);
            UNROLL
            for (int l = 0; l < wide; ++l)
                sum[k][l] = lanes_fma(d[l], factor, sum[k][l]);
        }
    }
    UNROLL
    for (int k = 0; k < PANEL; ++k) {
        UNROLL
        for (int l = 0; l < wide; ++l)
            if (first + k < end)
                lanes_store(out + k * ldo + l * LANES, sum[k][l]);
    }
}

/* Functions of their own: among other code the compiler does not find registers for all the
 * sums. */
#define PULL_FUNCTION(name, wide)                                                                \
    static __attribute__((noinline)) void name(const sweep_tile *tile, const sweep_strip *strip, \
                                               int32_t from, int32_t to, int32_t first,          \
                                               int32_t end, float *out, int64_t ldo)             \
    {                                                                                            \
        pull(tile, strip, wide, from, to, first, end, out, ldo);                                 \
    }
PULL_FUNCTION(pull_wide, WIDE)
PULL_FUNCTION(pull_two, 2)
PULL_FUNCTION(pull_one, 1)

INLINE void pull_panel(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t from,
                       int32_t to, int32_t first, int32_t end, float *out, int64_t ldo)
{
    if (wide == WIDE)
        pull_wide(tile, strip, from, to, first, end, out, ldo);
    else if (wide == 2)
        pull_two(tile, strip, from, to, first, end, out, ldo);
    else
        pull_one(tile, strip, from, to, first, end, out, ldo);
}

/* Rows [0, to), from memory to memory. */
INLINE void pull_to_a(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t to,
                      int32_t first, int32_t end)
{
    const s24i_sweep_block *block = tile->block;
    float *a = block->a + (tile->column + first) * block->lanes + strip->lane;
    pull_panel(tile, strip, wide, 0, to, first, end, a, block->lanes);
}

INLINE void load_sums(lane_values sum[PANEL][WIDE], int wide, const panel_sums *sums)
{
    UNROLL
    for (int k = 0; k < PANEL; ++k) {
        UNROLL
        for (int l = 0; l < wide; ++l)
            sum[k][l] = lanes_load(sums->a[k] + l * LANES);
    }
}

/* ---- the columns of one panel, in order ---- */

/* Which 2 of the 4 columns to keep in one register of lanes, by the scores that they have if none
 * of them is dropped. */
INLINE void choose_24(const sweep_tile *tile, int32_t first, int64_t at,
                      lane_values sum[PANEL][WIDE], int l, lane_mask kept[PANEL][WIDE])
{
    const float *inv_diag = tile->block->inv_diag + tile->column + first;
    lane_values b[4];
    lane_keys key[4];
    lane_mask chosen[4];
    UNROLL
    for (int t = 0; t < 4; ++t)
        b[t] = sum[t][l];
    UNROLL
    for (int t = 0; t < 4; ++t) {
        const float *r = tile->r[first + t] + first;
        lane_values w = lanes_load(tile->block->w + at + t * tile->block->lanes + l * LANES);
        lane_values c = lanes_fma(b[t], lanes_all(inv_diag[t]), w);
        lane_values e = lanes_sub(w, c);
        key[t] = lanes_key(lanes_mul(c, lanes_all(r[t])));
        UNROLL
        for (int k = t + 1; k < 4; ++k)
            b[k] = lanes_fma(e, lanes_all(r[k]), b[k]);
    }
    keys_keep_24(key, chosen);
    UNROLL
    for (int t = 0; t < 4; ++t)
        kept[t][l] = chosen[t];
}

/* The keys of the columns of one group, and room to sort them. */
typedef struct group_keys {
    lane_keys key[S24I_MAX_GROUP][WIDE], sorted[S24I_MAX_GROUP];
} group_keys;

typedef enum panel_work {
    TRY,       /* keys of the scores, nothing dropped */
    GIVEN,     /* D under the mask that there is */
    CHOOSE_24, /* D under a 2:4 mask that is made first */
    GRID = 4,  /* on top of the last two: what is kept goes on the grid */
} panel_work;

INLINE lane_values on_grid(const s24i_sweep_block *block, int64_t at, lane_values c)
{
    lane_values zero = lanes_load(block->zero + at);
    lane_values code =
        lanes_nearest(lanes_fma(c, lanes_load(block->inverse + at), zero), lanes_all(block->top));
    lanes_store_bytes(block->codes + at, code);
    lane_values step = lanes_load(block->step + at);
    return lanes_choose(keys_greater(lanes_key(step), keys_zero()),
                        lanes_mul(step, lanes_sub(code, zero)), c);
}

/* Columns from `first` on and before `end`, when rows [from, first) and themselves are all that is
 * still to be pulled. `group` is for TRY, whose group begins at `from`. */
INLINE void finish_panel(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t from,
                         int32_t first, int32_t end, panel_work work, group_keys *group)
{
    const s24i_sweep_block *block = tile->block;
    int64_t at = (tile->column + first) * block->lanes + strip->lane;
    panel_sums sums;
    lane_values sum[PANEL][WIDE];
    lane_mask kept[PANEL][WIDE];
    pull_panel(tile, strip, wide, from, first, first, end, sums.a[0], STRIP);
    load_sums(sum, wide, &sums);
    UNROLL
    for (int l = 0; l < wide; ++l)
        if ((work & ~GRID) == CHOOSE_24)
            choose_24(tile, first, at, sum, l, kept);
    UNROLL
    for (int t = 0; t < PANEL; ++t, at += block->lanes) {
        if (first + t == end)
            break;
        const float *r = tile->r[first + t] + first;
        UNROLL
        for (int l = 0; l < wide; ++l) {
            int64_t here = at + l * LANES;
            lane_values inv_diag = lanes_all(block->inv_diag[tile->column + first + t]);
            lane_values w = lanes_load(block->w + here), c = lanes_fma(sum[t][l], inv_diag, w);
            lane_values d = lanes_sub(w, work & GRID ? on_grid(block, here, c) : c);
            if (work == TRY) {
                group->key[first - from + t][l] = lanes_key(lanes_mul(c, lanes_all(r[t])));
            } else {
                if ((work & ~GRID) == CHOOSE_24)
                    mask_store(block->mask + here, kept[t][l]);
                else
                    kept[t][l] = mask_load(block->mask + here);
                d = lanes_choose(kept[t][l], d, w);
                lanes_store(block->d + here, d);
            }
            lanes_store(strip->d + (first + t) * SLAB + l * LANES, d);
            UNROLL
            for (int k = t + 1; k < PANEL; ++k)
                sum[k][l] = lanes_fma(d, lanes_all(r[k]), sum[k][l]);
        }
    }
}

/* ---- the columns of one group of any n:m ---- */

/* Keep n of m: all above the n-th largest, and of those equal to it the first. */
static void choose_nm(group_keys *group, int l, int32_t n, int32_t m, uint8_t *mask, int64_t ldm)
{
    for (int32_t t = 0; t < m; ++t)
        group->sorted[t] = group->key[t][l];
    lane_keys least = keys_kth_largest(group->sorted, m, n), room = keys_all(n);
    for (int32_t t = 0; t < m; ++t)
        room = keys_count_down(room, keys_greater(group->key[t][l], least));
    for (int32_t t = 0; t < m; ++t) {
        lane_mask above = keys_greater(group->key[t][l], least);
        lane_mask equal = keys_equal(group->key[t][l], least);
        lane_mask fits = mask_and(equal, keys_greater(room, keys_zero()));
        room = keys_count_down(room, fits);
        mask_store(mask + t * ldm, mask_or(above, fits));
    }
}

INLINE void finish_group(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t from,
                         panel_work work)
{
    const s24i_sweep_block *block = tile->block;
    int64_t at = (tile->column + from) * block->lanes + strip->lane;
    int32_t to = from + block->m;
    group_keys group;
    for (int32_t first = from; first < to; first += PANEL)
        pull_to_a(tile, strip, wide, from, first, to);
    for (int32_t first = from; first < to; first += PANEL)
        finish_panel(tile, strip, wide, from, first, to, TRY, &group);
    for (int l = 0; l < wide; ++l)
        choose_nm(&group, l, block->n, block->m, block->mask + at + l * LANES, block->lanes);
    for (int32_t first = from; first < to; first += PANEL)
        finish_panel(tile, strip, wide, from, first, to, work, NULL);
}

/* ---- a tile, slab by slab, strip by strip ---- */

typedef enum tile_work {
    OFF_DIAGONAL,
    MASK_GIVEN, /* on the diagonal, as the next two */
    MASK_24,
    MASK_NM,
    ON_GRID = 4, /* on top of the last three */
} tile_work;

/* On the panel or group of columns at `first`. */
INLINE void work_strip(const sweep_tile *tile, const sweep_strip *strip, int wide, int32_t first,
                       tile_work work)
{
    panel_work grid = work & ON_GRID ? GRID : 0;
    int mask = work & ~ON_GRID;
    if (work == OFF_DIAGONAL)
        pull_to_a(tile, strip, wide, tile->rows, first, tile->cols);
    else if (mask == MASK_GIVEN)
        finish_panel(tile, strip, wide, 0, first, tile->cols, GIVEN | grid, NULL);
    else if (mask == MASK_24)
        finish_panel(tile, strip, wide, 0, first, tile->cols, CHOOSE_24 | grid, NULL);
    else
        finish_group(tile, strip, wide, first, GIVEN | grid);
}

/* In strips as wide as possible, but rather two of two registers than one left alone. */
INLINE void work_strips(const sweep_tile *tile, sweep_slab *slab, int32_t first, tile_work work)
{
    for (int32_t done = 0, left; (left = slab->registers - done) > 0;) {
        sweep_strip strip = {slab->lane + done * LANES, slab->d[0] + done * LANES};
        if (left >= WIDE && left != WIDE + 1) {
            work_strip(tile, &strip, WIDE, first, work);
            done += WIDE;
        } else if (left >= 2) {
            work_strip(tile, &strip, 2, first, work);
            done += 2;
        } else {
            work_strip(tile, &strip, 1, first, work);
            done += 1;
        }
    }
}

static void load_slab(const sweep_tile *tile, sweep_slab *slab)
{
    const float *d = tile->block->d + tile->row * tile->block->lanes + slab->lane;
    for (int32_t j = 0; j < tile->rows; ++j, d += tile->block->lanes)
        memcpy(slab->d[j], d, (size_t)slab->registers * LANES * sizeof *d);
}

/* `step` columns at a time. */
INLINE void work_slabs(const sweep_tile *tile, int32_t step, tile_work work)
{
    sweep_slab slab; /* d is filled by earlier columns */
    int64_t lanes = tile->block->lanes;
    for (slab.lane = 0; slab.lane < lanes; slab.lane += SLAB) {
        slab.registers = (int32_t)(lanes - slab.lane < SLAB ? lanes - slab.lane : SLAB) / LANES;
        if (work == OFF_DIAGONAL)
            load_slab(tile, &slab);
        for (int32_t first = 0; first < tile->cols; first += step)
            work_strips(tile, &slab, first, work);
    }
}

static void pull_tile(const sweep_tile *tile)
{
    work_slabs(tile, PANEL, OFF_DIAGONAL);
}

static void finish_tile_given(const sweep_tile *tile)
{
    work_slabs(tile, PANEL, MASK_GIVEN);
}

static void finish_tile_24(const sweep_tile *tile)
{
    work_slabs(tile, PANEL, MASK_24);
}

static void finish_tile_nm(const sweep_tile *tile)
{
    work_slabs(tile, tile->block->m, MASK_NM);
}

static void grid_tile_given(const sweep_tile *tile)
{
    work_slabs(tile, PANEL, MASK_GIVEN | ON_GRID);
}

static void grid_tile_24(const sweep_tile *tile)
{
    work_slabs(tile, PANEL, MASK_24 | ON_GRID);
}

static void grid_tile_nm(const sweep_tile *tile)
{
    work_slabs(tile, tile->block->m, MASK_NM | ON_GRID);
}

static void finish_tile(const sweep_tile *tile)
{
    bool grid = tile->block->step != NULL;
    if (tile->block->n == 0)
        (grid ? grid_tile_given : finish_tile_given)(tile);
    else if (tile->block->n == 2 && tile->block->m == 4)
        (grid ? grid_tile_24 : finish_tile_24)(tile);
    else
        (grid ? grid_tile_nm : finish_tile_nm)(tile);
}

static void sweep_tiles(const s24i_sweep_block *block)
{
    int32_t unit = block->n > 0 ? TILE / block->m * block->m : TILE;
    sweep_tile tile; /* r is filled tile by tile */
    tile.block = block;
    for (int64_t column = 0; column < block->cols; column += unit) {
        int32_t cols = block->cols - column < unit ? (int32_t)(block->cols - column) : unit;
        for (int64_t row = 0; row < column; row += unit) {
            fill_tile(&tile, row, unit, column, cols);
            pull_tile(&tile);
        }
        fill_tile(&tile, column, cols, column, cols);
        finish_tile(&tile);
    }
}

#endif
