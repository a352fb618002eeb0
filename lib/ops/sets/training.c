#include "training.h"
#include <math.h>
#include <string.h>

/* Masks while a network is trained: elementwise on rows of any layout, or on tiles of m x m. */

enum { PIECE = 8192 }; /* elements of some tiles of a strip, on the stack */

/* ---- n:m along both sides ---- */

typedef struct {
    const s24i_device *device;
    s24i_constraints constraints;
    const s24_mat *w, *mask;
    double *scratch; /* a worker's tile */
} tiles;

static void store_bytes(const uint8_t *from, int64_t cols, const s24_mat *mask, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        if (mask->col_stride == 1)
            memcpy(s24i_address(mask, i, 0), from + i * cols, (size_t)cols);
        else
            for (int64_t j = 0; j < cols; j++)
                *(uint8_t *)s24i_address(mask, i, j) = from[i * cols + j];
}

static void select_strip(void *arg, int64_t strip, int32_t worker)
{
    const tiles *t = arg;
    int32_t m = t->constraints.m;
    int64_t step = PIECE / (m * m) * m;
    float w[PIECE];
    uint8_t mask[PIECE];
    for (int64_t col = 0; col < t->w->cols; col += step) {
        int64_t cols = t->w->cols - col < step ? t->w->cols - col : step;
        s24_mat from = *t->w, to = *t->mask;
        from.data = s24i_address(t->w, strip * m, col);
        to.data = s24i_address(t->mask, strip * m, col);
        from.rows = to.rows = m;
        from.cols = to.cols = cols;
        s24i_mat_load(t->device->kernels, &from, 0, m, w);
        s24i_select_both(t->device->kernels, &t->constraints, (s24i_strip){w, NULL, cols}, cols,
                         mask, t->scratch + (size_t)worker * s24i_both_scratch(&t->constraints));
        store_bytes(mask, cols, &to, m);
    }
}

s24_status s24i_mask_both(const s24i_device *device, s24i_nm nm, const s24_mat *w,
                          const s24_mat *mask)
{
    tiles t = {.device = device, .w = w, .mask = mask};
    t.constraints.n = nm.n;
    t.constraints.m = nm.m;
    t.constraints.both = true;
    size_t size =
        s24i_both_scratch(&t.constraints) * sizeof(double) * (size_t)s24i_workers(device->threads);
    t.scratch = s24i_alloc(device->memory, size);
    s24_status status =
        t.scratch ? s24i_parallel(device->threads, select_strip, &t, w->rows / nm.m) : S24_E_MEMORY;
    s24i_free(device->memory, t.scratch, size);
    return status;
}

/* ---- elementwise ---- */

typedef struct {
    const s24_mat *w, *mask, *out;
    double factor;
} rows;

static bool kept(const s24_mat *mask, int64_t row, int64_t col)
{
    return *(const uint8_t *)s24i_address(mask, row, col) != 0;
}

static void decay_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const rows *r = arg;
    for (int64_t j = 0; j < r->w->cols; j++) {
        const void *from = s24i_address(r->w, row, j);
        void *to = s24i_address(r->out, row, j);
        bool stays = kept(r->mask, row, j);
        if (r->w->dtype == S24_F32) {
            float w = *(const float *)from;
            *(float *)to = stays ? w : r->factor == 0 ? 0 : (float)r->factor * w;
        } else {
            double w = *(const double *)from;
            *(double *)to = stays ? w : r->factor == 0 ? 0 : r->factor * w;
        }
    }
}

s24_status s24i_mask_decay(const s24i_device *device, const s24_mat *w, const s24_mat *mask,
                           double beta, const s24_mat *out)
{
    rows r = {w, mask, out, beta};
    return s24i_parallel(device->threads, decay_row, &r, w->rows);
}

