#include "permute.h"
#include "base/sort.h"
#include <math.h>
#include <string.h>

/*
 * Channel permutation for n:m by assignment sweeps. A sweep takes one column out of every group. In
 * a group where a_n is the n-th largest of the m - 1 that stayed, column c is worth sum over rows
 * of max(0, c - a_n) more than what stayed keeps: exactly the gain of putting c there. So the best
 * way to put all columns back is an assignment problem, and the kept sum never falls. The groups of
 * a sweep are dealt to parts of at most PART groups, so that a search over many columns costs what
 * its scores cost.
 */
enum {
    PART = S24I_MOST_ASSIGNED,
    CHUNK = 32, /* columns of one task of prices */
    SLICE = 64, /* rows at once where the largest are looked for */
    ROUNDS = 40,
    IDLE = 4, /* so many rounds that gain next to nothing are enough */
    LOAD = 64 /* rows read at once */
};
#define ENOUGH 5e-5 /* of the kept sum: a round that gains less is idle */

typedef struct {
    const s24i_device *device;
    const s24i_permuting *how;
    int64_t rows, cols, groups, parts;
    float *a;            /* cols x rows: the scores of a column lie together */
    int64_t *place;      /* groups x m: columns */
    int32_t *out;        /* a group: which of its columns is taken out */
    int64_t *list;       /* groups, dealt to parts */
    int64_t *first;      /* parts + 1: where each begins in the list */
    float *taken, *rest; /* groups x rows, in the order of the list: columns out, and a_n */
    float *price;        /* groups x PART: of the column out of a group in each group of its part */
    double *sum;         /* groups, or columns */
    const void **ranked; /* a block: columns by their sums */
    int64_t *owner;      /* a column: the group that it is the first of, or -1 */
    float *load;         /* LOAD x cols */
    uint64_t draws;
} search;

/* ---- the n largest ---- */

/* top[t][i]: the t-th largest of row first + i over some columns. */
static void largest(const search *s, const int64_t *columns, int32_t count, int64_t first,
                    float top[S24I_MAX_GROUP][SLICE])
{
    int64_t rows = s->rows - first < SLICE ? s->rows - first : SLICE;
    for (int32_t t = 0; t < s->how->n; t++)
        memset(top[t], 0, sizeof top[t]);
    for (int32_t k = 0; k < count; k++) {
        float value[SLICE] = {0};
        memcpy(value, s->a + columns[k] * s->rows + first, (size_t)rows * sizeof(float));
        for (int32_t t = 0; t < s->how->n; t++)
            for (int64_t i = 0; i < SLICE; i++) {
                float high = value[i] > top[t][i] ? value[i] : top[t][i];
                value[i] = value[i] > top[t][i] ? top[t][i] : value[i];
                top[t][i] = high;
            }
    }
}

static void sum_group(void *arg, int64_t group, int32_t worker)
{
    (void)worker;
    const search *s = arg;
    float top[S24I_MAX_GROUP][SLICE];
    double sum = 0;
    for (int64_t first = 0; first < s->rows; first += SLICE) {
        largest(s, s->place + group * s->how->m, s->how->m, first, top);
        for (int32_t t = 0; t < s->how->n; t++)
            for (int64_t i = 0; i < SLICE; i++)
                sum += (double)top[t][i];
    }
    s->sum[group] = sum;
}

static s24_status kept_sum(const search *s, double *total)
{
    s24_status status = s24i_parallel(s->device->threads, sum_group, (void *)s, s->groups);
    *total = 0;
    for (int64_t g = 0; g < s->groups; g++)
        *total += s->sum[g];
    return status;
}

/* ---- one sweep ---- */

/* What is taken out of a group of the list, and the n-th largest of what stays. */
static void take_out(void *arg, int64_t l, int32_t worker)
{
    (void)worker;
    const search *s = arg;
    int32_t m = s->how->m, out = s->out[s->list[l]];
    const int64_t *columns = s->place + s->list[l] * m;
    int64_t stay[S24I_MAX_GROUP];
    float top[S24I_MAX_GROUP][SLICE];
    memcpy(stay, columns, (size_t)m * sizeof *stay);
    stay[out] = stay[m - 1];
    memcpy(s->taken + l * s->rows, s->a + columns[out] * s->rows, (size_t)s->rows * sizeof(float));
    for (int64_t first = 0; first < s->rows; first += SLICE) {
        int64_t rows = s->rows - first < SLICE ? s->rows - first : SLICE;
        largest(s, stay, m - 1, first, top);
        memcpy(s->rest + l * s->rows + first, top[s->how->n - 1], (size_t)rows * sizeof(float));
    }
}

static int64_t part_of(const search *s, int64_t l)
{
    int64_t part = 0;
    while (s->first[part + 1] <= l)
        part++;
    return part;
}

