#include "linear.h"
#include <string.h>

/* y = x w^T in tiles of rows of x and of w. Operands that are f32 with contiguous rows are
 * multiplied where they lie; the rest is converted tile by tile. */
enum { ROWS = 128, OUTPUTS = 256 };

typedef struct {
    const s24i_device *device;
    const s24_mat *x, *w, *y;
    int64_t out_tiles;
    float *scratch;
    int64_t per_worker;
} product;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool plain(const s24_mat *mat)
{
    return mat->dtype == S24_F32 && (mat->cols <= 1 || mat->col_stride == 1) &&
           (mat->rows <= 1 || mat->row_stride >= mat->cols);
}

static const float *operand(const s24i_device *device, const s24_mat *mat, int64_t row,
                            int64_t count, float *scratch, int64_t *stride)
{
    if (plain(mat)) {
        *stride = mat->rows > 1 ? mat->row_stride : mat->cols;
        return (const float *)mat->data + row * (mat->rows > 1 ? mat->row_stride : 0);
    }
    *stride = mat->cols;
    s24i_mat_load(device->kernels, mat, row, count, scratch);
    return scratch;
}

static void multiply_tile(void *arg, int64_t tile, int32_t worker)
{
    product *p = arg;
    int64_t r0 = tile / p->out_tiles * ROWS, o0 = tile % p->out_tiles * OUTPUTS;
    int64_t rows = least(ROWS, p->x->rows - r0), outs = least(OUTPUTS, p->w->rows - o0);
    int64_t k = p->x->cols, ldx, ldw;
    float *y = p->scratch + worker * p->per_worker, *xs = y + ROWS * OUTPUTS;
    float *ws = plain(p->x) ? xs : xs + ROWS * k;
    const float *x = operand(p->device, p->x, r0, rows, xs, &ldx);
    const float *w = operand(p->device, p->w, o0, outs, ws, &ldw);
    if (k > 0)
        s24i_sgemm_exact(rows, outs, k, 1, s24i_f32(x, ldx), s24i_f32_turned(w, ldw), 0,
                         s24i_f32_out(y, outs));
    else
        memset(y, 0, (size_t)(rows * outs) * sizeof(float));
    s24_mat part = *p->y;
    part.cols = outs;
    part.data = (char *)part.data + o0 * (part.cols > 0 && p->y->cols > 1 ? part.col_stride : 0) *
                                        s24i_dtype_size(part.dtype);
    s24i_mat_store(p->device->kernels, y, &part, r0, rows);
}

s24_status s24i_mat_multiply(const s24i_device *device, const s24_mat *x, const s24_mat *w,
                             const s24_mat *y)
{
    product p = {.device = device, .x = x, .w = w, .y = y};
    int64_t row_tiles = (x->rows + ROWS - 1) / ROWS;
    p.out_tiles = (w->rows + OUTPUTS - 1) / OUTPUTS;
    p.per_worker = ROWS * OUTPUTS + ((plain(x) ? 0 : ROWS) + (plain(w) ? 0 : OUTPUTS)) * x->cols;
    int32_t workers =
        s24i_inside_task() ? 1 : s24i_workers(device->threads); /* loops there are serial */
    size_t size = s24i_mul((size_t)p.per_worker, sizeof(float) * (size_t)workers);
    p.scratch = s24i_alloc(device->memory, size);
    if (!p.scratch)
        return S24_E_MEMORY;
    s24_status status = s24i_parallel(device->threads, multiply_tile, &p, row_tiles * p.out_tiles);
    s24i_free(device->memory, p.scratch, size);
    return status;
}