static void add_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const rows *r = arg;
    for (int64_t j = 0; j < r->w->cols; j++) {
        const void *from = s24i_address(r->w, row, j);
        void *to = s24i_address(r->out, row, j);
        if (kept(r->mask, row, j))
            continue;
        if (r->w->dtype == S24_F32)
            *(float *)to += (float)r->factor * *(const float *)from;
        else
            *(double *)to += r->factor * *(const double *)from;
    }
}

s24_status s24i_srste_add(const s24i_device *device, const s24_mat *w, const s24_mat *mask,
                          double lambda, const s24_mat *grad)
{
    rows r = {w, mask, grad, lambda};
    return lambda == 0 ? S24_OK : s24i_parallel(device->threads, add_row, &r, w->rows);
}

/* ---- regrowth ---- */

int64_t s24i_count_mask(const s24_mat *mask)
{
    int64_t count = 0;
    for (int64_t i = 0; i < mask->rows; i++)
        for (int64_t j = 0; j < mask->cols; j++)
            count += kept(mask, i, j);
    return count;
}

typedef struct {
    const s24i_run *run;
    int32_t m;
    const s24_mat *w, *g, *mask;
    float *score;   /* rows x cols: of kept weights |w|, of others infinity; then |g| */
    uint8_t *stays; /* rows x cols: not among the least */
    int64_t *grown; /* a row */
} regrowth;

static void score_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const regrowth *r = arg;
    int64_t n = r->w->cols;
    float *score = r->score + row * n;
    s24i_mat_load(r->run->device->kernels, r->w, row, 1, score);
    for (int64_t j = 0; j < n; j++)
        score[j] = kept(r->mask, row, j) ? fabsf(score[j]) : INFINITY;
}

/* The largest |g| of a group that is not kept, ties to the lower index. */
static int64_t best_free(const float *g, const uint8_t *stays, int32_t m)
{
    int64_t best = -1;
    for (int64_t j = 0; j < m; j++)
        if (!stays[j] && (best < 0 || fabsf(g[j]) > fabsf(g[best])))
            best = j;
    return best;
}

static void regrow_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const regrowth *r = arg;
    int64_t n = r->w->cols;
    float *g = r->score + row * n;
    uint8_t *stays = r->stays + row * n;
    r->grown[row] = 0;
    s24i_mat_load(r->run->device->kernels, r->g, row, 1, g);
    for (int64_t j = 0; j < n; j += r->m) {
        int64_t lost = 0;
        for (int64_t t = j; t < j + r->m; t++) {
            bool was = kept(r->mask, row, t);
            lost += was && !stays[t];
            stays[t] = was && stays[t];
        }
        for (; lost > 0; lost--)
            stays[j + best_free(g + j, stays + j, r->m)] = 1;
    }
    for (int64_t j = 0; j < n; j++) {
        r->grown[row] += stays[j] && !kept(r->mask, row, j);
        *(uint8_t *)s24i_address(r->mask, row, j) = stays[j];
    }
}

s24_status s24i_nm_regrow(const s24i_run *run, int32_t m, int64_t drop, const s24_mat *w,
                          const s24_mat *g, const s24_mat *mask, int64_t *changed)
{
    size_t mark = run->arena->used, size = s24i_mul((size_t)w->rows, (size_t)w->cols);
    regrowth r = {.run = run, .m = m, .w = w, .g = g, .mask = mask};
    r.score = s24i_arena_take(run->arena, size, sizeof(float));
    r.stays = s24i_arena_take(run->arena, size, 1);
    r.grown = s24i_arena_take(run->arena, (size_t)w->rows, sizeof(int64_t));
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads, score_row, &r, w->rows);
    if (!status)
        status = s24i_select_largest(run, r.score, (int64_t)size, (int64_t)size - drop, r.stays);
    if (!status && !s24i_counting(run))
        status = s24i_parallel(run->device->threads, regrow_row, &r, w->rows);
    *changed = 0;
    for (int64_t i = 0; !status && !s24i_counting(run) && i < w->rows; i++)
        *changed += r.grown[i];
    run->arena->used = mark;
    return status;
}
