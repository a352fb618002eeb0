#include "linear.h"
#include "kernels/flush.h"
#include <string.h>

/*
 * C = alpha A B with B packed once and read many times. A sum has one order whatever the processor:
 * its terms in blocks of BLOCK, each from zero, joined to C one after the other. A chunk of A's
 * rows is packed beside them, a block at a time, on the stack.
 */
enum { BLOCK = 256, WIDTH = S24I_PANEL_COLS, HEIGHT = S24I_PANEL_ROWS, CHUNK = 6 * HEIGHT };

size_t s24i_panels_size(int64_t k, int64_t n)
{
    return s24i_mul((size_t)k, (size_t)((n + WIDTH - 1) / WIDTH * WIDTH));
}

/* ---- B ---- */

typedef struct {
    const s24i_kernels *kernels;
    s24i_f32s b;
    int64_t k, n;
    float *out;
} packing;

static void pack_panel(void *arg, int64_t panel, int32_t worker)
{
    (void)worker;
    const packing *p = arg;
    int64_t first = panel * WIDTH, cols = p->n - first < WIDTH ? p->n - first : WIDTH;
    float *out = p->out + first * p->k;
    if (cols < WIDTH)
        memset(out, 0, (size_t)(p->k * WIDTH) * sizeof(float));
    if (p->b.turned)
        p->kernels->transpose(p->b.data + first * p->b.stride, p->b.stride, out, WIDTH, cols, p->k);
    for (int64_t k = 0; !p->b.turned && k < p->k; k++)
        memcpy(out + k * WIDTH, p->b.data + k * p->b.stride + first, (size_t)cols * sizeof(float));
}

s24_status s24i_pack_panels(const s24i_device *device, s24i_f32s b, int64_t k, int64_t n,
                            float *out, s24i_panels *panels)
{
    packing p = {device->kernels, b, k, n, out};
    *panels = (s24i_panels){k, n, out};
    return s24i_parallel(device->threads, pack_panel, &p, (n + WIDTH - 1) / WIDTH);
}

s24_status s24i_take_panels(const s24i_run *run, int64_t n, const float *s, s24i_panels *panels)
{
    float *data = s24i_arena_take(run->arena, s24i_panels_size(n, n), sizeof(float));
    return s24i_counting(run) ? S24_OK
                              : s24i_pack_panels(run->device, s24i_f32(s, n), n, n, data, panels);
}

/* ---- C ---- */

/* Rows [first, first + rows) of A, terms [k, k + terms): [terms][rows]. */
static void pack_rows(const s24i_kernels *kernels, s24i_f32s a, int64_t first, int64_t rows,
                      int64_t k, int64_t terms, float *out)
{
    if (!a.turned)
        kernels->transpose(a.data + first * a.stride + k, a.stride, out, rows, rows, terms);
    for (int64_t i = 0; a.turned && i < terms; i++)
        memcpy(out + i * rows, a.data + (k + i) * a.stride + first, (size_t)rows * sizeof(float));
}

/* A chunk of rows in panels of nearly the same height. */
typedef struct {
    int64_t first, rows, panels;
} chunk;

static int64_t start_of(const chunk *c, int64_t panel)
{
    return c->rows * panel / c->panels;
}

static void multiply_block(const s24i_kernels *kernels, const s24i_slice *b, const chunk *c,
                           int64_t k, s24i_panel_product *tile, const float *packed, float *out)
{
    for (int64_t column = 0; column < b->panels->n; column += WIDTH) {
        tile->b = b->panels->data + column * b->panels->k + (b->first + k) * WIDTH;
        tile->cols = b->panels->n - column < WIDTH ? b->panels->n - column : WIDTH;
        for (int64_t i = 0; i < c->panels; i++) {
            int64_t row = start_of(c, i);
            tile->rows = start_of(c, i + 1) - row;
            tile->a = packed + row * tile->k;
            tile->c = out + row * tile->ldc + column;
            kernels->multiply_panel(tile);
        }
    }
}

static void multiply_chunk(const s24i_kernels *kernels, const chunk *c, float alpha, s24i_f32s a,
                           const s24i_slice *b, bool add, s24i_f32s_out out)
{
    float packed[CHUNK * BLOCK];
    s24i_panel_product tile = {.alpha = alpha, .add = add, .ldc = out.stride};
    for (int64_t k = 0; k < b->terms; k += BLOCK, tile.add = true) {
        tile.k = b->terms - k < BLOCK ? b->terms - k : BLOCK;
        for (int64_t i = 0; i < c->panels; i++) {
            int64_t row = start_of(c, i);
            pack_rows(kernels, a, c->first + row, start_of(c, i + 1) - row, k, tile.k,
                      packed + row * tile.k);
        }
        multiply_block(kernels, b, c, k, &tile, packed, out.data + c->first * out.stride);
    }
}

void s24i_times_panels_exact(const s24i_kernels *kernels, int64_t rows, float alpha, s24i_f32s a,
                             s24i_slice b, bool add, s24i_f32s_out c)
{
    for (int64_t first = 0; first < rows; first += CHUNK) {
        chunk part = {.first = first, .rows = rows - first < CHUNK ? rows - first : CHUNK};
        part.panels = (part.rows + HEIGHT - 1) / HEIGHT;
        multiply_chunk(kernels, &part, alpha, a, &b, add, c);
    }
}

void s24i_times_panels(const s24i_kernels *kernels, int64_t rows, float alpha, s24i_f32s a,
                       s24i_slice b, bool add, s24i_f32s_out c)
{
    uint64_t before = s24i_flush_begin();
    s24i_times_panels_exact(kernels, rows, alpha, a, b, add, c);
    s24i_flush_end(before);
}
