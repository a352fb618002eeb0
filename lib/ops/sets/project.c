#include "sets.h"
#include <math.h>
#include <string.h>

/* Non-negative floats order like their bits, so the k largest are found exactly by counting digits
 * of 11, 11 and 10 bits from the top. */
enum { DIGITS = 3, BINS = 2048, CHUNK = 65536 };
static const int digit_shift[DIGITS] = {21, 10, 0};

static uint32_t bits_of(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x7fffffff;
}

/* Count the next digit of the scores whose higher digits are those of `prefix`. */
static void count_digit(const float *score, int64_t n, int digit, uint32_t prefix, int64_t *bins)
{
    int shift = digit_shift[digit], above = digit ? digit_shift[digit - 1] : 31;
    uint32_t mask = (1u << (above - shift)) - 1;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(score[i]);
        if (bits >> above == prefix >> above)
            bins[bits >> shift & mask]++;
    }
}

/* The digit that holds the keep-th largest; *keep becomes its rank among those with this digit. */
static uint32_t pick_digit(const int64_t *bins, int digit, int64_t *keep)
{
    int64_t bin = BINS - 1;
    for (; bin > 0 && bins[bin] < *keep; bin--)
        *keep -= bins[bin];
    return (uint32_t)bin << digit_shift[digit];
}

/* 1 above the threshold, and on the first `ties` that equal it. Returns the ties not used. */
static int64_t mark(const float *score, int64_t n, uint32_t threshold, int64_t ties, uint8_t *mask)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(score[i]);
        mask[i] = bits > threshold || (bits == threshold && ties > 0);
        ties -= bits == threshold && ties > 0;
    }
    return ties;
}

void s24i_keep_largest(const float *score, int64_t count, int64_t keep, uint8_t *mask)
{
    if (keep <= 0 || keep >= count) {
        memset(mask, keep > 0, (size_t)count);
        return;
    }
    uint32_t threshold = 0;
    for (int digit = 0; digit < DIGITS; digit++) {
        int64_t bins[BINS] = {0};
        count_digit(score, count, digit, threshold, bins);
        threshold |= pick_digit(bins, digit, &keep);
    }
    mark(score, count, threshold, keep, mask);
}

int64_t s24i_zeros(double sparsity, int64_t size)
{
    int64_t zeros = (int64_t)nearbyint(sparsity * (double)size);
    return zeros < size ? zeros : size - 1;
}

int64_t s24i_most_kept(const s24i_constraints *constraints, int64_t cols)
{
    if (constraints->n)
        return cols / constraints->m * constraints->n;
    if (constraints->units.kind)
        return cols / constraints->units.count * constraints->units.keep;
    return constraints->scope == S24I_SCOPE_ROW ? cols - s24i_zeros(constraints->sparsity, cols)
                                                : cols;
}

/* ---- many scores, on all threads ---- */

typedef struct {
    const float *score;
    int64_t count;
    uint8_t *mask;
    int64_t *bins; /* BINS a worker */
    int64_t *ties; /* a chunk */
    uint32_t threshold;
    int digit;
} selection;

static int64_t chunk_size(const selection *s, int64_t chunk)
{
    int64_t left = s->count - chunk * CHUNK;
    return left < CHUNK ? left : CHUNK;
}

static void count_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const selection *s = arg;
    count_digit(s->score + chunk * CHUNK, chunk_size(s, chunk), s->digit, s->threshold,
                s->bins + (int64_t)worker * BINS);
}

static void count_ties(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const selection *s = arg;
    const float *score = s->score + chunk * CHUNK;
    int64_t ties = 0;
    for (int64_t i = 0; i < chunk_size(s, chunk); i++)
        ties += bits_of(score[i]) == s->threshold;
    s->ties[chunk] = ties;
}

static void mark_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const selection *s = arg;
    mark(s->score + chunk * CHUNK, chunk_size(s, chunk), s->threshold, s->ties[chunk],
         s->mask + chunk * CHUNK);
}

/* From the number of ties in each chunk to the number each may keep, lower indices first. */
static void deal_ties(int64_t *ties, int64_t chunks, int64_t keep)
{
    for (int64_t i = 0; i < chunks; i++) {
        if (ties[i] > keep)
            ties[i] = keep;
        keep -= ties[i];
    }
}

static s24_status select_chunks(selection *s, s24i_threads *threads, int64_t keep)
{
    int64_t workers = s24i_workers(threads), chunks = (s->count + CHUNK - 1) / CHUNK;
    s24_status status = S24_OK;
    for (s->digit = 0; s->digit < DIGITS && !status; s->digit++) {
        memset(s->bins, 0, (size_t)(workers * BINS) * sizeof *s->bins);
        status = s24i_parallel(threads, count_chunk, s, chunks);
        for (int64_t i = BINS; i < workers * BINS; i++)
            s->bins[i % BINS] += s->bins[i];
        s->threshold |= pick_digit(s->bins, s->digit, &keep);
    }
    if (!status)
        status = s24i_parallel(threads, count_ties, s, chunks);
    deal_ties(s->ties, chunks, keep);
    return status ? status : s24i_parallel(threads, mark_chunk, s, chunks);
}