/* Of CHUNK columns of the list in every group of their parts. */
static void set_prices(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const search *s = arg;
    int64_t end = (chunk + 1) * CHUNK < s->groups ? (chunk + 1) * CHUNK : s->groups;
    for (int64_t l = chunk * CHUNK, next; l < end; l = next) {
        int64_t part = part_of(s, l), first = s->first[part], past = s->first[part + 1];
        next = past < end ? past : end;
        s->device->kernels->excess_rows(s->taken + l * s->rows, next - l, s->rest + first * s->rows,
                                        past - first, s->rows, s->price + l * PART, PART);
    }
}

static void put_back(void *arg, int64_t part, int32_t worker)
{
    (void)worker;
    const search *s = arg;
    int64_t first = s->first[part], columns[PART];
    int32_t size = (int32_t)(s->first[part + 1] - first), to[PART], m = s->how->m;
    s24i_assign(s->price + first * PART, PART, size, to);
    for (int32_t l = 0; l < size; l++)
        columns[l] = s->place[s->list[first + l] * m + s->out[s->list[first + l]]];
    for (int32_t l = 0; l < size; l++) {
        int64_t group = s->list[first + to[l]];
        s->place[group * m + s->out[group]] = columns[l];
    }
}

static int64_t draw(search *s, int64_t below)
{
    return (int64_t)(s24i_mixed(0, s->draws++) % (uint64_t)below);
}

/* Groups of each block in random order, which parts take in turn. */
static void shuffle(search *s)
{
    int64_t width = s->how->block / s->how->m;
    for (int64_t first = 0; first < s->groups; first += width) {
        int64_t count = s->groups - first < width ? s->groups - first : width;
        for (int64_t i = 0; i < count; i++) {
            int64_t j = draw(s, i + 1);
            s->list[first + i] = s->list[first + j];
            s->list[first + j] = first + i;
        }
    }
}

static s24_status sweep(search *s, int64_t round, int32_t turn)
{
    s24i_threads *threads = s->device->threads;
    shuffle(s);
    for (int64_t g = 0; g < s->groups; g++)
        s->out[g] = round ? (int32_t)draw(s, s->how->m) : turn;
    s24_status status = s24i_parallel(threads, take_out, s, s->groups);
    if (!status)
        status = s24i_parallel(threads, set_prices, s, (s->groups + CHUNK - 1) / CHUNK);
    return status ? status : s24i_parallel(threads, put_back, s, s->parts);
}

/* ---- start and end ---- */

/* Larger sums first, ties to the lower column. */
static int by_sum(const void *a, const void *b)
{
    const double *x = a, *y = b;
    if (*x != *y)
        return *x > *y ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Columns of a block by falling sum, dealt to its groups forth and back. */
static void deal_block(search *s, int64_t first)
{
    int64_t m = s->how->m, cols = s->how->block, width = cols / m;
    for (int64_t j = 0; j < cols; j++)
        s->ranked[j] = s->sum + first + j;
    s24i_sort(s->ranked, cols, by_sum);
    for (int64_t j = 0; j < cols; j++) {
        int64_t turn = j / width, group = turn % 2 ? width - 1 - j % width : j % width;
        s->place[first + group * m + turn] = (const double *)s->ranked[j] - s->sum;
    }
}

static void deal(search *s)
{
    for (int64_t j = 0; j < s->cols; j++) {
        s->sum[j] = 0;
        for (int64_t i = 0; i < s->rows; i++)
            s->sum[j] += (double)s->a[j * s->rows + i];
    }
    for (int64_t first = 0; first < s->cols; first += s->how->block)
        deal_block(s, first);
}

static void keep_order(search *s)
{
    for (int64_t j = 0; j < s->cols; j++)
        s->place[j] = j;
}

static void sort_few(int64_t *x, int32_t count)
{
    for (int32_t i = 1; i < count; i++)
        for (int32_t j = i; j > 0 && x[j - 1] > x[j]; j--) {
            int64_t kept = x[j];
            x[j] = x[j - 1];
            x[j - 1] = kept;
        }
}

/* Columns rise within groups, and groups by their first column: no other order keeps more. */
static void write_order(search *s, int64_t *order)
{
    int64_t m = s->how->m, next = 0, *group_of = s->owner;
    for (int64_t g = 0; g < s->groups; g++) {
        sort_few(s->place + g * m, (int32_t)m);
        for (int64_t k = 0; k < m; k++)
            group_of[s->place[g * m + k]] = k ? -1 : g;
    }
    for (int64_t j = 0; j < s->cols; j++)
        if (group_of[j] >= 0) {
            memcpy(order + next, s->place + group_of[j] * m, (size_t)m * sizeof *order);
            next += m;
        }
}

/* ---- reading ---- */

static s24_status check_scores(const float *x, int64_t first, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows * cols; i++)
        if (!(x[i] >= 0 && x[i] <= 3.402823466e38f))
            return s24i_fail(isfinite(x[i]) ? S24_E_ARG : S24_E_NONFINITE,
                             "score: row %lld, column %lld is %g, but must be a number from 0 up, "
                             "within single precision",
                             (long long)(first + i / cols), (long long)(i % cols), (double)x[i]);
    return S24_OK;
}

