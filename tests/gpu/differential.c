/*
 * Every operation of ops.def on a device against the CPU: usage: differential LIBRARY:INDEX. All
 * solvers run on a device called "both". Its arrays lie where the host and the GPU see them under
 * one address; each operation runs on the CPU and on the GPU from the same state, and what they
 * leave is compared. Then the solvers run on the GPU alone: losses, bits from run to run, memory.
 */
#include "gpu_test.h"

/* ---- Arrays that both see ---- */

extern int cudaHostAlloc(void **block, size_t size, unsigned flags);
extern int cudaFreeHost(void *block);
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

#define BOTH(name, parameters, arguments, keep)                                          \
    static s24_status both_##name parameters                                             \
    {                                                                                    \
        const s24i_run *outer_ = run;                                                    \
        s24i_run on_cpu_ = *run, on_gpu_ = *run;                                         \
        size_t used_ = run->arena->used, cpu_used_;                                      \
        on_cpu_.device = cpu;                                                            \
        on_gpu_.device = gpu;                                                            \
        admm_now = NULL;                                                                 \
        keep;                                                                            \
        tally[AT_##name].calls += !s24i_counting(run);                                   \
        if (!gpu->operations->name) {                                                    \
            tally[AT_##name].missing++;                                                  \
            return s24i_no_operation(&on_gpu_, #name);                                   \
        }                                                                                \
        bool real_ = !s24i_counting(run);                                                \
        if (real_)                                                                       \
            memcpy(before, base, base_size);                                             \
        run = &on_cpu_;                                                                  \
        s24_status status_ = s24i_cpu_##name arguments;                                  \
        cpu_used_ = run->arena->used;                                                    \
        int kept_ = take_count;                                                          \
        struct take *list_ = NULL;                                                       \
        if (real_) {                                                                     \
            memcpy(after, base, base_size);                                              \
            memcpy(base, before, base_size);                                             \
            list_ = malloc(sizeof takes);                                                \
            memcpy(list_, takes, sizeof takes);                                          \
        }                                                                                \
        if (admm_now) {                                                                  \
            s24i_admm now_ = *admm_now;                                                  \
            *admm_now = admm_before;                                                     \
            admm_before = now_;                                                          \
        }                                                                                \
        run->arena->used = used_;                                                        \
        run = &on_gpu_;                                                                  \
        s24_status other_ = s24i_gpu_call_##name arguments;                              \
        if (real_)                                                                       \
            gpu_done(AT_##name, other_ == status_ ? S24_OK : other_ ? other_ : status_); \
        else if (other_)                                                                 \
            status_ = other_;                                                            \
        if (admm_now)                                                                    \
            *admm_now = admm_before;                                                     \
        outer_->arena->used = cpu_used_;                                                 \
        if (real_) {                                                                     \
            take_count = kept_;                                                          \
            memcpy(takes, list_, sizeof takes);                                          \
            free(list_);                                                                 \
            if (!status_ && !other_)                                                     \
                compare(AT_##name, outer_->arena);                                       \
            memcpy(base, after, base_size);                                              \
        }                                                                                \
        return status_ ? status_ : other_;                                               \
    }

#define S24I_OPERATION(scratch, name, parameters, arguments) \
    static s24_status s24i_gpu_call_##name parameters        \
    {                                                        \
        if (!scratch && s24i_counting(run))                  \
            return S24_OK;                                   \
        return gpu->operations->name arguments;              \
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
} limits[] = {{"2:4", false, true},
              {"1:4", false, true},
              {"4:8", false, true},
              {"50%", false, true},
              {"row 60%", false, true},
              {"int4 g64", true, false},
              {"int3 sym", true, false},
              {"int4 real g32", true, false},
              {"2:4 + int4 sym g64", true, true},
              {"row 50% + int4", true, true}};

static const int64_t shapes[][3] = {
    {24, 64, 300}, {7, 136, 300}, {33, 264, 700}, {130, 320, 900}, {300, 520, 1500}};

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
    for (int i = 0; i < OPERATIONS; i++)
        if (tally[i].calls || tally[i].missing)
            printf("# %-18s %6lld calls, worst %.2e, %lld of %lld elements off%s\n", names[i],
                   (long long)tally[i].calls, tally[i].worst, (long long)tally[i].off,
                   (long long)tally[i].elements, tally[i].missing ? ", MISSING" : "");
    s24_ctx_destroy(ctx);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
