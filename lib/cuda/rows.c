#include "cuda.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Sums that the device makes: rows are dealt to two halves as on the CPU, products of a batch are
 * taken in single precision (of 16-bit rows by the tensor cores) and added to double sums, the
 * lower triangle of a gram by strips.
 */

enum { PANEL = 2048 };

static s24_status take_block(const s24i_run *run, size_t bytes, void **block)
{
    *block = s24i_alloc(run->device->memory, bytes);
    return *block ? S24_OK
                  : s24i_fail(S24_E_MEMORY, "%s: no %zu bytes of the device are left",
                              run->device->name, bytes);
}

static int32_t bytes_of(int32_t type)
{
    return type == S24_F32 ? 4 : 2;
}

/* Batches of rows of `cols` values, of a type; the old ones are empty. */
static s24_status open_batches(const s24i_run *run, s24c_mirror *m, int64_t cols, int32_t type)
{
    size_t bytes = s24i_mul(s24i_mul(S24I_BATCH_ROWS, (size_t)cols), (size_t)bytes_of(type));
    s24_status status = S24_OK;

    for (int half = 0; half < 2 && !status; half++) {
        if (m->batch[half] && m->batch_bytes >= bytes)
            continue;
        s24i_free(run->device->memory, m->batch[half], m->batch_bytes);
        m->batch[half] = NULL;
        status = take_block(run, bytes, &m->batch[half]);
    }
    if (m->batch_bytes < bytes)
        m->batch_bytes = bytes;
    m->type = type;
    return status;
}

static s24i_cross *cross_of(s24i_stream *stream)
{
    return (s24i_cross *)stream; /* its first member */
}

/* The mirror of a cross, with squares of its outputs. */
static s24_status open_cross(const s24i_run *run, s24i_cross *cross, const s24i_gram *gram,
                             s24c_mirror **out)
{
    s24_status status = s24c_cross(run, cross, gram->changes, out);
    size_t bytes = (size_t)cross->out * sizeof(double);

    for (int half = 0; half < 2 && !status && !(*out)->norm2[half]; half++) {
        (*out)->norm_bytes = bytes;
        status = take_block(run, bytes, (void **)&(*out)->norm2[half]);
        if (!status)
            status = s24c_send(run, cross->norm2[half], bytes, (*out)->norm2[half]);
    }
    return status;
}

/* ---- products ---- */

/* Columns of a batch, of `stride`. */
typedef struct columns {
    const void *data;
    int64_t stride;
} columns;