/* Near 1, so that sums have room. */
static s24_status load(search *s, const s24_mat *score)
{
    for (int64_t first = 0; first < s->rows; first += LOAD) {
        int64_t rows = s->rows - first < LOAD ? s->rows - first : LOAD;
        s24i_mat_load(s->device->kernels, score, first, rows, s->load);
        s24_status status = check_scores(s->load, first, rows, s->cols);
        if (status)
            return status;
        s->device->kernels->transpose(s->load, s->cols, s->a + first, s->rows, rows, s->cols);
    }
    double unit = s24i_unit_for(s24i_largest(s->a, s->cols * s->rows));
    s24i_multiply_by(s->a, unit, s->cols * s->rows);
    return S24_OK;
}

/* Each block in parts of nearly equal size. */
static void cut_parts(search *s)
{
    int64_t width = s->how->block / s->how->m, count = (width + PART - 1) / PART;
    for (int64_t first = 0; first < s->groups; first += width)
        for (int64_t k = 0; k < count; k++)
            s->first[s->parts++] = first + width * k / count;
    s->first[s->parts] = s->groups;
}

/* ---- all of it ---- */

static s24_status rounds(search *s, double *kept)
{
    int32_t idle = 0;
    s24_status status = kept_sum(s, kept);
    for (int64_t round = 0; round < ROUNDS && idle < IDLE && !status; round++) {
        double before = *kept;
        for (int32_t turn = 0; turn < s->how->m && !status; turn++)
            status = sweep(s, round, turn);
        if (!status)
            status = kept_sum(s, kept);
        idle = *kept > before * (1 + ENOUGH) ? 0 : idle + 1;
    }
    return status;
}

static double total(const search *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->rows * s->cols; i++)
        sum += (double)s->a[i];
    return sum;
}

static s24_status run(search *s, const s24_mat *score, int64_t *order, double kept[2])
{
    s24_status status = load(s, score);
    if (status)
        return status;
    double all = total(s);
    keep_order(s);
    status = kept_sum(s, &kept[0]);
    kept[1] = kept[0];
    if (!status && s->how->n < s->how->m && s->how->block > s->how->m && all > 0) {
        deal(s);
        cut_parts(s);
        status = rounds(s, &kept[1]);
        if (kept[1] <= kept[0]) {
            keep_order(s);
            kept[1] = kept[0];
        }
    }
    if (status)
        return status;
    write_order(s, order);
    kept[0] = all > 0 ? kept[0] / all : 1;
    kept[1] = all > 0 ? kept[1] / all : 1;
    return S24_OK;
}

static void lay_out(search *s, s24i_arena *arena)
{
    size_t rows = (size_t)s->rows, cols = (size_t)s->cols, groups = (size_t)s->groups;
    s->a = s24i_arena_take(arena, s24i_mul(cols, rows), sizeof(float));
    s->taken = s24i_arena_take(arena, s24i_mul(groups, rows), sizeof(float));
    s->rest = s24i_arena_take(arena, s24i_mul(groups, rows), sizeof(float));
    s->price = s24i_arena_take(arena, s24i_mul(groups, PART), sizeof(float));
    s->load = s24i_arena_take(arena, s24i_mul(LOAD, cols), sizeof(float));
    s->place = s24i_arena_take(arena, cols, sizeof(int64_t));
    s->owner = s24i_arena_take(arena, cols, sizeof(int64_t));
    s->list = s24i_arena_take(arena, groups, sizeof(int64_t));
    s->first = s24i_arena_take(arena, groups + 1, sizeof(int64_t));
    s->out = s24i_arena_take(arena, groups, sizeof(int32_t));
    s->sum = s24i_arena_take(arena, cols, sizeof(double));
    s->ranked = s24i_arena_take(arena, cols, sizeof(void *));
}

s24_status s24i_permute(const s24i_device *device, const s24i_permuting *how, const s24_mat *score,
                        int64_t *order, double kept[2])
{
    search s = {.device = device, .how = how, .rows = score->rows, .cols = score->cols};
    s24i_arena arena = {0};
    s.groups = s.cols / how->m;
    lay_out(&s, &arena);
    arena = (s24i_arena){.base = s24i_alloc(device->memory, arena.peak), .size = arena.peak};
    if (!arena.base)
        return S24_E_MEMORY;
    lay_out(&s, &arena);
    s24_status status = run(&s, score, order, kept);
    s24i_free(device->memory, arena.base, arena.size);
    return status;
}
