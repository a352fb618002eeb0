/* Tests lib/model/divergence.c, and the way back through whole models with it: KL and gradients
 * against those of torch's autograd; caps and scales of logits against differences; chunks. */
#include "divergence.h"
#include "fixture.h"
#include "gradients.h"
#include "tape.h"
#include "tensors.h"
#include "tiny.h"

static const char *golden_path;

enum { SEQUENCES = 2, LENGTH = 24, TOKENS = SEQUENCES * LENGTH, LAYERS = 2 };

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())
#define done(call) ck_assert_msg(call, "%s: %s", #call, s24_last_error())

/* ---- A whole model ---- */

/* Block `layer` of a copy without every third weight. */
static void prune(s24m_block *block)
{
    for (int32_t i = 0; i < block->program->count; i++) {
        s24_mat *w = &block->linear[i].weights;
        for (int64_t k = 0; k < w->rows * w->cols; k += 3)
            ((float *)w->data)[k] = 0;
    }
}

typedef struct network {
    s24m_model *model;
    s24m_block blocks[LAYERS];
    float *inputs[LAYERS + 1], *taught; /* of the pruned blocks and of the head; the dense states */
    int64_t size;                       /* of one of them */
} network;

static network open_network(const tiny_model *m)
{
    network n;
    s24m_block dense;
    int32_t ids[TOKENS];
    tiny_write(ctx, path, m);
    ok(s24m_open(ctx, path, &n.model));
    n.size = TOKENS * n.model->config.hidden;
    for (int i = 0; i < TOKENS; i++)
        ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    for (int i = 0; i <= LAYERS; i++)
        n.inputs[i] = calloc((size_t)n.size, sizeof(float));
    n.taught = calloc((size_t)n.size, sizeof(float));
    ok(s24m_embed(n.model, ids, SEQUENCES, LENGTH, n.taught));
    memcpy(n.inputs[0], n.taught, (size_t)n.size * sizeof(float));
    for (int i = 0; i < LAYERS; i++) {
        ok(s24m_block_load(n.model, i, &dense));
        ok(s24m_forward_block(n.model, &dense, n.taught, SEQUENCES, LENGTH));
        s24m_block_free(&dense);
        ok(s24m_block_load(n.model, i, n.blocks + i));
        prune(n.blocks + i);
        memcpy(n.inputs[i + 1], n.inputs[i], (size_t)n.size * sizeof(float));
        ok(s24m_forward_block(n.model, n.blocks + i, n.inputs[i + 1], SEQUENCES, LENGTH));
    }
    return n;
}

static void close_network(network *n)
{
    for (int i = 0; i < LAYERS; i++)
        s24m_block_free(n->blocks + i);
    for (int i = 0; i <= LAYERS; i++)
        free(n->inputs[i]);
    free(n->taught);
    s24m_close(n->model);
}

/* The gradients of a block's matrices and of the norm at its head. */
static void back_block(const s24_file *golden, const tiny_model *m, network *n, int layer,
                       s24m_tape *tape)
{
    char name[200];
    s24m_block *block = n->blocks + layer;
    s24m_gradients to;
    int32_t norm = S24M_ATTENTION_NORM - S24M_ROLES;
    done(s24m_gradients_open(&to, block->program->count));
    for (int i = 0; i < block->program->count; i++)
        to.weights[i] = calloc(
            (size_t)(block->linear[i].weights.rows * block->linear[i].weights.cols), sizeof(float));
    to.gain[norm] = calloc((size_t)n->model->config.hidden, sizeof(float));
    done(s24m_tape_forward(tape, block, n->inputs[layer], SEQUENCES, LENGTH));
    done(s24m_tape_back(tape, &to));
    for (int i = 0; i < block->program->count; i++)
        compare(golden, m->name, block->linear[i].name, to.weights[i],
                block->linear[i].weights.rows * block->linear[i].weights.cols);
    snprintf(name, sizeof name, "model.layers.%d.input_layernorm.weight", layer);
    compare(golden, m->name, name, to.gain[norm], n->model->config.hidden);
    for (int i = 0; i < block->program->count; i++)
        free(to.weights[i]);
    free(to.gain[norm]);
    s24m_gradients_close(&to);
}

