/* Tests lib/model/walk_sums.c: crosses that are derived from one of the inputs, where that is less
 * work (lib/model/walk_room.c). */
#include "tiny.h"
#include "walk.h"
#include <check.h>
#include <math.h>
#include <sparse24/model.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 64, LENGTH = 24 };
#define GATE "model.layers.0.mlp.gate_proj.weight"

static char folder[64];
static s24_ctx *ctx;
static s24_model *model;
static int32_t ids[ROWS * LENGTH];

static char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void ok(s24_status status)
{
    ck_assert_msg(!status, "%s", s24_last_error());
}

static void set_up(void)
{
    const tiny_model *m = tiny_models;
    strcpy(folder, "/tmp/sparse24-shared-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ok(s24_ctx_create(&ctx));
    ck_assert_int_eq(mkdir(in_folder("tiny"), 0777), 0);
    tiny_write_folder(ctx, in_folder("tiny"), m);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    ok(s24_model_open(ctx, in_folder("tiny"), &model));
}

static void tear_down(void)
{
    char command[128];
    s24_model_destroy(model);
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static s24_compression *begin(const char *skip)
{
    s24_compression *c = NULL;
    s24_mat all;
    ok(s24_mat_rowmajor(&all, ids, ROWS, LENGTH, S24_I32));
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(
        c, "constraints=2:4,options=[swaps=0],heldout=0,own=0,store=f32,permute=none"));
    ok(s24_compression_set_calibration(c, &all, "calib"));
    if (skip)
        ok(s24_compression_add_skip(c, skip));
    return c;
}

static void run(const char *skip, const char *name)
{
    s24_compression *c = begin(skip);
    ok(s24_compression_run(c, in_folder(name)));
    s24_compression_destroy(c);
}

static float *read_gate(const char *name, s24_mat *view)
{
    s24_file *file;
    ok(s24_file_open(ctx, in_folder(name), &file));
    ok(s24_file_get(file, GATE, view));
    float *values = calloc((size_t)(view->rows * view->cols), sizeof *values);
    s24_mat copy;
    ok(s24_mat_rowmajor(&copy, values, view->rows, view->cols, S24_F32));
    ok(s24_mat_copy(ctx, view, &copy));
    s24_file_destroy(file);
    return values;
}

static s24_status input(const s24m_stream *c, const s24m_stage *s, float *x)
{
    return c && s && x ? S24_OK : S24_E_ARG;
}

/* A matrix alone is cheaper by its own cross, two that are wide together are not. */
START_TEST(the_lesser_work_is_chosen)
{
    s24m_stage stage = {.input = input, .inputs = 64};
    ck_assert(s24m_walk_shares(&stage, 192, ROWS * LENGTH));
    ck_assert(!s24m_walk_shares(&stage, 96, ROWS * LENGTH));
    ck_assert(!s24m_walk_shares(&stage, 192, 8 * LENGTH)); /* derived sums do not pay */
    ck_assert(!s24m_walk_shares(&stage, 0, ROWS * LENGTH));
    stage.routed = true;
    ck_assert(!s24m_walk_shares(&stage, 192, ROWS * LENGTH));
    stage = (s24m_stage){.inputs = 64}; /* something else is wanted than its outputs */
    ck_assert(!s24m_walk_shares(&stage, 192, ROWS * LENGTH));
}
END_TEST

/* Gate comes out the same beside up, where both share a cross, as alone with its own. */
START_TEST(shared_is_own_up_to_rounding)
{
    double difference = 0, size = 0, places = 0;
    s24_mat view;
    run(NULL, "shared");
    run("*.up_proj", "own");
    float *shared = read_gate("shared", &view), *own = read_gate("own", &view);
    for (int64_t i = 0; i < view.rows * view.cols; i++) {
        difference += (shared[i] - own[i]) * (shared[i] - own[i]);
        size += own[i] * own[i];
        places += (shared[i] != 0) != (own[i] != 0);
    }
    ck_assert_double_gt(difference, 0); /* the sums did take another way */
    ck_assert_double_lt(sqrt(difference / size), 1e-3);
    ck_assert_double_le(places, 0);
    free(shared);
    free(own);
}
END_TEST

/* Equal bits for any threads, within the memory that was predicted. */
START_TEST(threads_and_memory)
{
    uint64_t memory;
    char command[400];
    s24_compression *c = begin(NULL);
    ok(s24_ctx_set_int(ctx, "threads", 1));
    run(NULL, "one");
    ok(s24_ctx_set_int(ctx, "threads", 3));
    ok(s24_compression_plan(c, &memory, NULL, NULL));
    ok(s24_compression_set_int(c, "memory_limit", (int64_t)memory + (4 << 20)));
    ok(s24_compression_run(c, in_folder("three")));
    s24_compression_destroy(c);
    snprintf(command, sizeof command, "cmp %s/one/model.safetensors %s/three/model.safetensors",
             folder, folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared sums");
    TCase *tc = tcase_create("shared sums");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_lesser_work_is_chosen);
    tcase_add_test(tc, shared_is_own_up_to_rounding);
    tcase_add_test(tc, threads_and_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
