/* Speed of every row of kernels.def on every instruction set offered, one JSON object a line.
 * "ratio": for memory-bound rows, bytes a second relative to those of a plain loop that sums an
 * array of the same length; for the sweep, flops a second relative to sgemm; both measured in turn
 * with the kernel, on one thread. */
#include "../examples/cli/reexec.h"
#include "kernels/kernels.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LARGE = 1 << 24, /* floats: 64 MiB an array, out of every cache */
    SMALL = 1 << 12,
    SWEEP_COLS = 128,
    SWEEP_LANES = 256,
    SAMPLES = 9,
};

/* What one call works on. */
typedef struct work {
    const s24i_kernels *kernels;
    int64_t n;
    int32_t keep, m;
    const float *norm;
    float *x, *y, *z, *v, *b, *c; /* b, c: of sgemm */
    double *dx, *dy;
    uint16_t *half;
    uint8_t *mask;
    int64_t found;
    double sum;
} work;

typedef void (*call)(work *);

/* Of this thread's processor time: others on the machine take theirs. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_calls(call run, work *w, int64_t calls)
{
    double start = seconds();
    for (int64_t i = 0; i < calls; ++i)
        run(w);
    return (seconds() - start) / (double)calls;
}

/* So many calls that a sample takes some milliseconds, and what it finds in the caches is its
 * own. */
static int64_t calls_of(call run, work *w)
{
    double once = time_calls(run, w, 1);
    return once < 5e-3 ? (int64_t)(5e-3 / (once + 1e-8)) + 1 : 1;
}

typedef struct times {
    double plain, kernel;
} times;

/* Best of several samples, taken in turn with what is compared with, so that what else the machine
 * does meets both. */
static times best_times(call plain, call kernel, work *w)
{
    times best = {INFINITY, INFINITY};
    int64_t plain_calls = calls_of(plain, w), kernel_calls = calls_of(kernel, w);
    double start = seconds();
    for (int sample = 0; sample < SAMPLES && (sample < 2 || seconds() - start < 2); ++sample) {
        best.plain = fmin(best.plain, time_calls(plain, w, plain_calls));
        best.kernel = fmin(best.kernel, time_calls(kernel, w, kernel_calls));
    }
    return best;
}

/* ---- what to compare with ---- */

typedef float eight __attribute__((vector_size(32), aligned(4)));

/* Registers of 32 bytes: with 64 the processor at hand (Zen 4) reads memory at four fifths of the
 * rate. */
#if defined __x86_64__
#define BEST_WIDTH __attribute__((target_clones("avx2", "default")))
#else
#define BEST_WIDTH
#endif

/* Eight sums of eight: as many additions under way as their latency asks for. */
BEST_WIDTH static void run_plain_read(work *w)
{
    eight a = {0}, b = {0}, c = {0}, d = {0}, e = {0}, f = {0}, g = {0}, h = {0};
    for (int64_t i = 0; i + 64 <= w->n; i += 64) {
        const eight *x = (const eight *)(w->x + i);
        a += x[0];
        b += x[1];
        c += x[2];
        d += x[3];
        e += x[4];
        f += x[5];
        g += x[6];
        h += x[7];
    }
    a += b + c + d + e + f + g + h;
    for (int i = 0; i < 8; ++i)
        w->sum += (double)a[i];
}

enum { SGEMM = 1024 };

static void run_sgemm(work *w)
{
    const int p = SGEMM;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p, p, p, 1.0f, w->b, p, w->b, p, 0.0f,
                w->c, p);
}

static double sgemm_rate(double time)
{
    return 2.0 * SGEMM * SGEMM * SGEMM / time;
}