s24_status s24i_select_largest(const s24i_run *run, const float *score, int64_t count, int64_t keep,
                               uint8_t *mask)
{
    size_t before = run->arena->used;
    selection s = {.score = score, .count = count, .mask = mask};
    s.bins = s24i_arena_take(run->arena, BINS * (size_t)s24i_workers(run->device->threads),
                             sizeof(int64_t));
    s.ties = s24i_arena_take(run->arena, (size_t)(count / CHUNK + 1), sizeof(int64_t));
    s24_status status = S24_OK;
    if (!s24i_counting(run) && (keep <= 0 || keep >= count))
        memset(mask, keep > 0, (size_t)count);
    else if (!s24i_counting(run))
        status = select_chunks(&s, run->device->threads, keep);
    run->arena->used = before;
    return status;
}

/* ---- the whole layer ---- */

typedef struct {
    const s24i_device *device;
    const s24i_constraints *constraints;
    const float *w, *norm;
    int64_t cols;
    uint8_t *mask;
    float *score;   /* of the matrix, or of one row a worker */
    double *square; /* both sides: of a tile a worker */
} projection;

static void project_strip(void *arg, int64_t strip, int32_t worker)
{
    const projection *p = arg;
    int64_t at = strip * p->constraints->m * p->cols;
    s24i_select_both(p->device->kernels, p->constraints, (s24i_strip){p->w + at, p->norm, p->cols},
                     p->cols, p->mask + at,
                     p->square + (size_t)worker * s24i_both_scratch(p->constraints));
}

static void project_row(void *arg, int64_t row, int32_t worker)
{
    const projection *p = arg;
    const s24i_kernels *kernels = p->device->kernels;
    const s24i_constraints *constraints = p->constraints;
    const float *w = p->w + row * p->cols;
    uint8_t *mask = p->mask + row * p->cols;
    if (constraints->n) {
        s24i_select_nm(kernels, w, p->norm, mask, p->cols, constraints->n, constraints->m);
    } else {
        float *score = p->score + worker * p->cols;
        kernels->score(w, p->norm, score, p->cols);
        s24i_keep_largest(score, p->cols, p->cols - s24i_zeros(constraints->sparsity, p->cols),
                          mask);
    }
}

static void score_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const projection *p = arg;
    p->device->kernels->score(p->w + row * p->cols, p->norm, p->score + row * p->cols, p->cols);
}

s24_status s24i_cpu_project(const s24i_run *run, const s24i_constraints *constraints,
                            const float *w, const float *norm, int64_t rows, int64_t cols,
                            uint8_t *mask)
{
    size_t before = run->arena->used, workers = (size_t)s24i_workers(run->device->threads);
    bool layer = s24i_over_layer(constraints);
    if (constraints->mask) {
        if (!s24i_counting(run))
            memcpy(mask, constraints->mask, (size_t)(rows * cols));
        return S24_OK;
    }
    projection p = {.device = run->device, .constraints = constraints, .w = w, .norm = norm};
    p.cols = cols;
    p.mask = mask;
    p.square =
        s24i_arena_take(run->arena, s24i_both_scratch(constraints) * workers, sizeof(double));
    if (!constraints->n)
        p.score = s24i_arena_take(run->arena, (size_t)cols * (layer ? (size_t)rows : workers),
                                  sizeof(float));
    s24_status status = S24_OK;
    if (!s24i_counting(run))
        status = s24i_parallel(run->device->threads,
                               layer               ? score_row
                               : constraints->both ? project_strip
                                                   : project_row,
                               &p, rows / s24i_tied_rows(constraints));
    if (layer && !status)
        status =
            s24i_select_largest(run, p.score, rows * cols,
                                rows * cols - s24i_zeros(constraints->sparsity, rows * cols), mask);
    run->arena->used = before;
    return status;
}

/* ---- the mask applied ---- */

typedef struct {
    const s24i_device *device;
    const float *w;
    const uint8_t *mask;
    int64_t cols;
    float *v;
} masking;

static void mask_row(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const masking *m = arg;
    int64_t at = row * m->cols;
    m->device->kernels->apply_mask(m->w + at, m->mask + at, m->v + at, m->cols);
}

