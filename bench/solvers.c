/* Sums, products, factorisations and solvers against the sgemm rate of the same run: one JSON
 * object a line. Efficiency = flops of the method (of solvers as the result counts them, without
 * the losses of every call) / (time x sgemm rate with the same number of threads). */
#include "../examples/cli/reexec.h"
#include <sparse24/sparse24.h>
#include "api/api.h"
#include "ops/ops.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 5, ROWS = 8192 };

typedef struct {
    s24_ctx *ctx;
    int64_t dim;
    int threads;
    const char *only; /* NULL: all */
    double sgemm;     /* flops a second */
    float *w, *x, *y;
    uint16_t *half; /* x as bf16 */
} bench;

static const char usage[] =
    "bench_solvers [--cpu-time] [--only NAME] [DIM [THREADS,...]]\n"
    "Sums, products, factorisations and solvers on DIM x DIM (2048) with so many threads (1,2).\n"
    "A JSON object a line; each time is the best of several runs.\n"
    "--cpu-time   processor time instead of time: for busy machines, one thread only\n"
    "--only NAME  nothing but sgemm and this line: product, gram, cholesky or a solver\n";

static clockid_t which_clock = CLOCK_MONOTONIC;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(which_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool wanted(const bench *b, const char *name)
{
    return !b->only || !strcmp(b->only, name);
}

static void must(s24_status status)
{
    if (status) {
        fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
        exit(1);
    }
}

static void *block(int64_t count, size_t size)
{
    void *p = aligned_alloc(64, ((size_t)count * size + 63) / 64 * 64);
    if (!p)
        exit(1);
    return p;
}

static void report(const bench *b, const char *name, const char *what, double flops, double seconds)
{
    printf("{\"bench\":\"%s\",\"what\":\"%s\",\"dim\":%lld,\"threads\":%d,\"seconds\":%.4f,"
           "\"gflops\":%.1f,\"efficiency\":%.3f}\n",
           name, what, (long long)b->dim, b->threads, seconds, flops / seconds * 1e-9,
           flops / (seconds * b->sgemm));
    fflush(stdout);
}

/* Correlated inputs: white noise smoothed along the columns, the scale of inputs spread over two
 * decades. */
static void fill(bench *b)
{
    int64_t n = b->dim;
    uint64_t state = 88172645463325252u;
    for (int64_t i = 0; i < ROWS * n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        float noise = (float)(int64_t)state / 9.2e18f;
        b->x[i] = noise + (i % n ? 0.8f * b->x[i - 1] : 0);
        if (i < n * n)
            b->w[i] = (float)(int64_t)(state * 2654435761u) / 9.2e18f;
    }
    for (int64_t i = 0; i < ROWS * n; i++)
        b->x[i] *= expf(-4.6f * (float)(i % n) / (float)n);
    s24_mat x, half;
    must(s24_mat_rowmajor(&x, b->x, ROWS, n, S24_F32));
    must(s24_mat_rowmajor(&half, b->half, ROWS, n, S24_BF16));
    must(s24_mat_copy(b->ctx, &x, &half));
}

static void bench_sgemm(bench *b)
{
    int n = (int)b->dim;
    double best = INFINITY;
    openblas_set_num_threads(b->threads);
    for (int run = 0; run < 2 * RUNS; run++) {
        double start = seconds();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, b->x, n, b->w, n, 0,
                    b->y, n);
        best = fmin(best, seconds() - start);
    }
    b->sgemm = 2.0 * n * n * n / best;
    report(b, "sgemm", "OpenBLAS", 2.0 * n * n * n, best);
}