static void print_machine(double read, double sgemm)
{
    char line[512], *model = NULL;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && !model && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && (model = strchr(line, ':')))
            model[strcspn(model, "\n")] = 0;
    if (file)
        fclose(file);
    printf("{\"bench\":\"machine\",\"cpu\":\"%s\",\"blas_core\":\"%s\",\"compiler\":\"%s\","
           "\"threads\":1,\"read_gbytes_per_s\":%.2f,\"sgemm_gflops\":%.1f}\n",
           model ? model + 2 : "unknown", openblas_get_corename(), __VERSION__, read * 1e-9,
           sgemm * 1e-9);
}

/* ---- one line ---- */

static void print_line(const char *name, const char *variant, const work *w, double time,
                       const char *unit, double rate, double ratio)
{
    printf("{\"bench\":\"kernel\",\"name\":\"%s\",\"variant\":\"%s\",\"isa\":\"%s\",\"n\":%lld,"
           "\"ns\":%.0f,\"%s\":%.2f,\"ratio\":%.3f}\n",
           name, variant, w->kernels->isa, (long long)w->n, time * 1e9, unit, rate * 1e-9, ratio);
    fflush(stdout);
}

/* `bytes` are read and written for each of the n values. */
static void measure_bytes(const char *name, const char *variant, call run, work w, double bytes)
{
    for (int large = 0; large < 2; ++large) {
        w.n = large ? LARGE : SMALL;
        w.n -= w.m ? w.n % w.m : 0;
        times time = best_times(run_plain_read, run, &w);
        double rate = bytes * (double)w.n / time.kernel, read = 4 * (double)w.n / time.plain;
        print_line(name, variant, &w, time.kernel, "gbytes_per_s", rate, rate / read);
    }
}

/* ---- one function a row of kernels.def: run it, say how it is measured ---- */

static void run_select_24(work *w)
{
    w->kernels->select_24(w->x, w->norm, w->mask, w->n);
}

static void measure_select_24(work w)
{
    measure_bytes("select_24", "", run_select_24, w, 5);
    w.norm = w.y;
    measure_bytes("select_24", "norm", run_select_24, w, 9);
}

static void run_select_24_both(work *w)
{
    w->kernels->select_24_both(w->x, w->norm, w->mask, w->n / 16 * 4, w->n / 16 * 4);
}

static void measure_select_24_both(work w)
{
    measure_bytes("select_24_both", "", run_select_24_both, w, 5);
    w.norm = w.y;
    measure_bytes("select_24_both", "norm", run_select_24_both, w, 9);
}

static void run_select_nm(work *w)
{
    w->kernels->select_nm(w->x, w->norm, w->mask, w->n, w->keep, w->m);
}

static void measure_select_nm(work w)
{
    static const int32_t patterns[][2] = {{1, 2},  {1, 4},   {3, 5},  {4, 8},
                                          {8, 16}, {16, 32}, {32, 64}};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; ++i) {
        char variant[16];
        w.keep = patterns[i][0];
        w.m = patterns[i][1];
        snprintf(variant, sizeof variant, "%d:%d", w.keep, w.m);
        measure_bytes("select_nm", variant, run_select_nm, w, 5);
    }
}

static void run_score(work *w)
{
    w->kernels->score(w->x, w->norm, w->z, w->n);
}

static void run_score_in_place(work *w)
{
    w->kernels->score(w->z, w->norm, w->z, w->n);
}

static void measure_score(work w)
{
    measure_bytes("score", "", run_score, w, 8);
    w.norm = w.y;
    measure_bytes("score", "norm", run_score, w, 12);
    w.norm = w.v;
    measure_bytes("score", "norm, in place", run_score_in_place, w, 12);
}

/* A kernel that has one way of being called, and the bytes that it reads and writes of each
 * value. */