s24_status s24i_cpu_apply_mask(const s24i_run *run, const float *w, const uint8_t *mask,
                               int64_t rows, int64_t cols, float *v)
{
    masking m = {run->device, w, mask, cols, v};
    return s24i_parallel(run->device->threads, mask_row, &m, rows);
}

/* ---- checks ---- */

static int64_t count_kept(const uint8_t *support, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        kept += support[i] != 0;
    return kept;
}

static s24_status check_row(const s24i_constraints *constraints, const uint8_t *row, int64_t index,
                            int64_t cols, const char *name)
{
    for (int64_t j = 0; constraints->n && !constraints->dense && j < cols; j += constraints->m) {
        int64_t kept = count_kept(row + j, constraints->m);
        if (kept > constraints->n)
            return s24i_fail(S24_E_STATE,
                             "%s: row %lld, columns %lld to %lld hold %lld nonzeros, %d:%d allows "
                             "%d",
                             name, (long long)index, (long long)j,
                             (long long)(j + constraints->m - 1), (long long)kept, constraints->n,
                             constraints->m, constraints->n);
    }
    int64_t zeros = cols - count_kept(row, cols), wanted = s24i_zeros(constraints->sparsity, cols);
    if (constraints->scope == S24I_SCOPE_ROW && zeros < wanted)
        return s24i_fail(S24_E_STATE, "%s: row %lld holds %lld zeros, the constraint asks for %lld",
                         name, (long long)index, (long long)zeros, (long long)wanted);
    return S24_OK;
}

/* Down the columns: which one and from which row on. */
static s24_status check_columns(const s24i_constraints *constraints, const uint8_t *support,
                                int64_t rows, int64_t cols, const char *name)
{
    int32_t m = constraints->m;
    for (int64_t i = 0; i < rows; i += m)
        for (int64_t j = 0; j < cols; j++) {
            int64_t held = 0;
            for (int32_t t = 0; t < m; t++)
                held += support[(i + t) * cols + j] != 0;
            if (held > constraints->n && !s24i_is_dense(constraints, j))
                return s24i_fail(S24_E_STATE,
                                 "%s: column %lld, rows %lld to %lld hold %lld nonzeros, %d:%dt "
                                 "allows %d",
                                 name, (long long)j, (long long)i, (long long)(i + m - 1),
                                 (long long)held, constraints->n, m, constraints->n);
        }
    return S24_OK;
}

/* Units of which any row keeps a weight. */
static s24_status check_units(const s24i_units *units, const uint8_t *support, int64_t rows,
                              int64_t cols, const char *name)
{
    int64_t width = cols / units->count, kept = 0;
    for (int64_t u = 0; u < units->count; u++) {
        int64_t held = 0;
        for (int64_t i = 0; i < rows && !held; i++)
            held = count_kept(support + i * cols + u * width, width);
        kept += held > 0;
    }
    if (kept <= units->keep)
        return S24_OK;
    return s24i_fail(S24_E_STATE, "%s: %lld %s of %lld hold nonzeros, the constraint allows %lld",
                     name, (long long)kept, s24i_unit_name(units->kind), (long long)units->count,
                     (long long)units->keep);
}

static s24_status check_mask(const uint8_t *mask, const uint8_t *support, int64_t rows,
                             int64_t cols, const char *name)
{
    for (int64_t i = 0; i < rows * cols; i++)
        if (support[i] && !mask[i])
            return s24i_fail(S24_E_STATE, "%s: row %lld, column %lld is not in the mask", name,
                             (long long)(i / cols), (long long)(i % cols));
    return S24_OK;
}

s24_status s24i_obeys(const s24i_constraints *constraints, const uint8_t *support, int64_t rows,
                      int64_t cols, const char *name)
{
    int64_t kept = 0, wanted = s24i_zeros(constraints->sparsity, rows * cols);
    if (constraints->dense) {
        s24_status status = s24i_obeys_dense(constraints, support, rows, cols, name);
        if (status)
            return status;
    }
    for (int64_t i = 0; i < rows; i++) {
        s24_status status = check_row(constraints, support + i * cols, i, cols, name);
        if (status)
            return status;
        kept += count_kept(support + i * cols, cols);
    }
    if (constraints->scope == S24I_SCOPE_LAYER && rows * cols - kept < wanted)
        return s24i_fail(S24_E_STATE, "%s: %lld zeros in all, the constraint asks for %lld", name,
                         (long long)(rows * cols - kept), (long long)wanted);
    if (constraints->units.kind) {
        s24_status status = check_units(&constraints->units, support, rows, cols, name);
        if (status)
            return status;
    }
    if (constraints->both) {
        s24_status status = check_columns(constraints, support, rows, cols, name);
        if (status)
            return status;
    }
    return constraints->mask ? check_mask(constraints->mask, support, rows, cols, name) : S24_OK;
}
