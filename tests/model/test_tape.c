/* Tests lib/model/tape.c: a block's gradients against those that torch's autograd gives, for every
 * tiny model in both namings; its forward pass is that of stages.c to the bit; threads. */
#include "fixture.h"
#include "gradients.h"
#include "parts.h"
#include "tape.h"
#include "tiny.h"

static const char *golden_path;

enum {
    SEQUENCES = 2,
    LENGTH = 24,
    TOKENS = SEQUENCES * LENGTH,
    GATE = 4,
    UP = 5,
    NORM = S24M_ATTENTION_NORM - S24M_ROLES
};

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())
#define done(call) ck_assert_msg(call, "%s: %s", #call, s24_last_error())

/* A block's gradients with room for all of them. */
typedef struct all_gradients {
    s24m_gradients to;
    int32_t matrices;
    int64_t weights[64];
} all_gradients;

static all_gradients open_gradients(const s24m_model *model, const s24m_block *block)
{
    all_gradients g = {.matrices = block->program->count};
    done(s24m_gradients_open(&g.to, g.matrices));
    for (int i = 0; i < g.matrices; i++) {
        const s24_mat *w = &block->linear[i].weights;
        g.weights[i] = w->rows * w->cols;
        g.to.weights[i] = calloc((size_t)g.weights[i], sizeof(float));
        g.to.bias[i] = calloc((size_t)w->rows, sizeof(float));
    }
    for (int i = 0; i < S24M_VECTORS; i++)
        g.to.gain[i] = calloc((size_t)model->config.hidden, sizeof(float));
    return g;
}

static void close_gradients(all_gradients *g)
{
    for (int i = 0; i < g->matrices; i++) {
        free(g->to.weights[i]);
        free(g->to.bias[i]);
    }
    for (int i = 0; i < S24M_VECTORS; i++)
        free(g->to.gain[i]);
    s24m_gradients_close(&g->to);
}

/* The name in Hugging Face's files, without its ending. */
static void common(const s24m_model *model, int32_t which, const char *ending, char name[200])
{
    char whole[S24M_NAME];
    s24m_common_name(model, 0, which, whole);
    snprintf(name, 200, "%s.%s", whole, ending);
}

static void compare_all(const s24_file *golden, const tiny_model *m, const s24m_model *model,
                        const s24m_block *block, const all_gradients *g)
{
    static const char *const norms[] = {"input_layernorm",          NULL,
                                        "post_attention_layernorm", NULL,
                                        "self_attn.q_norm",         "self_attn.k_norm"};
    char name[200];
    for (int i = 0; i < g->matrices; i++) {
        if (model->config.interleaved && i < 2)
            continue; /* rows of q and k have another order */
        common(model, i, "weight", name);
        compare(golden, m->name, name, g->to.weights[i], g->weights[i]);
        common(model, i, "bias", name);
        if (block->linear[i].bias)
            compare(golden, m->name, name, g->to.bias[i], block->linear[i].weights.rows);
    }
    for (int i = 0; i < 6; i++) {
        if (!norms[i] || !block->gain[NORM + i])
            continue;
        snprintf(name, sizeof name, "model.layers.0.%s.weight", norms[i]);
        compare(golden, m->name, name, g->to.gain[NORM + i],
                i < 4 ? model->config.hidden : model->config.head_dim);
    }
}

/* Forth and back through the first block, in rows of `rows` sequences. */
static float *run(s24m_model *model, s24m_block *block, all_gradients *g, int64_t rows)
{
    s24m_tape tape;
    int64_t size = rows * LENGTH * model->config.hidden, all = TOKENS * model->config.hidden;
    float *x = tiny_values("input", all, 0.25, 0), *dy = tiny_values("output", all, 0.25, 0);
    done(s24m_tape_open(&tape, model, rows * LENGTH));
    for (int64_t at = 0; at < all; at += size) {
        float *y = malloc((size_t)size * sizeof *y);
        done(s24m_tape_forward(&tape, block, x + at, rows, LENGTH));
        memcpy(y, x + at, (size_t)size * sizeof *y);
        ok(s24m_forward_block(model, block, y, rows, LENGTH));
        ck_assert_mem_eq(y, tape.y, (size_t)size * sizeof *y);
        free(y);
        memcpy(tape.dy, dy + at, (size_t)size * sizeof *dy);
        done(s24m_tape_back(&tape, &g->to));
        memcpy(dy + at, tape.dy, (size_t)size * sizeof *dy);
    }
    s24m_tape_close(&tape);
    free(x);
    return dy;
}

