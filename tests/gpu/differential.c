/*
 * Every operation of ops.def on a device against the CPU: usage: differential LIBRARY:INDEX. All
 * solvers run on a device called "both". Its arrays lie where the host and the GPU see them under
 * one address; each operation runs on the CPU and on the GPU from the same state, and what they
 * leave is compared. Then the solvers run on the GPU alone: losses, bits from run to run, memory.
 */
#include "api/api.h"
#include "base/half.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(bool good, const char *format, ...)
{
    va_list arguments;

    good ? passed++ : failed++;
    if (good || failed > 300)
        return;
    printf("not ok - ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

/* ---- Arrays that both see ---- */

extern int cudaHostAlloc(void **block, size_t size, unsigned flags);
extern int cudaFreeHost(void *block);
extern int cudaMalloc(void **block, size_t size);
extern int cudaFree(void *block);
extern int cudaMemcpy(void *to, const void *from, size_t size, int kind);
extern int cudaDeviceSynchronize(void);
extern int cudaGetLastError(void);
extern const char *cudaGetErrorString(int error);

enum { MOST_TAKES = 4096 };
static struct take {
    size_t offset, bytes, element;
} takes[MOST_TAKES];
static int take_count;
static char *base, *before, *after;
static size_t base_size;

void *__real_s24i_arena_take(s24i_arena *arena, size_t count, size_t element_size);
void *__wrap_s24i_arena_take(s24i_arena *arena, size_t count, size_t element_size);

/* Remembers what lies where, so that a comparison knows the types. */
void *__wrap_s24i_arena_take(s24i_arena *arena, size_t count, size_t element_size)
{
    size_t offset = arena->used;
    void *block = __real_s24i_arena_take(arena, count, element_size);

    if (base && arena->base == base && block) {
        while (take_count && takes[take_count - 1].offset >= offset)
            take_count--;
        if (take_count < MOST_TAKES)
            takes[take_count++] = (struct take){offset, count * element_size, element_size};
    }
    return block;
}

static void *both_alloc(void *user, size_t size, size_t align)
{
    void *block = NULL;

    (void)user;
    (void)align;
    if (base || cudaHostAlloc(&block, size, 2))
        return NULL;
    base = block;
    base_size = size;
    before = malloc(size);
    after = malloc(size);
    memset(base, 0, size);
    take_count = 0;
    return block;
}

static void both_free(void *user, void *block, size_t size)
{
    (void)user;
    (void)size;
    cudaFreeHost(block);
    free(before);
    free(after);
    base = NULL;
}

/* ---- Comparison ---- */

enum {
#define S24I_OPERATION(scratch, name, parameters, arguments) AT_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
    OPERATIONS
};

static const char *const names[] = {
#define S24I_OPERATION(scratch, name, parameters, arguments) #name,
#include "ops/ops.def"
#undef S24I_OPERATION
};

static struct {
    int64_t calls, missing, bytes_differ, elements, off;
    double worst;
} tally[OPERATIONS];
static size_t inv_diag_bytes;
static const char *solving; /* what runs, for texts */

/* Where elements may differ: near ties are decided by rounding. */
static double allowed(int at)
{
    switch (at) {
    case AT_sweep:
    case AT_sweep_grid:
    case AT_admm_iterate:
    case AT_shrink:
    case AT_keep_better:
    case AT_project:
    case AT_descend:
    case AT_relax:
    case AT_grid_fit:
    case AT_choose_outliers:
    case AT_cg:
        return 0.05;
    default:
        return 0;
    }
}

static double tolerance(int at)
{
    switch (at) {
    case AT_reorder:
    case AT_prepare_factor:
    case AT_variances:
        return 2e-3;
    default:
        return 1e-3;
    }
}

static double number(const char *block, size_t element, size_t i)
{
    return element == 4 ? (double)((const float *)(const void *)block)[i]
                        : ((const double *)(const void *)block)[i];
}

/* Inverted diagonal blocks, which the GPU does not keep, and of a reordered factor what lies below
 * its diagonal. */
static bool is_own(int at, const struct take *t)
{
    return at == AT_reorder || (at == AT_prepare_factor && t->bytes == inv_diag_bytes);
}

static void compare_block(int at, const struct take *t, size_t end)
{
    if (is_own(at, t))
        return;
    size_t bytes = t->offset + t->bytes < end ? t->bytes : end - t->offset, off = 0, first = 0;
    size_t count = bytes / (t->element ? t->element : 1);
    const char *cpu = after + t->offset, *gpu = base + t->offset;
    double largest = 0;

    if (!bytes || !memcmp(cpu, gpu, bytes))
        return;
    for (size_t i = 0; t->element >= 4 && i < count; i++)
        if (fabs(number(cpu, t->element, i)) < 1e300)
            largest = fmax(largest, fabs(number(cpu, t->element, i)));
    for (size_t i = 0; i < count; i++) {
        double c, g, gap;
        bool bad;
        if (t->element < 4) {
            bad = cpu[i] != gpu[i];
        } else {
            c = number(cpu, t->element, i);
            g = number(gpu, t->element, i);
            gap = memcmp(cpu + i * t->element, gpu + i * t->element, t->element)
                      ? fabs(c - g) / (largest > 0 ? largest : 1)
                      : 0;
            bad = !(gap <= tolerance(at));
            if (gap > tally[at].worst)
                tally[at].worst = gap;
        }
        if (bad && !off++)
            first = i;
    }
    tally[at].elements += (int64_t)count;
    tally[at].off += (int64_t)off;
    if ((double)off > allowed(at) * (double)count + (allowed(at) > 0 ? 2 : 0)) {
        char texts[64];
        if (t->element < 4)
            snprintf(texts, sizeof texts, "cpu %d, gpu %d", (unsigned char)cpu[first],
                     (unsigned char)gpu[first]);
        else
            snprintf(texts, sizeof texts, "cpu %.9g, gpu %.9g", number(cpu, t->element, first),
                     number(gpu, t->element, first));
        check(false, "%s in %s: array at %zu of %zu x %zu bytes: %zu differ, first %zu: %s",
              names[at], solving, t->offset, count, t->element, off, first, texts);
    }
}

static void compare(int at, const s24i_arena *arena)
{
    size_t end = arena->used;

    passed++;
    for (int i = 0; i < take_count && takes[i].offset < end; i++)
        compare_block(at, &takes[i], end);
}

/* ---- The device that is both ---- */

static s24i_device *gpu, *cpu;

static s24_status gpu_done(int at, s24_status status)
{
    int error = cudaDeviceSynchronize();

    if (status)
        check(false, "%s in %s: %s", names[at], solving, s24_last_error());
    if (error) {
        check(false, "%s in %s: CUDA error %d: %s", names[at], solving, error,
              cudaGetErrorString(error));
        printf("a CUDA error stays: nothing more can be tested\n");
        exit(1);
    }
    return status;
}

/* What operations change of structures of the host, so that both begin with the same. */
static s24i_admm *admm_now;
static s24i_admm admm_before;

static void keep_admm(int at, s24i_admm *admm)
{
    (void)at;
    admm_now = admm;
    admm_before = *admm;
}

#define BOTH(name, parameters, arguments, keep)                                       \
    static s24_status both_##name parameters                                          \
    {                                                                                 \
        const s24i_run *outer_ = run;                                                  \
        s24i_run on_cpu_ = *run, on_gpu_ = *run;                                        \
        size_t used_ = run->arena->used, cpu_used_;                                     \
        on_cpu_.device = cpu;                                                          \
        on_gpu_.device = gpu;                                                          \
        admm_now = NULL;                                                              \
        keep;                                                                         \
        tally[AT_##name].calls += !s24i_counting(run);                                 \
        if (!gpu->operations->name) {                                                 \
            tally[AT_##name].missing++;                                                \
            return s24i_no_operation(&on_gpu_, #name);                                 \
        }                                                                             \
        bool real_ = !s24i_counting(run);                                              \
        if (real_)                                                                     \
            memcpy(before, base, base_size);                                          \
        run = &on_cpu_;                                                                \
        s24_status status_ = s24i_cpu_##name arguments;                                \
        cpu_used_ = run->arena->used;                                                  \
        int kept_ = take_count;                                                        \
        struct take *list_ = NULL;                                                     \
        if (real_) {                                                                   \
            memcpy(after, base, base_size);                                           \
            memcpy(base, before, base_size);                                          \
            list_ = malloc(sizeof takes);                                              \
            memcpy(list_, takes, sizeof takes);                                        \
        }                                                                             \
        if (admm_now) {                                                               \
            s24i_admm now_ = *admm_now;                                                \
            *admm_now = admm_before;                                                  \
            admm_before = now_;                                                        \
        }                                                                             \
        run->arena->used = used_;                                                      \
        run = &on_gpu_;                                                                \
        s24_status other_ = s24i_gpu_call_##name arguments;                            \
        if (real_)                                                                     \
            gpu_done(AT_##name, other_ == status_ ? S24_OK : other_ ? other_ : status_);   \
        else if (other_)                                                               \
            status_ = other_;                                                           \
        if (admm_now)                                                                 \
            *admm_now = admm_before;                                                  \
        outer_->arena->used = cpu_used_;                                                \
        if (real_) {                                                                   \
            take_count = kept_;                                                        \
            memcpy(takes, list_, sizeof takes);                                        \
            free(list_);                                                               \
            if (!status_ && !other_)                                                    \
                compare(AT_##name, outer_->arena);                                     \
            memcpy(base, after, base_size);                                           \
        }                                                                             \
        return status_ ? status_ : other_;                                               \
    }

#define S24I_OPERATION(scratch, name, parameters, arguments)    \
    static s24_status s24i_gpu_call_##name parameters           \
    {                                                           \
        if (!scratch && s24i_counting(run))                     \
            return S24_OK;                                      \
        return gpu->operations->name arguments;                 \
    }
#include "ops/ops.def"
#undef S24I_OPERATION

#define KEEP_NOTHING (void)0
#define S24I_OPERATION(scratch, name, parameters, arguments) \
    BOTH(name, parameters, arguments, KEEP_OF_##name)
#define KEEP_OF_admm_start keep_admm(AT_admm_start, admm)
#define KEEP_OF_admm_penalty keep_admm(AT_admm_penalty, admm)
#define KEEP_OF_admm_iterate keep_admm(AT_admm_iterate, admm)
#define KEEP_OF_mat_read KEEP_NOTHING
#define KEEP_OF_copy KEEP_NOTHING
#define KEEP_OF_fill KEEP_NOTHING
#define KEEP_OF_upload KEEP_NOTHING
#define KEEP_OF_download KEEP_NOTHING
#define KEEP_OF_subtract KEEP_NOTHING
#define KEEP_OF_random KEEP_NOTHING
#define KEEP_OF_bring_near KEEP_NOTHING
#define KEEP_OF_scale_by KEEP_NOTHING
#define KEEP_OF_input_norms KEEP_NOTHING
#define KEEP_OF_input_energies KEEP_NOTHING
#define KEEP_OF_input_weights KEEP_NOTHING
#define KEEP_OF_variances KEEP_NOTHING
#define KEEP_OF_order_by KEEP_NOTHING
#define KEEP_OF_reorder KEEP_NOTHING
#define KEEP_OF_scale KEEP_NOTHING
#define KEEP_OF_unscale KEEP_NOTHING
#define KEEP_OF_gather KEEP_NOTHING
#define KEEP_OF_prepare_reach KEEP_NOTHING
#define KEEP_OF_prepare_identity KEEP_NOTHING
#define KEEP_OF_prepare_factor KEEP_NOTHING
#define KEEP_OF_prepare_aim KEEP_NOTHING
#define KEEP_OF_quadratic KEEP_NOTHING
#define KEEP_OF_target_loss KEEP_NOTHING
#define KEEP_OF_project KEEP_NOTHING
#define KEEP_OF_apply_mask KEEP_NOTHING
#define KEEP_OF_drop_columns KEEP_NOTHING
#define KEEP_OF_support_of KEEP_NOTHING
#define KEEP_OF_check_support KEEP_NOTHING
#define KEEP_OF_count_kept KEEP_NOTHING
#define KEEP_OF_count_changed KEEP_NOTHING
#define KEEP_OF_grid_fit KEEP_NOTHING
#define KEEP_OF_choose_outliers KEEP_NOTHING
#define KEEP_OF_grid_round KEEP_NOTHING
#define KEEP_OF_grid_decode KEEP_NOTHING
#define KEEP_OF_grid_store KEEP_NOTHING
#define KEEP_OF_lowrank_start KEEP_NOTHING
#define KEEP_OF_lowrank_fit KEEP_NOTHING
#define KEEP_OF_lowrank_left KEEP_NOTHING
#define KEEP_OF_lowrank_rest KEEP_NOTHING
#define KEEP_OF_lowrank_clear KEEP_NOTHING
#define KEEP_OF_lowrank_store KEEP_NOTHING
#define KEEP_OF_prepare KEEP_NOTHING
#define KEEP_OF_aim KEEP_NOTHING
#define KEEP_OF_row_losses KEEP_NOTHING
#define KEEP_OF_keep_better KEEP_NOTHING
#define KEEP_OF_sweep KEEP_NOTHING
#define KEEP_OF_sweep_grid KEEP_NOTHING
#define KEEP_OF_descend KEEP_NOTHING
#define KEEP_OF_relax KEEP_NOTHING
#define KEEP_OF_babai KEEP_NOTHING
#define KEEP_OF_cg KEEP_NOTHING
#define KEEP_OF_refit KEEP_NOTHING
#define KEEP_OF_swap KEEP_NOTHING
#define KEEP_OF_shrink KEEP_NOTHING
#define KEEP_OF_penalty_unit KEEP_NOTHING
#define KEEP_OF_admm_take KEEP_NOTHING
#define KEEP_OF_admm_published KEEP_NOTHING
#define KEEP_OF_split_take KEEP_NOTHING
#define KEEP_OF_split_start KEEP_NOTHING
#define KEEP_OF_split_penalty KEEP_NOTHING
#define KEEP_OF_split_iterate KEEP_NOTHING
#define KEEP_OF_split_rest KEEP_NOTHING
#define KEEP_OF_remove_units KEEP_NOTHING
#define KEEP_OF_refit_columns KEEP_NOTHING
#include "ops/ops.def"
#undef S24I_OPERATION

/* Taken as the GPU lays it out, which the CPU can use; and what is written in operations. */
static s24_status take_as_gpu(const s24i_run *run, s24i_admm *admm)
{
    s24i_run on_gpu = *run;

    on_gpu.device = gpu;
    return gpu->operations->admm_take(&on_gpu, admm);
}

static s24i_operations both_operations = {
#define S24I_OPERATION(scratch, name, parameters, arguments) .name = both_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
};

static void both_forget(const s24i_device *device, void *mirror)
{
    (void)device;
    gpu->forget(gpu, mirror);
}

static s24i_memory both_memory;
static s24i_device both;

static void make_both(s24_ctx *ctx)
{
    s24i_memory_init(&both_memory, both_alloc, both_free, NULL);
    gpu = &ctx->plug.device;
    cpu = &ctx->cpu;
    both_operations.prepare = s24i_cpu_prepare;
    both_operations.aim = s24i_cpu_aim;
    both_operations.admm_published = s24i_cpu_admm_published;
    both_operations.admm_take = take_as_gpu;
    both = *cpu;
    both.name = "both";
    both.memory = &both_memory;
    both.operations = &both_operations;
    both.host = false;
    both.forget = both_forget;
}

/* ---- Problems ---- */

static uint64_t state = 1;

static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += (float)(state >> 40) * 0x1p-24f;
    }
    return sum;
}

typedef struct layer {
    int64_t rows, cols, tokens;
    float *w, *x, *t;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
} layer;

static void ok(s24_status status, const char *what)
{
    if (status == S24_OK)
        return;
    printf("%s: %s\n", what, s24_last_error());
    exit(1);
}

static s24_mat view(void *data, int64_t rows, int64_t cols)
{
    s24_mat mat;
    ok(s24_mat_rowmajor(&mat, data, rows, cols, S24_F32), "view");
    return mat;
}

/* Inputs with correlations: a random walk over the columns, and one that is dead. */
static layer open_layer(s24_ctx *ctx, int64_t rows, int64_t cols, int64_t tokens,
                        const char *constraints, bool target)
{
    layer l = {rows, cols, tokens, NULL, NULL, NULL, NULL, NULL, NULL};
    l.w = malloc((size_t)(rows * cols) * sizeof(float));
    l.x = malloc((size_t)(tokens * cols) * sizeof(float));
    l.t = malloc((size_t)(tokens * rows) * sizeof(float));
    for (int64_t i = 0; i < rows * cols; i++)
        l.w[i] = 0.05f * normal();
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t j = 0; j < cols; j++)
            l.x[i * cols + j] = cols > 8 && j == 5 ? 0
                                : j                ? 0.6f * l.x[i * cols + j - 1] + normal()
                                                   : normal();
    for (int64_t i = 0; i < tokens * rows; i++)
        l.t[i] = normal();
    s24_mat w = view(l.w, rows, cols), x = view(l.x, tokens, cols), t = view(l.t, tokens, rows);
    ok(s24_gram_create(ctx, cols, S24_F32, &l.gram), "gram");
    if (target)
        ok(s24_cross_create(l.gram, rows, &l.cross), "cross");
    ok(target ? s24_gram_add_targets(l.gram, &x, NULL, &l.cross, &t, 1)
              : s24_gram_add(l.gram, &x, NULL),
       "add");
    ok(s24_problem_create(ctx, &w, &l.problem), "problem");
    ok(s24_problem_set_gram(l.problem, l.gram), "set_gram");
    if (target)
        ok(s24_problem_set_target(l.problem, l.cross, 0.5), "set_target");
    ok(s24_problem_parse(l.problem, constraints), constraints);
    return l;
}

static void close_layer(layer *l)
{
    s24_problem_destroy(l->problem);
    s24_cross_destroy(l->cross);
    s24_gram_destroy(l->gram);
    free(l->w);
    free(l->x);
    free(l->t);
}

static s24_result *solve_on(s24_ctx *ctx, const s24i_device *device, const layer *l,
                            const char *solver, const char *options, s24_status *status)
{
    s24_solver *s;
    s24_result *result = NULL;
    const s24i_device *own = ctx->device;

    ok(s24_solver_create(ctx, solver, &s), solver);
    ok(s24_solver_parse(s, options), options);
    ctx->device = device;
    *status = s24_solve(s, l->problem, &result);
    ctx->device = own;
    s24_solver_destroy(s);
    return result;
}

static double loss_of(const s24_result *r)
{
    return r->relative_loss;
}

/* The same on the CPU, on both, and twice on the GPU. */
static void try_solver(s24_ctx *ctx, const layer *l, const char *solver, const char *options,
                       const char *constraints, bool differential)
{
    char text[256];
    s24_status status, there, again;

    snprintf(text, sizeof text, "%s[%s] %s %lld x %lld", solver, options, constraints,
             (long long)l->rows, (long long)l->cols);
    solving = text;
    inv_diag_bytes = (size_t)l->cols * S24I_BLOCK * sizeof(float);
    s24_result *here = solve_on(ctx, &ctx->cpu, l, solver, options, &status);
    if (!here) {
        printf("# %s refused on the CPU: %s\n", text, s24_last_error());
        return;
    }
    if (differential) {
        s24_result *two = solve_on(ctx, &both, l, solver, options, &there);
        if (there && there != S24_E_UNSUPPORTED)
            check(false, "%s on both: %s", text, s24_last_error());
        s24_result_destroy(two);
    }
    s24_result *first = solve_on(ctx, gpu, l, solver, options, &there);
    if (there == S24_E_UNSUPPORTED)
        printf("# %s: %s\n", text, s24_last_error());
    else
        check(!there, "%s: %s", text, s24_last_error());
    if (first) {
        double c = loss_of(here), g = loss_of(first);
        check(fabs(c - g) <= 0.02 * c + 1e-6, "%s: relative loss %.8g on the CPU, %.8g on the GPU",
              text, c, g);
        s24_result *second = solve_on(ctx, gpu, l, solver, options, &again);
        check(second && !memcmp(first->weights.data, second->weights.data,
                                (size_t)(l->rows * l->cols) * sizeof(float)),
              "%s: other bits in a second run", text);
        printf("# %-60s cpu %.6g gpu %.6g (%+.2e) damp %g %g\n", text, c, g, g / c - 1,
               here->damp_used, first->damp_used);
        s24_result_destroy(second);
    }
    s24_result_destroy(here);
    s24_result_destroy(first);
}

static const struct {
    const char *solver, *options;
    bool grid, support;
} methods[] = {
    {"magnitude", "", false, true},
    {"wanda", "", false, true},
    {"sparsegpt", "", false, true},
    {"sparsegpt", "preset=paper", false, true},
    {"sparsegpt", "refit=exact,damp_rule=relative", false, true},
    {"prox24", "max_iter=30", false, true},
    {"prox24", "preset=paper,max_iter=40", false, true},
    {"alps", "", false, true},
    {"alps", "preset=paper,max_iter=40", false, true},
    {"refit", "", false, false},
    {"rtn", "", true, false},
    {"rtn", "preset=paper", true, false},
    {"rtn", "fit=mse", true, false},
    {"gptq", "", true, false},
    {"gptq", "preset=paper", true, false},
    {"gptq", "scales=f16,order=diagonal", true, false},
    {"quantease", "", true, false},
    {"quantease", "preset=paper,sweeps=4", true, false},
    {"quantease", "outliers=0.02", true, false},
    {"quantease", "outliers=0.02,outlier_shape=inputs,scales=bf16", true, false},
    {"sparsegpt", "", true, true},
};

static const struct {
    const char *text;
    bool grid, support;
} limits[] = {{"2:4", false, true},         {"1:4", false, true},
              {"4:8", false, true},         {"50%", false, true},
              {"row 60%", false, true},     {"int4 g64", true, false},
              {"int3 sym", true, false},    {"int4 real g32", true, false},
              {"2:4 + int4 sym g64", true, true}, {"row 50% + int4", true, true}};

static const int64_t shapes[][3] = {{24, 64, 300},   {7, 136, 300},   {33, 264, 700},
                                    {130, 320, 900}, {300, 520, 1500}};

enum { METHODS = sizeof methods / sizeof *methods, LIMITS = sizeof limits / sizeof *limits };

static void try_shape(s24_ctx *ctx, const int64_t shape[3], bool target, bool differential)
{
    for (int k = 0; k < LIMITS; k++) {
        layer l = open_layer(ctx, shape[0], shape[1], shape[2], limits[k].text, target);
        for (int m = 0; m < METHODS; m++)
            if (methods[m].grid == limits[k].grid && (!methods[m].support || limits[k].support))
                try_solver(ctx, &l, methods[m].solver, methods[m].options, limits[k].text,
                           differential);
        close_layer(&l);
    }
}

/* ---- Sums that the device makes ---- */

/* Rows of 16 bits or 32, in uneven batches, from the host or the device: halves as the CPU's. */
static void try_sum(s24_ctx *here, s24_ctx *there, int32_t type, bool on_device, bool weights,
                    bool target)
{
    enum { ROWS = 5000, COLS = 200, OUT = 40 };
    static float x[ROWS * COLS], t[ROWS * OUT], weight[ROWS];
    static double a[COLS * COLS], b[COLS * COLS];
    static uint16_t halves[ROWS * COLS];
    s24_gram *first, *second;
    s24_cross *c[2] = {NULL, NULL};
    double rows[2], norms[2][OUT];
    void *device = NULL;
    s24_mat view_a, view_b, rows_x, rows_t, rows_w;

    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = normal() + 0.3f;
    for (int i = 0; i < ROWS * OUT; i++)
        t[i] = normal();
    for (int i = 0; i < ROWS; i++)
        weight[i] = i % 7 ? 1 + (float)(i % 5) : 0;
    for (int i = 0; i < ROWS * COLS; i++)
        halves[i] = type == S24_BF16 ? s24i_f32_to_bf16(x[i]) : s24i_f32_to_f16(x[i]);
    ok(s24_gram_create(here, COLS, S24_F32, &first), "gram");
    ok(s24_gram_create(there, COLS, S24_F32, &second), "gram");
    if (target) {
        ok(s24_cross_create(first, OUT, &c[0]), "cross");
        ok(s24_cross_create(second, OUT, &c[1]), "cross");
    }
    void *data = type == S24_F32 ? (void *)x : (void *)halves;
    size_t bytes = (size_t)ROWS * COLS * (type == S24_F32 ? 4 : 2);
    if (on_device && (cudaMalloc(&device, bytes) || cudaMemcpy(device, data, bytes, 4)))
        exit(1);
    for (int i = 0, step = 37; i < ROWS; i += step, step = step * 5 % 991 + 1) {
        if (step > ROWS - i)
            step = ROWS - i;
        for (int k = 0; k < 2; k++) {
            char *base_x = k && on_device ? device : data;
            ok(s24_mat_rowmajor(&rows_x, base_x + (size_t)i * COLS * (type == S24_F32 ? 4 : 2), step,
                                COLS, type),
               "view");
            if (k && on_device)
                rows_x.device = S24_CUDA;
            rows_t = view(t + i * OUT, step, OUT);
            rows_w = view(weight + i, step, 1);
            ok(s24_gram_add_targets(k ? second : first, &rows_x, weights ? &rows_w : NULL, &c[k],
                                    &rows_t, target),
               "add");
        }
    }
    for (int half = 1; half <= 2; half++) {
        double largest = 0, worst = 0;
        ok(s24_mat_rowmajor(&view_a, a, COLS, COLS, S24_F64), "view");
        ok(s24_mat_rowmajor(&view_b, b, COLS, COLS, S24_F64), "view");
        ok(s24_gram_export(first, half, &view_a, &rows[0]), "export");
        ok(s24_gram_export(second, half, &view_b, &rows[1]), "export");
        for (int i = 0; i < COLS * COLS; i++) {
            largest = fmax(largest, fabs(a[i]));
            worst = fmax(worst, fabs(a[i] - b[i]));
        }
        double near = type == S24_F32 || weights ? 2e-6 : 2e-5; /* tensor cores cut their sums */
        check(worst < near * largest && rows[0] == rows[1],
              "sums of type %x, device %d, weights %d, half %d: off by %g of %g, rows %g %g",
              (unsigned)type, on_device, weights, half, worst, largest, rows[0], rows[1]);
        if (!target)
            continue;
        ok(s24_mat_rowmajor(&view_a, a, OUT, COLS, S24_F64), "view");
        ok(s24_mat_rowmajor(&view_b, b, OUT, COLS, S24_F64), "view");
        ok(s24_cross_export(c[0], half, &view_a, norms[0], &rows[0]), "export");
        ok(s24_cross_export(c[1], half, &view_b, norms[1], &rows[1]), "export");
        for (int i = 0; i < OUT * COLS; i++)
            worst = fmax(worst, fabs(a[i] - b[i]));
        for (int i = 0; i < OUT; i++)
            worst = fmax(worst, fabs(norms[0][i] - norms[1][i]));
        check(worst < near * largest, "cross of type %x, device %d, half %d: off by %g of %g",
              (unsigned)type, on_device, half, worst, largest);
    }
    cudaFree(device);
    s24_cross_destroy(c[0]);
    s24_cross_destroy(c[1]);
    s24_gram_destroy(first);
    s24_gram_destroy(second);
}

static void try_sums(const char *library)
{
    static const int32_t types[] = {S24_F32, S24_BF16, S24_F16};
    s24_ctx *here, *there;

    ok(s24_ctx_create(&here), "context");
    ok(s24_ctx_create(&there), "context");
    ok(s24_ctx_set_str(there, "device", library), library);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 8; k++)
            try_sum(here, there, types[i], k & 1, k & 2, k & 4);
    uint64_t held = atomic_load(&there->device->memory->current);
    check(held == 0, "%llu bytes of the device are left by sums", (unsigned long long)held);
    s24_ctx_destroy(here);
    s24_ctx_destroy(there);
}

/* ---- What must not work ---- */

static void try_faults(const char *library)
{
    s24_ctx *ctx;
    char text[1100];

    ok(s24_ctx_create(&ctx), "context");
    snprintf(text, sizeof text, "%.*s:77", (int)(strrchr(library, ':') - library), library);
    s24_status status = s24_ctx_set_str(ctx, "device", text);
    check(status == S24_E_BACKEND, "device 77: %d %s", status, s24_last_error());
    printf("# device 77: %s\n", s24_last_error());
    ok(s24_ctx_set_str(ctx, "device", library), library);
    layer l = open_layer(ctx, 16, 64, 300, "2:4", false);
    l.w[5] = NAN;
    s24_status refused;
    solve_on(ctx, ctx->device, &l, "wanda", "", &refused);
    check(refused == S24_E_NONFINITE, "NaN: %d %s", refused, s24_last_error());
    printf("# NaN: %s\n", s24_last_error());
    check(s24_ctx_set_str(ctx, "device", "cpu") == S24_E_STATE, "device with handles: %s",
          s24_last_error());
    close_layer(&l);
    uint64_t held = atomic_load(&ctx->device->memory->current);
    check(held == 0, "%llu bytes of the device are left", (unsigned long long)held);
    s24_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    s24_ctx *ctx;
    bool short_run = argc > 2;

    if (argc < 2)
        return 2;
    ok(s24_ctx_create(&ctx), "context");
    ok(s24_ctx_set_int(ctx, "threads", 1), "threads");
    ok(s24_ctx_set_str(ctx, "device", argv[1]), argv[1]);
    make_both(ctx);
    for (size_t s = 0; s < (short_run ? 1 : sizeof shapes / sizeof *shapes); s++)
        try_shape(ctx, shapes[s], false, s < 2);
    try_shape(ctx, shapes[short_run ? 0 : 2], true, short_run);
    try_sums(argv[1]);
    for (int i = 0; i < OPERATIONS; i++)
        if (tally[i].calls || tally[i].missing)
            printf("# %-18s %6lld calls, worst %.2e, %lld of %lld elements off%s\n", names[i],
                   (long long)tally[i].calls, tally[i].worst, (long long)tally[i].off,
                   (long long)tally[i].elements, tally[i].missing ? ", MISSING" : "");
    s24_ctx_destroy(ctx);
    try_faults(argv[1]);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
