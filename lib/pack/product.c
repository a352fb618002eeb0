#include "base/cpu.h"
#include "pack.h"
#include <string.h>

/* ---- Rows of activations ---- */

static char *element(const s24_mat *mat, int64_t row, int64_t col)
{
    int64_t down = mat->rows > 1 ? row * mat->row_stride : 0;
    int64_t across = mat->cols > 1 ? col * mat->col_stride : 0;

    return (char *)mat->data + (down + across) * s24i_dtype_size(mat->dtype);
}

static bool is_row_of_f32(const s24_mat *mat)
{
    return mat->dtype == S24_F32 && (mat->cols <= 1 || mat->col_stride == 1);
}

/* Row `row` as f32, copied to `to`. */
static void copy_row(const s24i_kernels *kernels, const s24_mat *x, int64_t row, float *to)
{
    const void *from = element(x, row, 0);
    bool contiguous = x->cols <= 1 || x->col_stride == 1;

    if (contiguous && x->dtype == S24_F32)
        memcpy(to, from, (size_t)x->cols * sizeof *to);
    else if (contiguous && x->dtype == S24_F16)
        kernels->f16_to_f32(from, to, x->cols);
    else if (contiguous && x->dtype == S24_BF16)
        kernels->bf16_to_f32(from, to, x->cols);
    else
        for (int64_t j = 0; j < x->cols; j++)
            to[j] = (float)s24i_load(x->dtype, element(x, row, j));
}

static void store(const s24_mat *y, int64_t row, int64_t col, float value)
{
    s24i_store(y->dtype, (double)value, element(y, row, col));
}

/* ---- Exact ---- */

typedef struct exact {
    const s24i_packing *p;
    const s24i_kernels *kernels;
    int64_t tokens, first; /* of y: where they begin */
    const float *x;        /* contiguous */
    const s24_mat *y;
} exact;

static const float *as_f32(const s24i_kernels *kernels, int32_t dtype, const void *from, float *to,
                           int64_t n)
{
    switch (dtype) {
    case S24_F32:
        return from;
    case S24_F16:
        kernels->f16_to_f32(from, to, n);
        break;
    case S24_BF16:
        kernels->bf16_to_f32(from, to, n);
        break;
    default: /* S24_I8 */
        for (int64_t i = 0; i < n; i++)
            to[i] = ((const int8_t *)from)[i];
    }
    return to;
}

static s24_status exact_row(void *arg, int64_t row, void *scratch)
{
    const exact *e = arg;
    const s24i_packing *p = e->p;
    char *dense = (char *)scratch + s24i_packing_row_scratch(p);

    p->layout->unpack_row(p, row, dense, scratch);
    const float *w = as_f32(e->kernels, p->dtype, dense, scratch, p->cols);
    for (int64_t t = 0; t < e->tokens; t++)
        store(e->y, e->first + t, row, (float)e->kernels->dot(e->x + t * p->cols, w, p->cols));
    return S24_OK;
}

static size_t exact_scratch(const s24i_packing *p)
{
    return s24i_mul(2, s24i_packing_row_scratch(p));
}

static s24_status run_exact(const s24i_product *product, const s24i_pack_tools *tools, exact *e,
                            void *room)
{
    e->p = product->p;
    e->kernels = tools->kernels;
    return s24i_visit_rows(tools->threads, product->p->rows, exact_scratch(product->p), room,
                           exact_row, e);
}

/* ---- Where scratch lies ---- */

enum { ROWS = 16, PANEL = 16, TILE_COLS = 32 };

static size_t in_lines(size_t size)
{
    return (size + S24I_ALIGN - 1) / S24I_ALIGN * S24I_ALIGN;
}

static int64_t padded_cols(const s24i_product *product)
{
    return product->lanes.tiles * TILE_COLS;
}

/* Rows of f32 as exact sums want them: all tokens, or the one that is not finite. */
static size_t plain_size(const s24i_product *product)
{
    int64_t tokens = product->fast ? 1 : product->tokens;

    return in_lines(s24i_mul(s24i_mul((size_t)tokens, (size_t)product->p->cols), sizeof(float)));
}