START_TEST(gradients_as_torch)
{
    tiny_model m = tiny_models[_i / 2];
    s24m_model *model = NULL;
    s24_file *golden = NULL;
    s24m_block block;
    m.gguf = _i % 2;
    if ((m.gguf && m.dynamic) || m.rotary) /* which GGUF files, and transformers, do not have */
        return;
    tiny_write(ctx, path, &m);
    ok(s24m_open(ctx, path, &model));
    ok(s24m_block_load(model, 0, &block));
    ok(s24_file_open(ctx, golden_path, &golden));
    for (int64_t rows = SEQUENCES; rows > 0; rows--) { /* together, or added up */
        all_gradients g = open_gradients(model, &block);
        float *dx = run(model, &block, &g, rows);
        compare(golden, m.name, "input", dx, TOKENS * model->config.hidden);
        compare_all(golden, &m, model, &block, &g);
        close_gradients(&g);
        free(dx);
    }
    s24_file_destroy(golden);
    s24m_block_free(&block);
    s24m_close(model);
}
END_TEST

START_TEST(equal_for_any_threads)
{
    s24m_model *model = NULL;
    s24m_block block;
    all_gradients first = {.matrices = 0};
    float *dx = NULL;
    tiny_write(ctx, path, tiny_models);
    ok(s24m_open(ctx, path, &model));
    ok(s24m_block_load(model, 1, &block));
    for (int threads = 1; threads <= 3; threads++) {
        ok(s24_ctx_set_int(ctx, "threads", threads));
        all_gradients g = open_gradients(model, &block);
        float *mine = run(model, &block, &g, SEQUENCES);
        if (threads == 1) {
            first = g;
            dx = mine;
            continue;
        }
        ck_assert_mem_eq(mine, dx, (size_t)(TOKENS * model->config.hidden) * sizeof *dx);
        for (int i = 0; i < g.matrices; i++)
            ck_assert_mem_eq(g.to.weights[i], first.to.weights[i],
                             (size_t)g.weights[i] * sizeof(float));
        ck_assert_mem_eq(g.to.gain[NORM], first.to.gain[NORM],
                         (size_t)model->config.hidden * sizeof(float));
        close_gradients(&g);
        free(mine);
    }
    close_gradients(&first);
    free(dx);
    s24m_block_free(&block);
    s24m_close(model);
}
END_TEST

/* What is not wanted is not looked at. */
START_TEST(only_what_is_wanted)
{
    s24m_model *model = NULL;
    s24m_block block;
    tiny_write(ctx, path, tiny_models + 1);
    ok(s24m_open(ctx, path, &model));
    ok(s24m_block_load(model, 0, &block));
    all_gradients all = open_gradients(model, &block), some = open_gradients(model, &block);
    float *gate = some.to.weights[GATE], *norm = some.to.gain[NORM];
    some.to.weights[GATE] = some.to.gain[NORM] = NULL;
    free(run(model, &block, &all, SEQUENCES));
    free(run(model, &block, &some, SEQUENCES));
    ck_assert_mem_eq(all.to.weights[UP], some.to.weights[UP],
                     (size_t)all.weights[UP] * sizeof(float));
    some.to.weights[GATE] = gate;
    some.to.gain[NORM] = norm;
    close_gradients(&all);
    close_gradients(&some);
    s24m_block_free(&block);
    s24m_close(model);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    Suite *suite = suite_create("tape");
    TCase *tc = tcase_create("tape");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, gradients_as_torch, 0, 2 * TINY_MODELS);
    tcase_add_test(tc, equal_for_any_threads);
    tcase_add_test(tc, only_what_is_wanted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