#define MEASURE(name, bytes, call)                      \
    static void run_##name(work *w)                     \
    {                                                   \
        call;                                           \
    }                                                   \
    static void measure_##name(work w)                  \
    {                                                   \
        measure_bytes(#name, "", run_##name, w, bytes); \
    }

MEASURE(apply_mask, 9, w->kernels->apply_mask(w->x, w->mask, w->z, w->n))
MEASURE(first_nonfinite, 4, w->found += w->kernels->first_nonfinite(w->x, w->n))
MEASURE(sum_squares, 4, w->sum += w->kernels->sum_squares(w->x, w->n))
MEASURE(dot, 8, w->sum += w->kernels->dot(w->x, w->y, w->n))
MEASURE(dot_f64, 16, w->sum += w->kernels->dot_f64(w->dx, w->dy, w->n))
MEASURE(add_squares, 20, w->kernels->add_squares(w->x, w->dx, w->n))
MEASURE(add_f32_to_f64, 20, w->kernels->add_f32_to_f64(w->x, w->dx, w->n))

static void run_difference_f64(work *w)
{
    w->kernels->difference_f64(w->x, w->norm, w->dx, w->n);
}

static void measure_difference_f64(work w)
{
    measure_bytes("difference_f64", "convert", run_difference_f64, w, 12);
    w.norm = w.y;
    measure_bytes("difference_f64", "", run_difference_f64, w, 16);
}

MEASURE(multiply, 12, w->kernels->multiply(w->x, w->y, w->z, w->n))
MEASURE(f16_to_f32, 6, w->kernels->f16_to_f32(w->half, w->z, w->n))
MEASURE(bf16_to_f32, 6, w->kernels->bf16_to_f32(w->half, w->z, w->n))
MEASURE(f32_to_f16, 6, w->kernels->f32_to_f16(w->x, w->half, w->n))
MEASURE(f32_to_bf16, 6, w->kernels->f32_to_bf16(w->x, w->half, w->n))
MEASURE(cg_step, 25, w->sum += w->kernels->cg_step(w->v, w->z, w->x, w->y, w->mask, 1e-6f, w->n))
MEASURE(admm_gap, 13, w->kernels->admm_gap(w->x, w->y, w->mask, 1, w->z, w->n))
MEASURE(admm_move, 17, w->kernels->admm_move(w->x, w->y, w->mask, 1e-6f, 1, w->z, NULL, w->n))
MEASURE(split_move, 17, w->kernels->split_move(w->x, w->mask, 1, w->z, w->n))
MEASURE(split_rest, 17, w->kernels->split_rest(w->x, w->y, w->v, w->mask, 0.5f, w->z, w->n))
MEASURE(cg_direction, 12, w->kernels->cg_direction(w->z, w->x, 0.5f, w->n))

static void run_transpose(work *w)
{
    int64_t side = w->n == LARGE ? 4096 : 64;
    w->kernels->transpose(w->x, side, w->z, side, side, side);
}

static void measure_transpose(work w)
{
    measure_bytes("transpose", "", run_transpose, w, 8);
}

/* a is destroyed and not restored: R is so nearly diagonal that it hardly grows from call to
 * call. */
static void run_sweep_block(work *w)
{
    s24i_sweep_block block = {.lanes = w->n / SWEEP_COLS, .cols = SWEEP_COLS, .ldr = 1024};
    block.w = w->x;
    block.a = w->v;
    block.d = w->z;
    block.mask = w->mask;
    block.r = w->y;
    block.inv_diag = w->norm;
    block.n = w->keep;
    block.m = w->m;
    w->kernels->sweep_block(&block);
}

static void measure_sweep_block(work w)
{
    static const int32_t patterns[][2] = {{0, 1}, {2, 4}, {1, 4}, {4, 8}, {16, 32}, {32, 64}};
    static float inv_diag[SWEEP_COLS];
    for (int64_t row = 0; row < SWEEP_COLS; ++row) {
        for (int64_t k = 0; k < SWEEP_COLS; ++k)
            w.y[row * 1024 + k] *= 1e-5f;
        w.y[row * 1025] = 1.25f;
        inv_diag[row] = 0.8f;
    }
    w.norm = inv_diag;
    for (int64_t lanes = SWEEP_LANES; lanes <= 4 * SWEEP_LANES; lanes *= 4)
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; ++i) {
            char variant[32];
            w.keep = patterns[i][0], w.m = patterns[i][1];
            w.n = lanes * SWEEP_COLS;
            snprintf(variant, sizeof variant, "%d:%d, %lld lanes", w.keep, w.m, (long long)lanes);
            times time = best_times(run_sgemm, run_sweep_block, &w);
            double rate = (double)w.n * (SWEEP_COLS - 1) / time.kernel; /* multiply and add */
            print_line("sweep_block", variant, &w, time.kernel, "gflops", rate,
                       rate / sgemm_rate(time.plain));
        }
}