/* Few rows times one matrix: packed once, and by sgemm, which packs it in each call. */
static void bench_product(const bench *b, int64_t rows)
{
    s24i_threads threads = {.memory = &b->ctx->memory, .count = 1};
    s24i_device device = b->ctx->cpu;
    device.threads = &threads;
    int64_t n = b->dim;
    float *data = block((int64_t)s24i_panels_size(n, n), sizeof(float));
    double packed = INFINITY, plain = INFINITY, flops = 2 * (double)rows * (double)(n * n);
    char what[40];
    s24i_panels panels;
    must(s24i_pack_panels(&device, s24i_f32(b->w, n), n, n, data, &panels));
    openblas_set_num_threads(1);
    for (int run = 0; run < 8 * RUNS; run++) {
        double start = seconds();
        s24i_times_packed(&device, rows, b->x, &panels, b->y);
        double middle = seconds();
        s24i_times(rows, n, b->x, b->w, b->y);
        packed = fmin(packed, middle - start);
        plain = fmin(plain, seconds() - middle);
    }
    snprintf(what, sizeof what, "%lld rows, packed once", (long long)rows);
    report(b, "product", what, flops, packed);
    snprintf(what, sizeof what, "%lld rows, sgemm", (long long)rows);
    report(b, "product", what, flops, plain);
    free(data);
}

static s24_gram *make_gram(const bench *b)
{
    s24_gram *gram;
    must(s24_gram_create(b->ctx, b->dim, S24_F32, &gram));
    return gram;
}

static void add_rows(const bench *b, s24_gram *gram, int32_t dtype)
{
    s24_mat x;
    must(s24_mat_rowmajor(&x, dtype == S24_F32 ? (void *)b->x : (void *)b->half, ROWS, b->dim,
                          dtype));
    must(s24_gram_add(gram, &x, NULL));
}

static void bench_gram(const bench *b, int32_t dtype, const char *what)
{
    double best = INFINITY;
    s24_gram *gram = make_gram(b);
    for (int run = 0; run < RUNS; run++) {
        double start = seconds();
        add_rows(b, gram, dtype);
        best = fmin(best, seconds() - start);
    }
    s24_gram_destroy(gram);
    report(b, "gram", what, (double)ROWS * (double)(b->dim * b->dim), best);
}

static void bench_factor(const bench *b)
{
    s24i_threads threads = {.memory = &b->ctx->memory, .count = b->threads};
    s24i_device device = b->ctx->cpu;
    device.threads = &threads;
    int64_t n = b->dim;
    float *s = block(n * n, sizeof(float)), *k = block(n * n, sizeof(float));
    float *diagonal = block(n * S24I_BLOCK, sizeof(float));
    double factor = INFINITY, inverse = INFINITY, cube = (double)n * (double)n * (double)n;
    s24i_arena arena = {0};
    s24i_run work = {.device = &device, .arena = &arena};
    s24i_cholesky(&work, n, NULL, NULL, 0, NULL);
    s24i_inverse(&work, n, NULL, NULL, NULL);
    arena.size = arena.peak;
    arena.base = block((int64_t)arena.size, 1);
    s24i_blas_hold();
    for (int run = 0; run < RUNS; run++) {
        bool positive;
        for (int64_t i = 0; i < n * n; i++)
            s[i] = powf(0.9f, fabsf((float)(i / n - i % n)));
        double start = seconds();
        must(s24i_cholesky(&work, n, s, diagonal, 0, &positive));
        double middle = seconds();
        must(s24i_inverse(&work, n, s, diagonal, k));
        factor = fmin(factor, middle - start);
        inverse = fmin(inverse, seconds() - start);
    }
    s24i_blas_release();
    s24i_threads_stop(&threads);
    report(b, "cholesky", "S = R R^T", cube / 3, factor);
    report(b, "inverse", "Cholesky included", cube, inverse);
    free(arena.base);
    free(diagonal);
    free(k);
    free(s);
}

static void bench_solver(const bench *b, const char *name, const char *options,
                         const char *constraints)
{
    s24_problem *problem;
    s24_solver *solver;
    s24_mat w;
    double best = INFINITY, flops = 0;
    char what[160];
    if (!wanted(b, name))
        return;
    s24_gram *gram = make_gram(b);
    add_rows(b, gram, S24_F32);
    must(s24_mat_rowmajor(&w, b->w, b->dim, b->dim, S24_F32));
    must(s24_problem_create(b->ctx, &w, &problem));
    must(s24_problem_set_gram(problem, gram));
    must(s24_problem_parse(problem, constraints));
    must(s24_solver_create(b->ctx, name, &solver));
    must(s24_solver_parse(solver, options));
    for (int run = 0; run < RUNS && (run < 2 || best < 2); run++) {
        s24_result *result;
        double start = seconds();
        must(s24_solve(solver, problem, &result));
        best = fmin(best, seconds() - start);
        must(s24_result_float(result, "flops", &flops));
        s24_result_destroy(result);
    }
    snprintf(what, sizeof what, "%s %s", constraints, options ? options : "");
    report(b, name, what, flops, best);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    s24_gram_destroy(gram);
}