static const int models[] = {0, 6}; /* with a tied embedding; with norms of heads and a head */

START_TEST(gradients_as_torch)
{
    const tiny_model *m = tiny_models + models[_i];
    network n = open_network(m);
    s24_file *golden = NULL;
    s24m_divergence d;
    s24m_tape tape;
    s24_mat kept;
    double sum = 0;
    char name[40];
    ok(s24_file_open(ctx, golden_path, &golden));
    done(s24m_divergence_open(&d, n.model, n.model, true));
    done(s24m_tape_open(&tape, n.model, TOKENS));
    d.gain = calloc((size_t)n.model->config.hidden, sizeof(float));
    d.chunk = 20; /* not all tokens at once */
    done(s24m_divergence_run(&d, n.inputs[LAYERS], n.taught, TOKENS, 1.0 / TOKENS, &sum, tape.dy));
    snprintf(name, sizeof name, "%s.loss", m->name);
    ok(s24_file_get(golden, name, &kept));
    ck_assert_double_eq_tol(sum / TOKENS / *(float *)kept.data, 1, 1e-4);
    compare(golden, m->name, "model.norm.weight", d.gain, n.model->config.hidden);
    for (int layer = LAYERS - 1; layer >= 0; layer--)
        back_block(golden, m, &n, layer, &tape);
    free(d.gain);
    s24m_tape_close(&tape);
    s24m_divergence_close(&d);
    s24_file_destroy(golden);
    close_network(&n);
}
END_TEST

/* ---- The head alone ---- */

static double divergence_at(s24m_divergence *d, const network *n, const float *along, float step)
{
    double sum = 0;
    float *h = malloc((size_t)n->size * sizeof *h);
    for (int64_t i = 0; i < n->size; i++)
        h[i] = n->inputs[LAYERS][i] + step * along[i];
    done(s24m_divergence_run(d, h, n->taught, TOKENS, 1, &sum, NULL));
    free(h);
    return sum;
}

/* Along the gradient itself; a cap and a scale of the logits have their part in it. */
START_TEST(differences)
{
    static const struct {
        double cap, scale;
    } heads[] = {{0, 1}, {3, 1}, {3, 0.5}, {0, 0.25}};
    network n = open_network(tiny_models);
    s24m_divergence d;
    double sum = 0, length = 0;
    n.model->config.final_soft_cap = heads[_i].cap;
    n.model->config.logit_scale = heads[_i].scale;
    done(s24m_divergence_open(&d, n.model, n.model, true));
    float *dh = malloc((size_t)n.size * sizeof *dh);
    done(s24m_divergence_run(&d, n.inputs[LAYERS], n.taught, TOKENS, 1, &sum, dh));
    for (int64_t i = 0; i < n.size; i++)
        length += (double)dh[i] * dh[i];
    float step = (float)(0.02 / sqrt(length));
    double up = divergence_at(&d, &n, dh, step), down = divergence_at(&d, &n, dh, -step);
    ck_assert(sum > 0 && length > 0);
    ck_assert_double_eq_tol((up - down) / (2 * step) / length, 1, 2e-3);
    s24m_divergence_close(&d);
    free(dh);
    close_network(&n);
}
END_TEST

START_TEST(nothing_apart)
{
    network n = open_network(tiny_models);
    s24m_divergence d;
    double sum = 0;
    done(s24m_divergence_open(&d, n.model, n.model, true));
    float *dh = malloc((size_t)n.size * sizeof *dh);
    done(s24m_divergence_run(&d, n.taught, n.taught, TOKENS, 1, &sum, dh));
    ck_assert(sum == 0);
    for (int64_t i = 0; i < n.size; i++)
        ck_assert(dh[i] == 0);
    s24m_divergence_close(&d);
    free(dh);
    close_network(&n);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    Suite *suite = suite_create("divergence");
    TCase *tc = tcase_create("divergence");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, gradients_as_torch, 0, 2);
    tcase_add_loop_test(tc, differences, 0, 4);
    tcase_add_test(tc, nothing_apart);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