enum { THIN_ROWS = 32, THIN_SIDE = 2048 };

static void run_dot_rows(work *w)
{
    w->kernels->dot_rows(w->x, THIN_ROWS, w->b, THIN_SIDE, THIN_SIDE, w->z, THIN_SIDE);
}

static void run_thin_sgemm(work *w)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, THIN_ROWS, THIN_SIDE, THIN_SIDE, 1.0f,
                w->x, THIN_SIDE, w->b, THIN_SIDE, 0.0f, w->c, THIN_SIDE);
}

/* Against sgemm at its best, then on the same shape. */
static void run_excess_rows(work *w)
{
    w->kernels->excess_rows(w->x, THIN_ROWS, w->b, THIN_SIDE, THIN_SIDE, w->z, THIN_SIDE);
}

static void measure_excess_rows(work w)
{
    double flops = 3.0 * THIN_ROWS * THIN_SIDE * THIN_SIDE;
    w.n = (int64_t)THIN_SIDE * THIN_SIDE;
    times best = best_times(run_dot_rows, run_excess_rows, &w);
    print_line("excess_rows", "32 rows, to dot_rows", &w, best.kernel, "gflops",
               flops / best.kernel, best.plain / best.kernel);
}

static void measure_dot_rows(work w)
{
    double flops = 2.0 * THIN_ROWS * THIN_SIDE * THIN_SIDE;
    w.n = (int64_t)THIN_SIDE * THIN_SIDE;
    times best = best_times(run_sgemm, run_dot_rows, &w);
    print_line("dot_rows", "32 rows", &w, best.kernel, "gflops", flops / best.kernel,
               flops / best.kernel / sgemm_rate(best.plain));
    times same = best_times(run_thin_sgemm, run_dot_rows, &w);
    print_line("dot_rows", "32 rows, to sgemm on them", &w, same.kernel, "gflops",
               flops / same.kernel, same.plain / same.kernel);
}

/* A tile whose operands stay in the second cache. */
enum { PANEL_TERMS = 256, PANEL_CALLS = 512 };

static void run_multiply_panel(work *w)
{
    s24i_panel_product p = {.rows = S24I_PANEL_ROWS, .cols = S24I_PANEL_COLS, .k = PANEL_TERMS};
    p.a = w->x;
    p.b = w->b;
    p.c = w->z;
    p.ldc = S24I_PANEL_COLS;
    p.alpha = 1;
    for (int i = 0; i < PANEL_CALLS; i++)
        w->kernels->multiply_panel(&p);
}

static void measure_multiply_panel(work w)
{
    double flops = 2.0 * S24I_PANEL_ROWS * S24I_PANEL_COLS * PANEL_TERMS * PANEL_CALLS;
    times best = best_times(run_sgemm, run_multiply_panel, &w);
    print_line("multiply_panel", "12 x 32, 256 terms", &w, best.kernel, "gflops",
               flops / best.kernel, flops / best.kernel / sgemm_rate(best.plain));
}

/* Nothing to change: what a row costs once it has settled. */
static void run_descend_row(work *w)
{
    s24i_descent row = {w->n, .code = w->z, .g = w->v, .s = w->y, .step = w->x, .inverse = w->x};
    w->found += w->kernels->descend_row(&row);
}