static void run_all(bench *b)
{
    bench_sgemm(b);
    must(s24_ctx_set_int(b->ctx, "threads", b->threads));
    for (int64_t rows = 32; rows <= 256 && b->threads == 1 && wanted(b, "product"); rows *= 2)
        bench_product(b, rows);
    if (wanted(b, "gram")) {
        bench_gram(b, S24_F32, "f32 rows");
        bench_gram(b, S24_BF16, "bf16 rows");
    }
    if (wanted(b, "cholesky"))
        bench_factor(b);
    bench_solver(b, "wanda", NULL, "2:4");
    bench_solver(b, "sparsegpt", "preset=paper", "2:4");
    bench_solver(b, "sparsegpt", "preset=paper", "50%");
    bench_solver(b, "sparsegpt", NULL, "2:4");
    bench_solver(b, "gptq", NULL, "int4");
    bench_solver(b, "quantease", NULL, "int4");
    bench_solver(b, "alps", "damp_rule=relative", "2:4");
    bench_solver(b, "alps", NULL, "2:4");
    bench_solver(b, "alps", "preset=best", "2:4");
    bench_solver(b, "prox24", "damp_rule=relative", "2:4");
}

static void refuse(const char *why)
{
    fprintf(stderr, "bench_solvers: %s; --help says more\n", why);
    exit(2);
}

/* The words that are left when options are gone. */
static const char *next_word(bench *b, char ***at)
{
    static const char *const names[] = {"product", "gram",      "cholesky", "wanda", "sparsegpt",
                                        "gptq",    "quantease", "alps",     "prox24"};
    for (; **at && ***at == '-'; ++*at) {
        if (!strcmp(**at, "--help")) {
            fputs(usage, stdout);
            exit(0);
        }
        bool only = !strcmp(**at, "--only"), known = false;
        if (!only && strcmp(**at, "--cpu-time"))
            refuse("unknown option");
        if (!only) {
            which_clock = CLOCK_PROCESS_CPUTIME_ID;
            continue;
        }
        if (!(b->only = *++*at))
            refuse("--only needs a name");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            known |= !strcmp(b->only, names[i]);
        if (!known)
            refuse("no line has the name after --only");
    }
    return **at ? *(*at)++ : NULL;
}

static int64_t number(const char *text, int64_t most)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || (*end && *end != ',') || value < 1 || value > most)
        refuse("DIM and THREADS are whole numbers, from 1 to 16384 and 1 to 1024");
    return value;
}

int main(int argc, char **argv)
{
    (void)argc;
    reexec_for_blas(argv);
    bench b = {.dim = 2048};
    char **at = argv + 1;
    const char *dim = next_word(&b, &at), *list = next_word(&b, &at);
    if (next_word(&b, &at))
        refuse("too many words");
    b.dim = dim ? number(dim, 16384) : 2048;
    bool cpu = which_clock != CLOCK_MONOTONIC;
    list = list ? list : cpu ? "1" : "1,2";
    if (cpu && strcmp(list, "1") != 0)
        refuse("--cpu-time takes one thread");
    must(s24_ctx_create(&b.ctx));
    b.w = block(b.dim * b.dim, sizeof(float));
    b.y = block(b.dim * b.dim, sizeof(float));
    b.x = block(ROWS * b.dim, sizeof(float));
    b.half = block(ROWS * b.dim, sizeof(uint16_t));
    fill(&b);
    printf("{\"bench\":\"machine\",\"blas\":\"%s\",\"compiler\":\"%s\",\"version\":\"%s\"}\n",
           s24_build_info("blas"), s24_build_info("compiler"), s24_version());
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL) {
        b.threads = (int)number(list, 1024);
        run_all(&b);
    }
    free(b.half);
    free(b.x);
    free(b.y);
    free(b.w);
    s24_ctx_destroy(b.ctx);
    return 0;
}
