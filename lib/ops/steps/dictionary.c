#include "steps.h"
#include <math.h>
#include <string.h>

/*
 * W ~ C D with few atoms in each row of C (CoSpaDi, Shopkhoev et al. 2025), in unit-diagonal
 * coordinates. For given atoms a row of C is a sparse problem of its own, with the matrix
 * A = D S D^T in place of S and the aim W S D^T A^-1: all that solves rows of W solves rows of C.
 * For given C the best atoms are (C^T C)^-1 C^T W, whatever S is.
 */
enum { ROWS = 32 };
#define RIDGE \
    1e-5              /* of matrices with unit diagonal that are inverted; ten times as much where
                       * that does not do */
#define MOST_RIDGE 10 /* then it is given up */
#define FLOOR 1e-7f

static int64_t tiles(int64_t count)
{
    return (count + ROWS - 1) / ROWS;
}

static int64_t tile_rows(int64_t count, int64_t tile)
{
    return count - tile * ROWS < ROWS ? count - tile * ROWS : ROWS;
}

s24_status s24i_cpu_dictionary_take(const s24i_run *run, s24i_dictionary *a)
{
    size_t k = (size_t)a->atoms, n = (size_t)a->target->prepared->dim;
    size_t m = (size_t)a->target->rows;
    a->low = (s24i_lowrank){.run = run, .p = a->target->prepared, .rows = a->target->rows};
    a->low.rank = a->atoms;
    s24i_lowrank_take(run, &a->low);
    a->atom = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    a->image = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    a->turned = s24i_arena_take(run->arena, s24i_mul(k, n), sizeof(float));
    a->codes = s24i_arena_take(run->arena, s24i_mul(m, k), sizeof(float));
    a->kept = s24i_arena_take(run->arena, s24i_mul(m, k), 1);
    a->aim = s24i_arena_take(run->arena, s24i_mul(m, k), sizeof(float));
    a->norm = s24i_arena_take(run->arena, k, sizeof(double));
    s24i_prepared_take(run, a->atoms, &a->metric);
    if (!s24i_counting(run))
        s24i_cpu_prepare_identity(run, &a->metric);
    return S24_OK;
}

s24_status s24i_cpu_dictionary_start(const s24i_run *run, s24i_dictionary *a)
{
    const s24i_lowrank *low = &a->low;
    int64_t n = a->target->prepared->dim, k = a->atoms, held = low->rank < k ? low->rank : k;
    memset(a->atom, 0, (size_t)(k * n) * sizeof(float));
    memset(a->codes, 0, (size_t)(a->target->rows * k) * sizeof(float));
    memcpy(a->atom, low->c, (size_t)(held * n) * sizeof(float));
    for (int64_t i = 0; i < a->target->rows; i++)
        memcpy(a->codes + i * k, low->q + i * low->width, (size_t)held * sizeof(float));
    return S24_OK;
}

/* R of the symmetric s (dim x dim), whose diagonal gains the ridge; s gains it too. */
static s24_status factor(const s24i_run *run, s24i_prepared *p)
{
    bool positive = s24i_counting(run);
    int64_t k = p->dim;
    s24_status status = positive ? s24i_cholesky(run, k, NULL, NULL, 0, NULL) : S24_OK;
    for (double ridge = RIDGE; !status && !positive && ridge < MOST_RIDGE; ridge *= 10) {
        for (int64_t i = 0; i < k; i++)
            p->s[i * k + i] = (float)(1 + ridge);
        memcpy(p->r, p->s, (size_t)(k * k) * sizeof(float));
        status = s24i_cholesky(run, k, p->r, p->inv_diag, FLOOR, &positive);
    }
    if (!status && !positive)
        return s24i_fail(S24_E_NUMERIC, "the atoms of the dictionary have no factor");
    return status;
}

/* ---- The metric of the atoms ---- */

/* image = D S, then atoms of length 1, and the codes with them. */
static void form_image(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    const s24i_prepared *p = a->target->prepared;
    int64_t n = p->dim, first = tile * ROWS, rows = tile_rows(a->atoms, tile);
    s24i_times(rows, n, a->atom + first * n, p->s, a->image + first * n);
    for (int64_t k = first; k < first + rows; k++) {
        float *atom = a->atom + k * n, *image = a->image + k * n;
        double square = 0;
        for (int64_t j = 0; j < n; j++)
            square += (double)atom[j] * image[j];
        a->norm[k] = square > 0 ? sqrt(square) : 0;
        for (int64_t j = 0; j < n && square > 0; j++) {
            atom[j] = (float)(atom[j] / a->norm[k]);
            image[j] = (float)(image[j] / a->norm[k]);
        }
    }
}

static void scale_codes(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    for (int64_t k = 0; k < a->atoms; k++)
        a->codes[i * a->atoms + k] *= (float)a->norm[k];
}

static void form_metric(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    int64_t n = a->target->prepared->dim, k = a->atoms, first = tile * ROWS;
    s24i_sgemm(tile_rows(k, tile), k, n, 1, s24i_f32(a->atom + first * n, n),
               s24i_f32_turned(a->image, n), 0, s24i_f32_out(a->metric.s + first * k, k));
}

static void form_aim(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    int64_t n = a->target->prepared->dim, k = a->atoms, first = tile * ROWS;
    s24i_sgemm(tile_rows(a->target->rows, tile), k, n, 1, s24i_f32(a->target->w + first * n, n),
               s24i_f32_turned(a->image, n), 0, s24i_f32_out(a->aim + first * k, k));
}

static void mirror(float *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            s[j * n + i] = s[i * n + j];
}