static void measure_descend_row(work w)
{
    memset(w.v, 0, LARGE * sizeof *w.v);
    memset(w.z, 0, LARGE * sizeof *w.z);
    measure_bytes("descend_row", "settled", run_descend_row, w, 12);
}

MEASURE(subtract_scaled, 12, w->kernels->subtract_scaled(w->z, w->x, 1e-6f, w->n))

static void run_grid_errors(work *w)
{
    float sum[3];
    w->kernels->grid_errors(w->x, w->norm ? w->norm : w->y, w->n, 7, 1.0f / 7, 8, 15, sum);
    w->sum += (double)sum[1];
}

static void measure_grid_errors(work w)
{
    measure_bytes("grid_errors", "three zeros", run_grid_errors, w, 8);
}

/* What the prox costs a group, and against the published scheme, is in prox.c. */
static void run_prox_2m_f32(work *w)
{
    w->kernels->prox_2m_f32(w->x, w->z, w->n, w->m, 1, w->keep);
}

static void measure_prox_2m_f32(work w)
{
    w.m = 4;
    w.keep = 0;
    measure_bytes("prox_2m_f32", "2:4", run_prox_2m_f32, w, 8);
    w.keep = 1;
    measure_bytes("prox_2m_f32", "2:4, relative", run_prox_2m_f32, w, 8);
}

static void run_prox_2m_f64(work *w)
{
    w->kernels->prox_2m_f64(w->dx, w->dy, w->n, w->m, 1, w->keep);
}

static void measure_prox_2m_f64(work w)
{
    w.m = 4;
    w.keep = 0;
    measure_bytes("prox_2m_f64", "2:4", run_prox_2m_f64, w, 16);
}

static void run_prox_1m_f32(work *w)
{
    w->kernels->prox_1m_f32(w->x, w->z, w->n, w->m, 0.5f);
}

static void measure_prox_1m_f32(work w)
{
    w.m = 4;
    measure_bytes("prox_1m_f32", "1:4", run_prox_1m_f32, w, 8);
}

static void run_prox_1m_f64(work *w)
{
    w->kernels->prox_1m_f64(w->dx, w->dy, w->n, w->m, 0.5);
}

static void measure_prox_1m_f64(work w)
{
    w.m = 4;
    measure_bytes("prox_1m_f64", "1:4", run_prox_1m_f64, w, 16);
}

static void run_prox_firm_f32(work *w)
{
    w->kernels->prox_firm_f32(w->x, w->z, w->n, w->keep, w->m, 0.5f);
}

static void measure_prox_firm_f32(work w)
{
    w.m = 4;
    w.keep = 2;
    measure_bytes("prox_firm_f32", "2:4", run_prox_firm_f32, w, 8);
    w.m = 8;
    w.keep = 4;
    measure_bytes("prox_firm_f32", "4:8", run_prox_firm_f32, w, 8);
}

static void run_prox_firm_f64(work *w)
{
    w->kernels->prox_firm_f64(w->dx, w->dy, w->n, w->keep, w->m, 0.5);
}

static void measure_prox_firm_f64(work w)
{
    w.m = 4;
    w.keep = 2;
    measure_bytes("prox_firm_f64", "2:4", run_prox_firm_f64, w, 16);
}

/* ---- products with weights in lanes ---- */

enum { BLOCK_TILES = 128, BLOCK_BATCH = 8 };

/* Block after block of whatever bits: no index of theirs leads anywhere. */
static void run_lanes(work *w, void (*kernel)(const s24i_lane_product *, const void *, float *),
                      int64_t tile, const void *x)
{
    s24i_lane_product p = {BLOCK_TILES, w->keep, 2048, x, w->c, 4, 4};
    int64_t block = BLOCK_TILES * tile + BLOCK_TILES / 4 * 48;
    float y[16 * BLOCK_BATCH];

    for (int64_t at = 0; at + block <= w->n * 4 || !at; at += block) {
        kernel(&p, (const char *)w->x + at, y);
        w->sum += (double)y[0];
    }
}