static size_t rows_size(const s24i_product *product)
{
    return s24i_rows_scratch(product->workers, exact_scratch(product->p));
}

/* A row of activations at work: f32, padded, and as bf16. */
static size_t row_size(const s24i_product *product)
{
    return in_lines(s24i_mul((size_t)padded_cols(product), sizeof(float) + sizeof(uint16_t)));
}

static int64_t scales_of(const s24i_product *product)
{
    int64_t group = product->lanes.x_group;

    return group ? (product->lanes.tiles + group - 1) / group : 0;
}

/* The activations of a panel in the form of the kernel, and their scales. */
static size_t form_size(const s24i_product *product)
{
    size_t values = s24i_mul((size_t)padded_cols(product), PANEL);

    return in_lines(s24i_mul(values, (size_t)s24i_dtype_size(product->lanes.activations)));
}

static size_t panel_size(const s24i_product *product)
{
    size_t scales = s24i_mul((size_t)scales_of(product) * PANEL, sizeof(float));

    return form_size(product) + in_lines(scales);
}

static int64_t panels_of(int64_t tokens)
{
    return (tokens + PANEL - 1) / PANEL;
}

typedef struct room {
    void *rows;   /* of exact sums, by worker */
    float *plain; /* a finite row or rows for them */
    char *panels, *at_work;
    uint8_t *broken; /* tokens that are not finite */
} room;

static room lay_out(const s24i_product *product, char *scratch)
{
    room r = {.rows = scratch, .plain = (float *)(scratch + rows_size(product))};

    r.panels = (char *)r.plain + plain_size(product);
    if (!product->fast)
        return r;
    r.at_work = r.panels + (size_t)panels_of(product->tokens) * panel_size(product);
    r.broken = (uint8_t *)r.at_work + (size_t)product->workers * row_size(product);
    return r;
}

static size_t all_scratch(const s24i_product *product)
{
    size_t size = rows_size(product);
    size_t panels = s24i_mul((size_t)panels_of(product->tokens), panel_size(product));
    size_t at_work = s24i_mul((size_t)product->workers, row_size(product));
    size_t more[] = {plain_size(product), panels, at_work, in_lines((size_t)product->tokens)};

    for (int i = 0; i < (product->fast ? 4 : 1); i++)
        size = size > SIZE_MAX - more[i] ? SIZE_MAX : size + more[i];
    return size;
}

/* ---- Fast ---- */

typedef void (*lanes_fn)(const s24i_lane_product *p, const void *block, float *y);

typedef struct fast {
    const s24i_product *product;
    const s24i_kernels *kernels;
    lanes_fn kernel;
    const s24_mat *x, *y;
    int64_t first, tokens; /* rows of x and y at hand */
    int64_t blocks, chunk;
    room room;
} fast;

/* How many tokens the kernel does at a time, of so many that are left. */
static int32_t batch_of(int64_t left)
{
    int32_t batch = 1;

    while (batch < PANEL && batch < left)
        batch *= 2;
    return batch;
}

/* The row in f32 with zeros behind it; a row that is not finite as zeros, and noted. */
static const float *finite_row(const fast *f, int64_t token, float *work)
{
    int64_t cols = f->product->p->cols, padded = padded_cols(f->product);
    bool in_place = token < f->tokens && cols == padded && is_row_of_f32(f->x);
    const float *row = work;

    memset(work + cols, 0, (size_t)(padded - cols) * sizeof *work);
    if (in_place)
        row = (const float *)element(f->x, f->first + token, 0);
    else if (token < f->tokens)
        copy_row(f->kernels, f->x, f->first + token, work);
    bool broken = token < f->tokens && f->kernels->first_nonfinite(row, cols) >= 0;
    if (token < f->tokens)
        f->room.broken[token] = broken;
    if (!broken && token < f->tokens)
        return row;
    memset(work, 0, (size_t)cols * sizeof *work);
    return work;
}

/* Pieces of `size` bytes, `apart` from one to the next. */
static void spread(char *to, const void *from, int64_t pieces, size_t size, size_t apart)
{
    const char *piece = from;

    for (int64_t i = 0; i < pieces; i++, to += apart, piece += size)
        memcpy(to, piece, size);
}

