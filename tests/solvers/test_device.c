/*
 * Solvers on a device whose memory nobody may look into: "trace" forwards every operation to the
 * CPU, and its arena is readable only while an operation runs. A solver that touched an element
 * would crash; one that passes here can run on a GPU.
 */
#define _GNU_SOURCE
#include "grid.h"
#include "api/api.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

/* ---- The device ---- */

static char *region; /* all arrays of the solve in work */
static size_t region_size;
static int64_t called[256]; /* an operation */

enum {
#define S24I_OPERATION(scratch, name, parameters, arguments) AT_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
    OPERATIONS
};

static void allow(int access)
{
    if (region && mprotect(region, region_size, access))
        abort();
}

static void *trace_alloc(void *user, size_t size, size_t align)
{
    (void)user;
    (void)align;
    if (region)
        return NULL; /* one solve at a time */
    region_size = (size + 4095) / 4096 * 4096;
    region = mmap(NULL, region_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return region == MAP_FAILED ? NULL : region;
}

static void trace_free(void *user, void *block, size_t size)
{
    (void)user;
    (void)size;
    munmap(block, region_size);
    region = NULL;
}

#define S24I_OPERATION(scratch, name, parameters, arguments) \
    static s24_status trace_##name parameters                \
    {                                                        \
        allow(PROT_READ | PROT_WRITE);                       \
        called[AT_##name]++;                                 \
        s24_status status = s24i_cpu_##name arguments;       \
        allow(PROT_NONE);                                    \
        return status;                                       \
    }
#include "ops/ops.def"
#undef S24I_OPERATION

static const s24i_operations trace_operations = {
#define S24I_OPERATION(scratch, name, parameters, arguments) .name = trace_##name,
#include "ops/ops.def"
#undef S24I_OPERATION
};

static s24i_memory trace_memory;

static s24i_device trace_of(const s24_ctx *ctx)
{
    s24i_device device = ctx->cpu;
    s24i_memory_init(&trace_memory, trace_alloc, trace_free, NULL);
    device.name = "trace";
    device.memory = &trace_memory;
    device.operations = &trace_operations;
    device.host = false;
    return device;
}

/* ---- The same bits as on the CPU ---- */

/* `solver` set as it is to be; NULL where it refuses the problem. */
static s24_result *solve_on(layer *l, s24_solver *solver, const s24i_device *device)
{
    s24_result *result = NULL;
    l->ctx->device = device;
    s24_status status = s24_solve(solver, l->problem, &result);
    l->ctx->device = &l->ctx->cpu;
    grid_check(status == S24_OK || status == S24_E_UNSUPPORTED || status == S24_E_STATE, "%s",
               s24_last_error());
    ck_assert(!region);
    return result;
}

static void check_equal(const s24_result *a, const s24_result *b, const char *what)
{
    size_t size = (size_t)(a->rows * a->cols);
    grid_check(!memcmp(a->weights.data, b->weights.data, size * sizeof(float)), "%s: weights",
               what);
    grid_check(!memcmp(a->mask.data, b->mask.data, size), "%s: mask", what);
    ck_assert_int_eq(a->part_count, b->part_count);
    for (int32_t i = 0; i < a->part_count; i++) {
        const s24_mat *mat = &a->parts[i].mat;
        size_t bytes = (size_t)(mat->rows * mat->cols * s24i_dtype_size(mat->dtype));
        grid_check(!memcmp(mat->data, b->parts[i].mat.data, bytes), "%s: %s", what,
                   a->parts[i].name);
    }
    grid_check(a->loss == b->loss && a->iterations == b->iterations && a->flops == b->flops,
               "%s: numbers", what);
}

static int compare(layer *l, s24_solver *solver, const char *what)
{
    s24i_device trace = trace_of(l->ctx);
    s24_result *here = solve_on(l, solver, &l->ctx->cpu), *there = solve_on(l, solver, &trace);
    int both = here && there;
    ck_assert(!here == !there);
    if (both)
        check_equal(here, there, what);
    s24_result_destroy(here);
    s24_result_destroy(there);
    return both;
}

/* Every preset, and every choice of every word, one at a time. */
static int compare_choices(layer *l, const char *name)
{
    s24_solver *solver = new_solver(l->ctx, name, false);
    int solved = compare(l, solver, name);
    for (int32_t i = 0; i < s24_solver_option_count(solver); i++) {
        const char *option, *choices;
        int32_t type;
        grid_ok(s24_solver_option_info(solver, i, &option, &type, &choices, NULL, NULL));
        char words[128], what[256], *rest = words;
        snprintf(words, sizeof words, "%s", type == S24_OPT_STR ? choices : "");
        for (char *word = strtok_r(words, "|", &rest); word; word = strtok_r(NULL, "|", &rest)) {
            s24_solver_reset(solver);
            grid_ok(s24_solver_set_str(solver, option, word));
            if (has_option(solver, "max_iter") && strcmp(word, "paper") && strcmp(word, "3basil"))
                grid_ok(s24_solver_parse(solver, "max_iter=4"));
            snprintf(what, sizeof what, "%s %s=%s on %s", name, option, word, l->limit->text);
            solved += compare(l, solver, what);
        }
    }
    static const char *const numbers[] = {"outliers=0.02", "swaps=10", "block_sweeps=1",
                                          "sweeps=3"};
    for (int i = 0; i < 4; i++) {
        s24_solver_reset(solver);
        if (s24_solver_parse(solver, numbers[i]) == S24_OK)
            solved += compare(l, solver, numbers[i]);
    }
    s24_solver_destroy(solver);
    return solved;
}

/* _i: the constraint. With and without calibration; a mask and a target come from the grid's rows
 * and from below. */
START_TEST(nobody_looks)
{
    s24_ctx *ctx = open_ctx(2);
    int solved = 0;
    for (int gram = 0; gram < 2; gram++) {
        layer l = open_layer(ctx, &constraints[_i], 9, 168, gram ? 250 : 0);
        for (int32_t k = 0; k < s24_solver_count(); k++)
            solved += compare_choices(&l, s24_solver_name(k));
        close_layer(&l);
    }
    grid_check(solved > 0, "nobody solved %s", constraints[_i].text);
    close_ctx(ctx);
}
END_TEST

/* The whole grid of properties at its usual options. */
START_TEST(the_whole_grid)
{
    s24_ctx *ctx = open_ctx(2);
    for (int s = 0; s < SHAPES; s++) {
        int mark = naive_count;
        if (!fits(&constraints[_i], shapes[s][1]))
            continue;
        layer l = open_layer(ctx, &constraints[_i], shapes[s][0], shapes[s][1], shapes[s][2]);
        for (int32_t k = 0; k < s24_solver_count(); k++) {
            s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
            compare(&l, solver, s24_solver_name(k));
            s24_solver_destroy(solver);
        }
        close_layer(&l);
        drop_to(mark);
    }
    close_ctx(ctx);
}
END_TEST

/* A target, an importance, and rows in blocks under a memory limit do not matter either. */
START_TEST(with_a_target)
{
    s24_ctx *ctx = open_ctx(2);
    uint64_t seed = 3;
    layer l = open_layer(ctx, &constraints[0], 17, 128, 400);
    float *t = normals(&seed, 400 * 17), *importance = normals(&seed, 17 * 128);
    for (int i = 0; i < 17 * 128; i++)
        importance[i] = fabsf(importance[i]);
    s24_mat scores = row_major(importance, 17, 128, S24_F32);
    s24_cross *cross = aim_at(&l, t, 0.5);
    grid_ok(s24_problem_set_importance(l.problem, &scores));
    for (int32_t k = 0; k < s24_solver_count(); k++)
        compare_choices(&l, s24_solver_name(k));
    s24_cross_destroy(cross);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

/* Together the tests above reach every operation. */
START_TEST(all_operations_are_reached)
{
    static const char *const names[] = {
#define S24I_OPERATION(scratch, name, parameters, arguments) #name,
#include "ops/ops.def"
#undef S24I_OPERATION
    };
    s24_ctx *ctx = open_ctx(1);
    for (int c = 0; c < CONSTRAINTS; c++) {
        layer l = open_layer(ctx, &constraints[c], 5, 56, 300);
        s24_mat importance = l.view;
        importance.data = GRAB(float, l.rows *l.cols);
        grid_ok(s24_problem_set_importance(l.problem, &importance));
        for (int32_t k = 0; k < s24_solver_count(); k++)
            compare_choices(&l, s24_solver_name(k));
        close_layer(&l);
    }
    for (int i = 0; i < OPERATIONS; i++)
        grid_check(called[i] > 0, "nobody called %s", names[i]);
    close_ctx(ctx);
}
END_TEST

/* ---- What must not work ---- */

START_TEST(a_missing_operation)
{
    s24_ctx *ctx = open_ctx(1);
    layer l = open_layer(ctx, &constraints[0], 5, 64, 300);
    s24i_device device = trace_of(ctx);
    s24i_operations fewer = trace_operations;
    s24_solver *solver = new_solver(ctx, "sparsegpt", true);
    s24_result *result = NULL;
    fewer.sweep = NULL;
    device.operations = &fewer;
    ctx->device = &device;
    ck_assert_int_eq(s24_solve(solver, l.problem, &result), S24_E_UNSUPPORTED);
    ck_assert(strstr(s24_last_error(), "device trace has no operation \"sweep\""));
    ck_assert(strstr(s24_last_error(), "sparsegpt"));
    ctx->device = &ctx->cpu;
    s24_solver_destroy(solver);
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

static sigjmp_buf caught;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(caught, 1);
}

/* The test can fail: whoever reads such an array crashes. */
START_TEST(looking_crashes)
{
    struct sigaction act = {.sa_handler = on_fault}, before;
    s24_ctx *ctx = open_ctx(1);
    s24i_device device = trace_of(ctx);
    volatile bool crashed = false;
    float *array = s24i_alloc(device.memory, 4096);
    sigaction(SIGSEGV, &act, &before);
    if (sigsetjmp(caught, 1))
        crashed = true;
    else
        array[0] = 1;
    sigaction(SIGSEGV, &before, NULL);
    ck_assert(crashed);
    s24i_free(device.memory, array, 4096);
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device");
    TCase *tcase = tcase_create("device");
    tcase_add_loop_test(tcase, nobody_looks, 0, CONSTRAINTS);
    tcase_add_loop_test(tcase, the_whole_grid, 0, CONSTRAINTS);
    tcase_add_test(tcase, with_a_target);
    tcase_add_test(tcase, all_operations_are_reached);
    tcase_add_test(tcase, a_missing_operation);
    tcase_add_test(tcase, looking_crashes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