#define MEASURE_LANES(name, tile, x)                                                     \
    static void run_##name(work *w)                                                      \
    {                                                                                    \
        run_lanes(w, w->kernels->name, tile, x);                                         \
    }                                                                                    \
    static void measure_##name(work w)                                                   \
    {                                                                                    \
        for (w.keep = 1; w.keep <= BLOCK_BATCH; w.keep *= 8)                             \
            measure_bytes(#name, w.keep == 1 ? "batch 1" : "batch 8", run_##name, w, 4); \
    }

MEASURE_LANES(sparse_f32, 1088, w->y)
MEASURE_LANES(sparse_bf16, 576, w->y)
MEASURE_LANES(sparse_f16, 576, w->y)
MEASURE_LANES(sparse_bf16_dot, 576, w->half)
MEASURE_LANES(dense_f32, 2048, w->y)
MEASURE_LANES(dense_bf16, 1024, w->y)
MEASURE_LANES(dense_f16, 1024, w->y)
MEASURE_LANES(dense_bf16_dot, 1024, w->half)
MEASURE_LANES(sparse_int8, 320, w->mask)
MEASURE_LANES(sparse_int4, 192, w->mask)
MEASURE_LANES(sparse_int4_zeros, 192, w->mask)
MEASURE_LANES(sparse_int4_p6, 176, w->mask)
MEASURE_LANES(dense_int8, 512, w->mask)
MEASURE_LANES(dense_int4, 256, w->mask)
MEASURE_LANES(dense_int4_zeros, 256, w->mask)
MEASURE(quantise_token, 5, w->kernels->quantise_token(w->x, w->n, 128, 1, w->mask, w->c))

/* ---- */

static void fill(work *w)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < w->n; ++i) {
        state = state * 1664525u + 1013904223u;
        w->x[i] = (float)(int32_t)state * 0x1p-31f;
        w->y[i] = (float)(state >> 8) * 0x1p-24f;
        w->z[i] = w->x[i];
        w->v[i] = 1.0f;
        w->b[i] = w->x[i];
        w->dx[i] = (double)w->x[i];
        w->dy[i] = (double)w->y[i];
        w->half[i] = (uint16_t)(0x3000 | (state >> 20 & 0x7ff));
        w->mask[i] = state >> 31;
    }
}

static void *array(size_t size)
{
    void *values = aligned_alloc(64, LARGE * size);
    if (!values)
        exit(1);
    return values;
}

/* An argument names the one row to measure. */
int main(int argc, char **argv)
{
    reexec_for_blas(argv);
    s24i_kernels table;
    work w = {.kernels = &table, .n = LARGE, .x = array(4), .y = array(4), .z = array(4)};
    w.v = array(4);
    w.b = array(4);
    w.c = array(4);
    w.dx = array(8);
    w.dy = array(8);
    w.half = array(2);
    w.mask = array(1);
    openblas_set_num_threads(1);
    fill(&w);
    times time = best_times(run_plain_read, run_sgemm, &w);
    print_machine(4.0 * LARGE / time.plain, sgemm_rate(time.kernel));
    for (int isa = 0; s24i_kernels_isa(isa); ++isa) {
        s24i_kernels_dispatch(&table, s24i_kernels_isa(isa));
        fill(&w);
#define S24I_KERNEL(type, name, arguments)       \
    if (argc < 2 || strcmp(argv[1], #name) == 0) \
        measure_##name(w);
#include "kernels/kernels.def"
#undef S24I_KERNEL
    }
    void *arrays[] = {w.x, w.y, w.z, w.v, w.b, w.c, w.dx, w.dy, w.half, w.mask};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i)
        free(arrays[i]);
    return 0;
}