/* Token b of a panel in the form that the kernel reads. */
static void form_token(const fast *f, char *panel, const float *row, float *work, int32_t batch,
                       int32_t b)
{
    const s24i_lanes *lanes = &f->product->lanes;
    int64_t cols = padded_cols(f->product);
    float *scales = (float *)(panel + form_size(f->product)) + b;
    uint16_t *bf16 = (uint16_t *)(work + cols);

    if (lanes->activations == S24_F32)
        spread(panel + b * 64, row, cols / 16, 64, (size_t)batch * 64);
    else if (lanes->activations == S24_I8)
        f->kernels->quantise_token(row, cols, lanes->x_group * TILE_COLS, batch,
                                   (uint8_t *)panel + b * 8, scales);
    else {
        f->kernels->f32_to_bf16(row, bf16, cols);
        spread(panel + b * 8, bf16, cols / 4, 8, (size_t)batch * 8);
    }
}

static void form_panel(void *arg, int64_t index, int32_t worker)
{
    const fast *f = arg;
    char *panel = f->room.panels + (size_t)index * panel_size(f->product);
    float *work = (float *)(f->room.at_work + (size_t)worker * row_size(f->product));
    int32_t batch = batch_of(f->tokens - index * PANEL);

    for (int32_t b = 0; b < batch; b++) {
        const float *row = finite_row(f, index * PANEL + b, work);
        form_token(f, panel, row, work, batch, b);
    }
}

static void store_block(const fast *f, int64_t block, int64_t panel, int32_t batch, const float *y)
{
    int64_t row = block * ROWS, left = f->product->p->rows - row;
    int64_t rows = left < ROWS ? left : ROWS, token = panel * PANEL;

    for (int32_t b = 0; b < batch && token + b < f->tokens; b++)
        if (is_row_of_f32(f->y))
            memcpy(element(f->y, f->first + token + b, row), y + b * ROWS,
                   (size_t)rows * sizeof *y);
        else
            for (int64_t r = 0; r < rows; r++)
                store(f->y, f->first + token + b, row + r, y[b * ROWS + r]);
}

/* A run of blocks, which stays in the second cache, with one panel after the other. */
static void multiply_chunk(void *arg, int64_t index, int32_t worker)
{
    const fast *f = arg;
    const s24i_lanes *lanes = &f->product->lanes;
    s24i_lane_product p = {.tiles = lanes->tiles,
                           .prefetch = f->product->prefetch,
                           .group = lanes->group,
                           .x_group = lanes->x_group};
    int64_t first = index * f->chunk, end = first + f->chunk;
    float y[PANEL * ROWS];

    (void)worker;
    for (int64_t panel = 0; panel < panels_of(f->tokens); panel++) {
        const char *form = f->room.panels + (size_t)panel * panel_size(f->product);
        p.x = form;
        p.x_scale = (const float *)(form + form_size(f->product));
        p.batch = batch_of(f->tokens - panel * PANEL);
        for (int64_t block = first; block < end && block < f->blocks; block++) {
            const char *at = f->product->p->part[0].data;
            f->kernel(&p, at + block * lanes->block, y);
            store_block(f, block, panel, p.batch, y);
        }
    }
}

/* As the dense product has it: zeros times infinity too. */
static s24_status multiply_broken(const fast *f, const s24i_pack_tools *tools)
{
    s24_status status = S24_OK;

    for (int64_t t = 0; !status && t < f->tokens; t++) {
        exact e = {.tokens = 1, .first = f->first + t, .x = f->room.plain, .y = f->y};
        if (!f->room.broken[t])
            continue;
        copy_row(f->kernels, f->x, f->first + t, f->room.plain);
        status = run_exact(f->product, tools, &e, f->room.rows);
    }
    return status;
}

/* docs/products.md: what was measured. */
enum { CHUNK = 256 << 10, CHUNKS_A_WORKER = 4, AHEAD_INTEL = 2048, AHEAD_AMD = 6144 };

