/*
 * Compressed layouts: where the kept weights of a matrix and the places they came from lie in bytes
 * that an engine stores or uploads. Knows element bytes, masks and layouts; not handles, files or
 * solvers.
 *
 * A layout is one file that defines `const s24i_layout s24i_layout_<name>`, and one word in
 * meson.build. Rows are cut into tiles of S24I_PACK_ROWS by shape alone; no two tiles touch the
 * same word.
 */
#ifndef S24I_PACK_H
#define S24I_PACK_H
#include "base/element.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

#define S24I_MAX_PARTS 8
#define S24I_MAX_LAYOUTS 64
#define S24I_PACK_ROWS 64

typedef struct s24i_layout s24i_layout;

/* One byte array: a contiguous matrix of `dtype`, or a vector, which is one row. */
typedef struct s24i_packed_part {
    const char *name;    /* static storage */
    int32_t dtype, rank; /* 2 or 1, as loaders of the layout have it */
    int64_t rows, cols;
    size_t size; /* bytes */
    void *data;
} s24i_packed_part;

typedef struct s24i_packing {
    const s24i_layout *layout;
    int64_t rows, cols; /* of the dense matrix */
    int32_t dtype;      /* of its elements, as unpack_row() writes them */
    int64_t number;     /* behind the name of a numbered layout; 0: none */
    int32_t count;
    s24i_packed_part part[S24I_MAX_PARTS];
    int32_t width;                    /* of a group of a layout that keeps half: 4 or 2 */
    int64_t padded_rows, padded_cols; /* of such a layout */
    int64_t own[4];                   /* numbers of any other layout, from plan() */
} s24i_packing;

typedef struct s24i_pack_tools {
    s24i_memory *memory;
    s24i_threads *threads;
    const s24i_kernels *kernels;
} s24i_pack_tools;

/* What a layout is made from, under the names of a result: "weights" (of the packing's dtype) and
 * "mask" (one byte each; data NULL when there is none), and from a result also what else it holds
 * ("codes", "scales", "zeros"). S24_E_UNSUPPORTED: nothing of that name. */
typedef struct s24i_pack_source s24i_pack_source;
struct s24i_pack_source {
    s24_status (*matrix)(const s24i_pack_source *source, const char *name, s24_mat *view);
    /* How to read the codes; group 0: whole rows. S24_E_UNSUPPORTED: there are none. */
    s24_status (*grid)(const s24i_pack_source *source, int32_t *bits, bool *real, int64_t *group);
};

/*
 * One row of a layout that keeps half, padded: a nibble a group, index of the first kept weight in
 * bits 0-1 and of the second in bits 2-3, ascending; then the kept weights in order of position.
 * Groups are 4 wide and keep 2; in the 1:2 form 2 wide and keep 1, with nibble 0x4 for the first
 * and 0xE for the second. A group that keeps fewer is filled up with zeros.
 */
typedef struct s24i_half_row {
    uint8_t *nibbles;
    void *values;
} s24i_half_row;

/* How the fast product with a layout goes: docs/products.md. */
typedef struct s24i_lanes {
    size_t kernel;                 /* its offset in s24i_kernels */
    const char *name;              /* its row of kernels.def */
    int32_t activations;           /* S24_F32, S24_BF16 or S24_I8 */
    int64_t block;                 /* bytes of 16 rows: part 0 is nothing but these */
    int64_t tiles, group, x_group; /* as in s24i_lane_product */
} s24i_lanes;
#define S24I_LANES_KERNEL(row) .kernel = offsetof(s24i_kernels, row), .name = #row

struct s24i_layout {
    const char *name, *help;
    int32_t dtypes[6]; /* element types that it holds, 0 at the end */
    bool numbered;     /* a number may follow its name: "window24:4" */
    /* Name the parts with type and shape, from rows, cols and dtype; S24_E_SHAPE when they do not
     * fit. `source` is NULL for parts made elsewhere, whose sizes are then in the parts, 0 past the
     * last. */
    s24_status (*plan)(s24i_packing *p, const s24i_pack_source *source);
    /* Fill the parts, which are zero. S24_E_STATE names the first row and group that do not fit. */
    s24_status (*pack)(const s24i_packing *p, const s24i_pack_source *source,
                       const s24i_pack_tools *tools);
    /* Everything that can be wrong in parts of the right sizes: S24_E_FORMAT. */
    s24_status (*check)(const s24i_packing *p, const s24i_pack_tools *tools);
    /* One dense row. `scratch` holds 8 bytes for each of cols + 64 columns. */
    void (*unpack_row)(const s24i_packing *p, int64_t row, void *out, void *scratch);
    /* Layouts that keep half: one padded row to and from the parts. Other layouts: NULL. get()
     * gives a nibble that is none of the six where the bytes do not name two places. */
    void (*put)(const s24i_packing *p, int64_t row, const s24i_half_row *from);
    void (*get)(const s24i_packing *p, int64_t row, const s24i_half_row *to);
    /* Layouts with the row as lane: the fast product with activations of a type, 0 for the one that
     * suits the layout. S24_E_DTYPE: not with this type; S24_E_UNSUPPORTED: not of this element
     * type. Other layouts: NULL. */
    s24_status (*lanes)(const s24i_packing *p, int32_t activations, s24i_lanes *out);
    /* Layouts of codes that others can be made from: how to read them, and one row of codes, and a
     * scale (f16) and a zero for each group. Other layouts: NULL. */
    void (*grid)(const s24i_packing *p, int32_t *bits, int64_t *group);
    void (*codes)(const s24i_packing *p, int64_t row, uint8_t *codes, uint16_t *scales,
                  uint8_t *zeros);
};