s24_status s24i_cpu_dictionary_metric(const s24i_run *run, s24i_dictionary *a)
{
    s24i_threads *threads = run->device->threads;
    int64_t rows = a->target->rows;
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        status = s24i_parallel(threads, form_image, a, tiles(a->atoms));
        if (!status)
            status = s24i_parallel(threads, scale_codes, a, rows);
        if (!status)
            status = s24i_parallel(threads, form_metric, a, tiles(a->atoms));
        if (!status)
            status = s24i_parallel(threads, form_aim, a, tiles(rows));
        mirror(a->metric.s, a->atoms);
        run->arena->flops += 2 * (double)a->atoms * (double)a->target->prepared->dim *
                             (double)(a->target->prepared->dim + a->atoms + rows);
    }
    if (!status)
        status = factor(run, &a->metric);
    return status ? status
                  : s24i_solve_rows(run, a->atoms, a->metric.r, a->metric.inv_diag, a->aim, rows);
}

/* ---- The atoms ---- */

static void sum_codes(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    int64_t k = a->atoms, first = tile * ROWS;
    s24i_sgemm(tile_rows(k, tile), k, a->target->rows, 1, s24i_f32_turned(a->codes + first, k),
               s24i_f32(a->codes, k), 0, s24i_f32_out(a->metric.s + first * k, k));
}

static void unit_diagonal(s24i_dictionary *a)
{
    int64_t k = a->atoms;
    float *s = a->metric.s;
    for (int64_t i = 0; i < k; i++)
        a->norm[i] = s[i * k + i] > 0 ? 1 / sqrt((double)s[i * k + i]) : 0;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++)
            s[i * k + j] = (float)(s[i * k + j] * a->norm[i] * a->norm[j]);
}

/* turned = W^T C, dim x atoms. */
static void gather_rows(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    int64_t n = a->target->prepared->dim, k = a->atoms, first = tile * ROWS;
    int64_t rows = tile_rows(n, tile);
    s24i_sgemm(rows, k, a->target->rows, 1, s24i_f32_turned(a->target->w + first, n),
               s24i_f32(a->codes, k), 0, s24i_f32_out(a->turned + first * k, k));
    for (int64_t i = first * k; i < (first + rows) * k; i++)
        a->turned[i] = (float)(a->turned[i] * a->norm[i % k]);
}

/* An atom that nobody uses stays as it is. */
static void turn_atoms(void *arg, int64_t k, int32_t worker)
{
    (void)worker;
    s24i_dictionary *a = arg;
    int64_t n = a->target->prepared->dim;
    for (int64_t j = 0; j < n && a->norm[k] > 0; j++)
        a->atom[k * n + j] = (float)(a->turned[j * a->atoms + k] * a->norm[k]);
}

s24_status s24i_cpu_dictionary_atoms(const s24i_run *run, s24i_dictionary *a)
{
    s24i_threads *threads = run->device->threads;
    int64_t n = a->target->prepared->dim;
    s24_status status = S24_OK;
    if (!s24i_counting(run)) {
        status = s24i_parallel(threads, sum_codes, a, tiles(a->atoms));
        unit_diagonal(a);
        if (!status)
            status = s24i_parallel(threads, gather_rows, a, tiles(n));
        run->arena->flops +=
            2 * (double)a->atoms * (double)a->target->rows * (double)(a->atoms + n);
    }
    if (!status)
        status = factor(run, &a->metric);
    if (!status)
        status = s24i_solve_rows(run, a->atoms, a->metric.r, a->metric.inv_diag, a->turned, n);
    if (!status && !s24i_counting(run))
        status = s24i_parallel(threads, turn_atoms, a, a->atoms);
    return status;
}

/* ---- What is handed out ---- */

typedef struct {
    const s24i_dictionary *a;
    float *codes, *atoms, *v;
} storing;

/* In matrix coordinates, of a length near 1; the codes take the rest. */
static void store_atom(void *arg, int64_t k, int32_t worker)
{
    (void)worker;
    const storing *s = arg;
    const s24i_dictionary *a = s->a;
    const s24i_prepared *p = a->target->prepared;
    int64_t n = p->dim;
    double square = 0, plain = p->plain * p->unit;
    int exponent = 0;
    float *atom = s->atoms + k * n;
    for (int64_t j = 0; j < n; j++) /* in a unit where that is near 1 */
        square += pow(a->atom[k * n + j] * p->inverse[j] * plain, 2);
    frexp(sqrt(square), &exponent);
    for (int64_t j = 0; j < n; j++)
        atom[j] = (float)ldexp(a->atom[k * n + j] * p->inverse[j] * plain, -exponent);
    for (int64_t i = 0; i < a->target->rows; i++) {
        int64_t at = i * a->atoms + k;
        s->codes[at] =
            a->kept[at] ? (float)(ldexp((double)a->codes[at], exponent) / (plain * p->unit)) : 0;
    }
}

static void store_rows(void *arg, int64_t tile, int32_t worker)
{
    (void)worker;
    const storing *s = arg;
    int64_t n = s->a->target->prepared->dim, k = s->a->atoms, first = tile * ROWS;
    s24i_sgemm_exact(tile_rows(s->a->target->rows, tile), n, k, 1,
                     s24i_f32(s->codes + first * k, k), s24i_f32(s->atoms, n), 0,
                     s24i_f32_out(s->v + first * n, n));
}

s24_status s24i_cpu_dictionary_store(const s24i_run *run, const s24i_dictionary *a,
                                     const s24_mat *codes, const s24_mat *atoms, float *v)
{
    storing s = {a, codes->data, atoms->data, v};
    s24_status status = s24i_parallel(run->device->threads, store_atom, &s, a->atoms);
    return status ? status
                  : s24i_parallel(run->device->threads, store_rows, &s, tiles(a->target->rows));
}