static int64_t chunk_of(const s24i_product *product, int64_t blocks, int32_t workers)
{
    int64_t in_cache = (CHUNK + product->lanes.block - 1) / product->lanes.block;
    int64_t shared = blocks / ((int64_t)workers * CHUNKS_A_WORKER);

    if (shared < 1 || workers == 1)
        shared = workers == 1 ? blocks : 1;
    return in_cache < shared ? in_cache : shared;
}

static s24_status run_fast(fast *f, const s24i_pack_tools *tools)
{
    s24_status status = s24i_parallel(tools->threads, form_panel, f, panels_of(f->tokens));

    if (!status)
        status =
            s24i_parallel(tools->threads, multiply_chunk, f, (f->blocks + f->chunk - 1) / f->chunk);
    return status ? status : multiply_broken(f, tools);
}

/* ---- Both ---- */

s24_status s24i_lanes_check(const s24i_packing *p, int32_t activations, int32_t one, int32_t other)
{
    const s24i_element *a = s24i_element_by_dtype(one), *b = s24i_element_by_dtype(other);

    if (activations == one || activations == other)
        return S24_OK;
    return s24i_fail(S24_E_DTYPE,
                     "the fast product with layout %s takes activations as %s%s%s, not as 0x%04x",
                     p->layout->name, a->name, one == other ? "" : " or ",
                     one == other ? "" : b->name, (unsigned)activations);
}

s24_status s24i_product_plan(const s24i_packing *p, bool quick, int32_t activations, int64_t tokens,
                             int32_t workers, s24i_product *out)
{
    s24_status status = S24_OK;

    *out = (s24i_product){.p = p, .fast = quick, .tokens = tokens, .workers = workers};
    out->lanes = (s24i_lanes){S24I_LANES_KERNEL(dot), .activations = S24_F32};
    if (quick && !p->layout->lanes)
        status = s24i_fail(S24_E_UNSUPPORTED,
                           "layout %s has no fast product: use one whose row is the vector lane "
                           "(ri16...)",
                           p->layout->name);
    else if (quick)
        status = p->layout->lanes(p, activations, &out->lanes);
    else if (activations && activations != S24_F32)
        status = s24i_fail(S24_E_DTYPE, "the exact product takes activations as F32, not as 0x%04x",
                           (unsigned)activations);
    out->prefetch = s24i_cpu_flags() & S24I_CPU_AMD ? AHEAD_AMD : AHEAD_INTEL;
    out->scratch = status ? 0 : all_scratch(out);
    return status;
}

const char *s24i_product_set(const s24i_product *product, const s24i_kernels *kernels)
{
    return s24i_kernels_set_of(kernels, product->lanes.kernel);
}

static s24_status run_slice(const s24i_product *product, const s24i_pack_tools *tools,
                            const s24_mat *x, const s24_mat *y, int64_t first, int64_t count,
                            const room *r)
{
    exact e = {.tokens = count, .first = first, .x = r->plain, .y = y};
    fast f = {.product = product,
              .kernels = tools->kernels,
              .x = x,
              .y = y,
              .first = first,
              .tokens = count,
              .room = *r};

    if (!product->fast) {
        bool in_place = is_row_of_f32(x) && (x->rows <= 1 || x->row_stride == x->cols);
        for (int64_t t = 0; !in_place && t < count; t++)
            copy_row(tools->kernels, x, first + t, r->plain + t * x->cols);
        if (in_place)
            e.x = (const float *)element(x, first, 0);
        return run_exact(product, tools, &e, r->rows);
    }
    memcpy(&f.kernel, (const char *)tools->kernels + product->lanes.kernel, sizeof f.kernel);
    f.blocks = (product->p->rows + ROWS - 1) / ROWS;
    f.chunk = chunk_of(product, f.blocks, s24i_workers(tools->threads));
    return run_fast(&f, tools);
}

s24_status s24i_product_run(const s24i_product *product, const s24i_pack_tools *tools,
                            const s24_mat *x, const s24_mat *y, void *scratch)
{
    room r = lay_out(product, scratch);
    s24_status status = S24_OK;

    for (int64_t first = 0; !status && first < x->rows; first += product->tokens) {
        int64_t left = x->rows - first;
        status = run_slice(product, tools, x, y, first,
                           left < product->tokens ? left : product->tokens, &r);
    }
    return status;
}