/* Ended by NULL; made from the list in meson.build. */
extern const s24i_layout *const s24i_layouts[];

/* ---- Any layout (packing.c) ---- */

/* S24_E_UNSUPPORTED and the nearest known name if there is none. */
s24_status s24i_layout_find(const char *name, const s24i_layout **out);
s24_status s24i_layout_check_dtype(const s24i_layout *layout, int32_t dtype);
/* Add a part; its size follows. */
void s24i_packing_part(s24i_packing *p, const char *name, int32_t dtype, int64_t rows,
                       int64_t cols);
void s24i_packing_vector(s24i_packing *p, const char *name, int32_t dtype, int64_t count);
/* Plan and fill. On success the parts' data belong to the caller: s24i_packing_free(). */
s24_status s24i_packing_make(const s24i_pack_tools *tools, s24i_packing *p,
                             const s24i_pack_source *source);
void s24i_packing_free(s24i_memory *memory, s24i_packing *p);
/* Plan and check parts made elsewhere, which stay the caller's. */
s24_status s24i_packing_wrap(const s24i_pack_tools *tools, s24i_packing *p, int32_t count,
                             const void *const *parts, const size_t *sizes);
/* All rows into a view of p's dtype and shape. */
s24_status s24i_packing_unpack(const s24i_pack_tools *tools, const s24i_packing *p,
                               const s24_mat *w);
/* Bytes of scratch of unpack_row(). */
size_t s24i_packing_row_scratch(const s24i_packing *p);
/* visit(arg, row, scratch) for every row below `rows`, in tiles, with `scratch` bytes a worker. The
 * error of the lowest row wins. */
typedef s24_status (*s24i_row_fn)(void *arg, int64_t row, void *scratch);
s24_status s24i_pack_rows(const s24i_pack_tools *tools, int64_t rows, size_t scratch,
                          s24i_row_fn visit, void *arg);
/* The same with scratch that is there: s24i_rows_scratch() bytes for so many workers. */
size_t s24i_rows_scratch(int32_t workers, size_t scratch);
s24_status s24i_visit_rows(s24i_threads *threads, int64_t rows, size_t scratch, void *room,
                           s24i_row_fn visit, void *arg);

/* ---- Products (product.c) ---- */

/* S24_E_DTYPE unless the activations asked for are one of two types. */
s24_status s24i_lanes_check(const s24i_packing *p, int32_t activations, int32_t one, int32_t other);

/* y = x W^T with all that does not change from call to call. */
typedef struct s24i_product {
    const s24i_packing *p;
    bool fast;
    s24i_lanes lanes; /* of an exact one: kernel and activations */
    int64_t tokens;   /* at a time, at most */
    int32_t workers;  /* at most */
    int64_t prefetch; /* bytes ahead */
    size_t scratch;   /* bytes that a run needs */
} s24i_product;

/* Exact: every output is one sum in double, in the order of the kernel `dot`. Fast: see
 * docs/products.md. */
s24_status s24i_product_plan(const s24i_packing *p, bool fast, int32_t activations, int64_t tokens,
                             int32_t workers, s24i_product *out);
/* The instruction set whose function runs. */
const char *s24i_product_set(const s24i_product *product, const s24i_kernels *kernels);
/* x is (tokens, cols), y is (tokens, rows), of any float type; `scratch` is aligned to
 * S24I_ALIGN. */
s24_status s24i_product_run(const s24i_product *product, const s24i_pack_tools *tools,
                            const s24_mat *x, const s24_mat *y, void *scratch);

/* ---- Layouts that keep half (pattern.c) ---- */

/* What such a layout's row in the table points to; its plan() ends with s24i_half_plan(). */
s24_status s24i_half_pack(const s24i_packing *p, const s24i_pack_source *source,
                          const s24i_pack_tools *tools);
s24_status s24i_half_check(const s24i_packing *p, const s24i_pack_tools *tools);
void s24i_half_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch);
/* Groups of `width`; rows and columns are padded to multiples, by nibble 0x4 and zeros. */
s24_status s24i_half_plan(s24i_packing *p, int32_t width, int64_t row_multiple,
                          int64_t col_multiple);
/* S24_E_SHAPE unless rows and cols are multiples. */
s24_status s24i_half_check_shape(const s24i_packing *p, int64_t rows, int64_t cols);
/* The nibble of a group that keeps the places in `flags` (bit i: place i), filled up where they are
 * fewer than half; 0: they are more. */
uint8_t s24i_half_nibble(uint32_t flags, int32_t width);
/* Places that a nibble keeps, as flags; 0 for a nibble that is none of ours. */
uint32_t s24i_half_places(uint8_t nibble, int32_t width);
/* put() and get() of the kept weights for layouts whose first part is their row-major matrix. */
void s24i_half_put_values(const s24i_packing *p, int64_t row, const s24i_half_row *from);
void s24i_half_get_values(const s24i_packing *p, int64_t row, const s24i_half_row *to);

#endif