/* out (m x n) = A^T B over k rows of batches. */
static s24_status product(const s24i_run *run, int32_t type, s24c_shape shape, columns a, columns b,
                          s24i_f32s_out out)
{
    s24c_state *state = s24c_of(run);
    const float one = 1, none = 0;
    cudaDataType_t kind = type == S24_F32 ? CUDA_R_32F : type == S24_F16 ? CUDA_R_16F : CUDA_R_16BF;

    return s24c_blas(state,
                     cublasGemmEx(state->blas, CUBLAS_OP_N, CUBLAS_OP_T, (int)shape.n, (int)shape.m,
                                  (int)shape.k, &one, b.data, kind, (int)b.stride, a.data, kind,
                                  (int)a.stride, &none, out.data, CUDA_R_32F, (int)out.stride,
                                  CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                     "sums");
}

static const void *column(const void *batch, int32_t type, int64_t at)
{
    return (const char *)batch + at * bytes_of(type);
}

static double unit_of(const s24i_run *run, s24c_mirror *m, int half, int64_t cols)
{
    double unit = s24i_unit_for(m->largest[half]);

    if (unit != 1)
        s24c_scale_batch(s24c_stream(run), m->type, unit, m->filled[half] * cols, m->batch[half]);
    return unit;
}

static s24_status add_gram(const s24i_run *run, const s24i_gram *gram, s24c_mirror *m, int half,
                           double unit, float *scratch)
{
    int64_t n = gram->dim, k = m->filled[half];
    s24_status status = S24_OK;

    for (int64_t first = 0; first < n && !status; first += PANEL) {
        int64_t end = first + PANEL < n ? first + PANEL : n;
        status = product(run, m->type, (s24c_shape){end - first, end, k},
                         (columns){column(m->batch[half], m->type, first), n},
                         (columns){m->batch[half], n}, s24i_f32_out(scratch + first * n, n));
    }
    s24c_add_product(s24c_stream(run), scratch, 1 / (unit * unit), n, n, 1, m->half[half]);
    m->lower = true;
    return status;
}

static s24_status add_cross(const s24i_run *run, const s24i_gram *gram, const s24c_mirror *x,
                            double unit, s24i_cross *cross, int half, float *scratch)
{
    cudaStream_t s = s24c_stream(run);
    s24c_mirror *m;
    int64_t k = x->filled[half];
    s24_status status = open_cross(run, cross, gram, &m);

    if (status)
        return status;
    double own = unit_of(run, m, half, cross->out);
    s24c_add_squares(s, m->batch[half], m->type, 1 / (own * own), k, cross->out, m->norm2[half]);
    status = product(run, x->type, (s24c_shape){cross->out, cross->in, k},
                     (columns){m->batch[half], cross->out}, (columns){x->batch[half], cross->in},
                     s24i_f32_out(scratch, cross->in));
    s24c_add_product(s, scratch, 1 / (own * unit), cross->out, cross->in, 0, m->half[half]);
    m->filled[half] = 0;
    m->largest[half] = 0;
    m->away = true;
    return status;
}

static size_t scratch_bytes(const s24i_gram *gram)
{
    size_t largest = s24i_mul((size_t)gram->dim, (size_t)gram->dim);

    for (s24i_stream *t = gram->rows.x.next; t; t = t->next) {
        size_t size = s24i_mul((size_t)cross_of(t)->out, (size_t)cross_of(t)->in);
        largest = size > largest ? size : largest;
    }
    return s24i_mul(largest, sizeof(float));
}

static void drop_scratch(const s24i_run *run, s24c_mirror *m)
{
    s24i_free(run->device->memory, m->scratch, m->scratch_bytes);
    m->scratch = NULL;
    m->scratch_bytes = 0;
}

/* One product at a time; allocating for each batch would wait for the device each time. */
static s24_status open_scratch(const s24i_run *run, const s24i_gram *gram, s24c_mirror *m)
{
    size_t bytes = scratch_bytes(gram);

    if (m->scratch && m->scratch_bytes >= bytes)
        return S24_OK;
    drop_scratch(run, m);
    s24_status status = take_block(run, bytes, &m->scratch);
    m->scratch_bytes = status ? 0 : bytes;
    return status;
}

/* The rows that wait for a half. */
static s24_status add_batch(const s24i_run *run, s24i_gram *gram, s24c_mirror *m, int half)
{
    s24_status status = open_scratch(run, gram, m);

    if (status)
        return status;
    double unit = unit_of(run, m, half, gram->dim);
    status = add_gram(run, gram, m, half, unit, m->scratch);
    for (s24i_stream *t = gram->rows.x.next; t && !status; t = t->next)
        status = add_cross(run, gram, m, unit, cross_of(t), half, m->scratch);
    m->filled[half] = 0;
    m->largest[half] = 0;
    m->away = true;
    return status ? status : s24c_launched(run, "sums");
}

/* ---- rows in ---- */

/* One array of rows on the device. */
typedef struct source {
    s24_mat mat;
    void *copy; /* floats of a host's view, or NULL */
    size_t bytes;
} source;

static s24_status open_source(const s24i_run *run, const s24_mat *mat, source *out)
{
    bool here;
    s24_status status = s24c_place(run, mat->data, &here);

    *out = (source){.mat = *mat};
    if (status || here || mat->rows == 0)
        return status;
    out->bytes = s24i_mul(s24i_mul((size_t)mat->rows, (size_t)mat->cols), sizeof(float));
    status = take_block(run, out->bytes, &out->copy);
    if (!status)
        status = s24c_read_rows(run, mat, out->copy, &here);
    out->mat = s24i_view(out->copy, mat->rows, mat->cols);
    return status;
}

static void close_source(const s24i_run *run, source *s)
{
    s24i_free(run->device->memory, s->copy, s->bytes);
}

static s24c_intake intake_of(const source *s, const double *weight)
{
    return (s24c_intake){.x = s->mat.data,
                         .type = s->mat.dtype,
                         .rows = s->mat.rows,
                         .cols = s->mat.cols,
                         .row_stride = s->mat.row_stride,
                         .col_stride = s->mat.col_stride,
                         .weight = weight};
}

static s24_status look(const s24i_run *run, const source *s, const double *weight, const char *what,
                       double *largest)
{
    s24c_state *state = s24c_of(run);
    s24c_intake in = intake_of(s, weight);
    uint64_t found[2] = {0};
    uint32_t bits;
    float value;

    s24c_look_at_rows(state->stream, &in, state->numbers);
    s24_status status = s24c_launched(run, "rows");
    if (!status)
        status = s24c_fetch(run, state->numbers, sizeof found, found, "rows");
    if (!status && (int64_t)found[0] < s->mat.rows)
        status = s24i_fail(S24_E_NONFINITE,
                           "%s: row %lld holds a value that is no finite number, or whose square "
                           "leaves the range of the accumulator (S24_F64 reaches further)",
                           what, (long long)found[0]);
    bits = (uint32_t)found[1];
    memcpy(&value, &bits, sizeof value);
    *largest = value;
    return status;
}

/* All arrays of one addition. */
typedef struct work {
    const s24i_run *run;
    s24i_gram *gram;
    s24c_mirror *m;
    const s24i_addition *given;
    source x;
    double *weight; /* on the device, or NULL */
    const double *host_weight;
    int32_t type;
} work;

static int32_t common_type(const s24i_gram *gram, const s24i_addition *given)
{
    int32_t type = given->x->dtype;

    for (const s24i_stream *t = gram->rows.x.next; t; t = t->next)
        if (t->target >= 0 && given->targets[t->target].dtype != type)
            return S24_F32;
    return !given->row_weight && (type == S24_F16 || type == S24_BF16) ? type : S24_F32;
}

static s24_status take_stream(const work *w, const source *s, s24c_mirror *m, int64_t first,
                              int64_t count)
{
    s24c_intake in = intake_of(s, w->weight ? w->weight + first : NULL);

    in.x = (const char *)in.x + first * in.row_stride * s24i_dtype_size(in.type);
    in.rows = count;
    in.next = w->gram->rows.next;
    in.out_type = w->type;
    for (int half = 0; half < 2; half++) {
        in.filled[half] = w->m->filled[half];
        in.batch[half] = m->batch[half];
    }
    s24c_take_rows(s24c_stream(w->run), &in);
    return s24c_launched(w->run, "rows");
}

/* Rows that can be taken before a half is full; *dealt: of each half. */
static int64_t room(const work *w, int64_t wanted, int64_t dealt[2])
{
    int64_t count = 0;

    dealt[0] = dealt[1] = 0;
    while (count < wanted) {
        int64_t index = w->gram->rows.next + count, half = index / S24I_RUN % 2;
        int64_t step = S24I_RUN - index % S24I_RUN;
        int64_t left = S24I_BATCH_ROWS - w->m->filled[half] - dealt[half];
        step = step > wanted - count ? wanted - count : step;
        step = step > left ? left : step;
        if (step == 0)
            break;
        count += step;
        dealt[half] += step;
    }
    return count;
}

static void count_rows(work *w, int64_t first, int64_t count)
{
    s24i_rows *rows = &w->gram->rows;

    for (int64_t i = 0; i < count; i++) {
        int64_t half = (rows->next + i) / S24I_RUN % 2;
        double weight = w->host_weight ? w->host_weight[first + i] : 1;
        for (s24i_stream *t = &rows->x; t; t = t->next)
            t->weight[half] += weight;
        rows->count[half] += weight > 0;
    }
    rows->next += count;
}

static s24_status take_all(work *w, source *targets)
{
    int64_t dealt[2];
    s24_status status = S24_OK;

    for (int64_t first = 0, count; first < w->given->x->rows && !status; first += count) {
        count = room(w, w->given->x->rows - first, dealt);
        status = take_stream(w, &w->x, w->m, first, count);
        for (s24i_stream *t = w->gram->rows.x.next; t && !status; t = t->next)
            if (t->target >= 0)
                status = take_stream(w, targets + t->target, cross_of(t)->mirror, first, count);
        count_rows(w, first, count);
        for (int half = 0; half < 2 && !status; half++) {
            w->m->filled[half] += dealt[half];
            for (s24i_stream *t = w->gram->rows.x.next; t; t = t->next)
                ((s24c_mirror *)cross_of(t)->mirror)->filled[half] = w->m->filled[half];
            if (w->m->filled[half] == S24I_BATCH_ROWS)
                status = add_batch(w->run, w->gram, w->m, half);
        }
    }
    return status;
}

/* Batches of one type for all; what waits in another goes in first. */
static s24_status open_streams(work *w)
{
    s24_status status = S24_OK;
    s24c_mirror *m;

    if (w->m->batch[0] && w->m->type != w->type)
        status = s24c_sums_flush(w->run->device, w->gram);
    if (!status)
        status = open_batches(w->run, w->m, w->gram->dim, w->type);
    for (s24i_stream *t = w->gram->rows.x.next; t && !status; t = t->next) {
        status = open_cross(w->run, cross_of(t), w->gram, &m);
        if (!status)
            status = open_batches(w->run, m, cross_of(t)->out, w->type);
    }
    return status;
}

/* Nothing is taken before everything was looked at. */
static s24_status look_at_all(work *w, source *targets)
{
    double largest;
    char name[24];
    s24_status status = look(w->run, &w->x, w->weight, "x", &largest);

    for (int half = 0; half < 2 && !status; half++)
        w->m->largest[half] = fmax(w->m->largest[half], largest);
    for (s24i_stream *t = w->gram->rows.x.next; t && !status; t = t->next) {
        if (t->target < 0)
            continue;
        snprintf(name, sizeof name, "targets[%d]", (int)t->target);
        status = open_source(w->run, w->given->targets + t->target, targets + t->target);
        if (!status)
            status = look(w->run, targets + t->target, w->weight, name, &largest);
        s24c_mirror *m = cross_of(t)->mirror;
        for (int half = 0; half < 2 && !status; half++)
            m->largest[half] = fmax(m->largest[half], largest);
    }
    return status;
}

static s24_status check_weights(const double *weight, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        if (!(weight[i] >= 0 && weight[i] < INFINITY) || (weight[i] > 0 && weight[i] < 1e-40))
            return s24i_fail(isfinite(weight[i]) ? S24_E_ARG : S24_E_NONFINITE,
                             "row_weight: row %lld is %g: a weight is finite, 0 or at least 1e-40",
                             (long long)i, weight[i]);
    return S24_OK;
}

static s24_status open_weights(work *w, double *here)
{
    const s24_mat *mat = w->given->row_weight;

    if (!mat)
        return S24_OK;
    if (mat->device != S24_CPU)
        return s24i_fail(S24_E_UNSUPPORTED, "row_weight lies on the device: hand in the host's");
    s24c_host->load_f64(mat, 0, mat->rows, here);
    w->host_weight = here;
    s24_status status = check_weights(here, mat->rows);
    if (!status)
        status = take_block(w->run, (size_t)mat->rows * sizeof(double), (void **)&w->weight);
    return status ? status : s24c_send(w->run, here, (size_t)mat->rows * sizeof(double), w->weight);
}

enum { MOST_TARGETS = 64 };

s24_status s24c_sums_add(const s24i_device *device, s24i_gram *gram, const s24i_addition *addition)
{
    s24i_run run = {.device = device};
    work w = {.run = &run, .gram = gram, .given = addition};
    source targets[MOST_TARGETS] = {{.copy = NULL}};
    size_t bytes = addition->row_weight ? (size_t)addition->row_weight->rows * sizeof(double) : 0;
    s24i_memory first;

    s24i_memory_init(&first, NULL, NULL, NULL);
    double *weights = s24i_alloc(&first, bytes);
    for (s24i_stream *t = gram->rows.x.next; t; t = t->next)
        if (t->target >= MOST_TARGETS)
            return s24i_fail(S24_E_UNSUPPORTED, "%s: more than %d crosses", device->name,
                             MOST_TARGETS);
    w.type = common_type(gram, addition);
    s24_status status = weights ? s24c_gram(&run, gram, &w.m) : S24_E_MEMORY;
    if (!status)
        status = open_weights(&w, weights);
    if (!status)
        status = open_source(&run, addition->x, &w.x);
    if (!status)
        status = open_streams(&w);
    if (!status)
        status = look_at_all(&w, targets);
    if (!status)
        status = take_all(&w, targets);
    cudaStreamSynchronize(s24c_stream(&run)); /* the caller may change its rows now */
    close_source(&run, &w.x);
    for (int i = 0; i < MOST_TARGETS; i++)
        close_source(&run, &targets[i]);
    s24i_free(device->memory, w.weight, bytes);
    s24i_free(&first, weights, bytes);
    return status;
}

s24_status s24c_sums_flush(const s24i_device *device, s24i_gram *gram)
{
    s24i_run run = {.device = device};
    s24c_mirror *m = gram->mirror;
    s24_status status = S24_OK;

    for (int half = 0; m && half < 2 && !status; half++)
        if (m->filled[half])
            status = add_batch(&run, gram, m, half);
    if (m)
        drop_scratch(&run, m);
    return status;
}

/* ---- back to the host ---- */

static s24_status fetch_gram(const s24i_run *run, s24i_gram *gram, s24c_mirror *m)
{
    int64_t n = gram->dim, last = (n - 1) / S24I_STRIP, top = last * S24I_STRIP;
    size_t bytes =
        (size_t)((int64_t)S24I_STRIP * S24I_STRIP * last * (last + 1) / 2 + (n - top) * n) *
        sizeof(double);
    void *strips;
    s24_status status = take_block(run, bytes, &strips);

    for (int half = 0; half < 2 && !status; half++) {
        s24c_contract(s24c_stream(run), m->half[half], n, strips);
        status = s24c_launched(run, "sums");
        if (!status)
            status = s24c_op_download(run, strips, bytes, gram->half[half]);
    }
    s24i_free(run->device->memory, strips, bytes);
    return status;
}

static double *place(const s24i_gram *gram, int half, int64_t i, int64_t j)
{
    int64_t strip = i / S24I_STRIP, top = strip * S24I_STRIP;
    int64_t width = top + S24I_STRIP < gram->dim ? top + S24I_STRIP : gram->dim;

    return gram->half[half] + (int64_t)S24I_STRIP * S24I_STRIP * strip * (strip + 1) / 2 +
           (i - top) * width + j;
}

/* Diagonals, and the row of the largest input. */
static s24_status fetch_look(const s24i_run *run, s24i_gram *gram, s24c_mirror *m)
{
    size_t n = (size_t)gram->dim, bytes = n * sizeof(double);
    s24i_memory first;
    void *diagonal;
    int64_t most = 0;
    s24_status status = take_block(run, bytes, &diagonal);

    s24i_memory_init(&first, NULL, NULL, NULL);
    double *here = status ? NULL : s24i_alloc(&first, 2 * bytes), *all = here ? here + n : NULL;
    if (!status && !here)
        status = S24_E_MEMORY;
    for (int half = 0; half < 2 && !status; half++) {
        s24c_diagonal(s24c_stream(run), m->half[half], NULL, gram->dim, diagonal);
        status = s24c_op_download(run, diagonal, bytes, here);
        for (size_t j = 0; j < n && !status; j++) {
            *place(gram, half, (int64_t)j, (int64_t)j) = here[j];
            all[j] = half ? all[j] + here[j] : here[j];
        }
    }
    for (int64_t j = 0; j < gram->dim && !status; j++)
        most = all[j] > all[most] ? j : most;
    for (int half = 0; half < 2 && !status; half++) {
        status = s24c_op_download(run, m->half[half] + most * gram->dim, bytes, here);
        for (int64_t j = 0; j < gram->dim && !status; j++)
            *place(gram, half, j > most ? j : most, j > most ? most : j) = here[j];
    }
    s24i_free(&first, here, 2 * bytes);
    s24i_free(run->device->memory, diagonal, bytes);
    return status;
}

static s24_status fetch_cross(const s24i_run *run, s24i_cross *cross, bool whole)
{
    s24c_mirror *m = cross->mirror;
    s24_status status = S24_OK;

    for (int half = 0; m && m->away && half < 2 && !status; half++) {
        status = s24c_op_download(run, m->norm2[half], m->norm_bytes, cross->norm2[half]);
        if (!status && whole)
            status = s24c_op_download(run, m->half[half], m->bytes, cross->half[half]);
    }
    if (m && whole && !status)
        m->away = false;
    return status;
}

s24_status s24c_sums_fetch(const s24i_device *device, s24i_gram *gram, bool whole)
{
    s24i_run run = {.device = device};
    s24c_mirror *m = gram->mirror;
    s24_status status = S24_OK;

    if (!m || !m->away)
        return S24_OK;
    status = s24c_gram(&run, gram, &m);
    if (!status)
        status = whole ? fetch_gram(&run, gram, m) : fetch_look(&run, gram, m);
    for (s24i_stream *t = gram->rows.x.next; t && !status; t = t->next)
        status = fetch_cross(&run, cross_of(t), whole);
    if (whole && !status)
        m->away = false;
    return status;
}
