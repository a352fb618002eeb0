/* Tests lib/model/tape*.c: gradients of the tiny models of all architectures, through all of their
 * blocks, against those of torch (make_family_gradients.py); which have no way back. */
#include "extents.h"
#include "families.h"
#include "fixture.h"
#include "parts.h"
#include "tape.h"
#include "trained.h"

enum { LENGTH = 24, ENTRIES = 8, TENSORS = 256 };

static const char *golden_path;
static family_list list;

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())
#define done(call) ck_assert_msg(call, "%s: %s", #call, s24_last_error())

/* ---- Gradients as tensors of the file ---- */

/* Each element's name and value are given once. */
typedef struct gradient_tensor {
    char name[S24M_NAME];
    float *values;
    int64_t count;
    bool seen;
} gradient_tensor;

typedef struct gradient_list {
    gradient_tensor of[TENSORS];
    int count;
} gradient_list;

static gradient_tensor *tensor_of(gradient_list *l, const char *name, int64_t count)
{
    for (int i = 0; i < l->count; i++)
        if (!strcmp(l->of[i].name, name))
            return l->of + i;
    ck_assert_int_lt(l->count, TENSORS);
    gradient_tensor *t = l->of + l->count++;
    strcpy(t->name, name);
    t->values = calloc((size_t)count, sizeof *t->values);
    t->count = count;
    return t;
}

/* A matrix, or its bias, into its place. */
static void put_matrix(gradient_list *l, const s24m_model *model, const s24m_block *block,
                       int32_t which, const s24m_gradients *g)
{
    const s24m_matrix *m = block->program->matrices + which;
    int64_t size = m->outputs * m->inputs, slices = m->slices ? m->slices : 1;
    char name[S24M_NAME];
    s24m_tensor_name(model, block->layer, which, false, name);
    float *to = tensor_of(l, name, slices * size)->values + (m->slices ? m->expert * size : 0);
    for (int64_t r = 0; r < m->outputs; r++)
        for (int64_t c = 0; c < m->inputs; c++)
            to[m->transposed ? c * m->outputs + r : r * m->inputs + c] =
                g->weights[which][r * m->inputs + c];
    if (!block->linear[which].bias)
        return;
    s24m_tensor_name(model, block->layer, which, true, name);
    to = tensor_of(l, name, slices * m->outputs)->values + (m->slices ? m->expert * m->outputs : 0);
    memcpy(to, g->bias[which], (size_t)m->outputs * sizeof *to);
}

static void put_vectors(gradient_list *l, const s24m_model *model, const s24m_block *block,
                        const s24m_gradients *g)
{
    for (int32_t i = 0; i < S24M_VECTORS; i++)
        for (int shift = 0; shift < 2; shift++) {
            const s24m_vector *v = block->program->vector + i;
            int64_t count = v->rows * (v->cols && !shift ? v->cols : 1);
            char name[S24M_NAME];
            if (!(shift ? block->shift[i] : block->gain[i]) || i + S24M_ROLES >= S24M_SINKS)
                continue;
            s24m_vector_name(model, block->layer, S24M_ROLES + i, shift, name);
            memcpy(tensor_of(l, name, count)->values, shift ? g->shift[i] : g->gain[i],
                   (size_t)count * sizeof(float));
        }
}

/* ---- A model forth and back ---- */

static void open_all(const s24m_block *block, s24m_gradients *g)
{
    done(s24m_gradients_open(g, block->program->count));
    for (int32_t i = 0; i < block->program->count; i++) {
        const s24_mat *w = &block->linear[i].weights;
        g->weights[i] = calloc((size_t)(w->rows * w->cols), sizeof(float));
        g->bias[i] = calloc((size_t)w->rows, sizeof(float));
    }
    for (int i = 0; i < S24M_VECTORS; i++) {
        const s24m_vector *v = block->program->vector + i;
        size_t count = (size_t)(v->rows * (v->cols ? v->cols : 1) + 1);
        g->gain[i] = calloc(count, sizeof(float));
        g->shift[i] = calloc(count, sizeof(float));
    }
}

static void close_all(const s24m_block *block, s24m_gradients *g)
{
    for (int32_t i = 0; i < block->program->count; i++) {
        free(g->weights[i]);
        free(g->bias[i]);
    }
    for (int i = 0; i < S24M_VECTORS; i++) {
        free(g->gain[i]);
        free(g->shift[i]);
    }
    s24m_gradients_close(g);
}

/* The hidden states that enter the first block. */
static float *enter(s24m_model *model, int64_t *length)
{
    int32_t tokens[LENGTH];
    *length = model->config.image.size ? model->config.image.tokens : LENGTH;
    float *h = malloc((size_t)(*length * model->config.hidden) * sizeof *h);
    for (int64_t t = 0; t < LENGTH; t++)
        tokens[t] = (int32_t)((7 * t * t + 3 * t + 5) % s24m_most(model->config.vocab, 1));
    float *pixels =
        model->config.image.size ? tiny_tensor("pixels", model->config.image.values) : NULL;
    ok(s24m_embed(model, pixels ? (const int32_t *)(const void *)pixels : tokens, 1, *length, h));
    free(pixels);
    return h;
}

/* The gradient with respect to them, and of all tensors. */
static float *run(s24m_model *model, gradient_list *l, int64_t *length)
{
    enum { LAYERS = 8 };
    int64_t hidden = model->config.hidden, layers = model->config.layers;
    float *h[LAYERS + 1], *dy;
    s24m_block block[LAYERS];
    s24m_tape tape;
    ck_assert_int_le(layers, LAYERS);
    h[0] = enter(model, length);
    size_t bytes = (size_t)(*length * hidden) * sizeof(float);
    done(s24m_tape_open(&tape, model, *length));
    for (int64_t i = 0; i < layers; i++) {
        ok(s24m_block_load(model, i, block + i));
        done(s24m_tape_forward(&tape, block + i, h[i], 1, *length));
        h[i + 1] = malloc(bytes);
        memcpy(h[i + 1], h[i], bytes);
        ok(s24m_forward_block(model, block + i, h[i + 1], 1, *length));
        ck_assert_mem_eq(h[i + 1], tape.y, bytes);
    }
    dy = tiny_values("output", *length * hidden, 0.25, 0);
    memcpy(tape.dy, dy, bytes);
    for (int64_t i = layers; i-- > 0;) {
        s24m_gradients g;
        open_all(block + i, &g);
        done(s24m_tape_forward(&tape, block + i, h[i], 1, *length));
        done(s24m_tape_back(&tape, &g));
        for (int32_t which = 0; which < block[i].program->count; which++)
            put_matrix(l, model, block + i, which, &g);
        put_vectors(l, model, block + i, &g);
        close_all(block + i, &g);
        s24m_block_free(block + i);
    }
    memcpy(dy, tape.dy, bytes);
    s24m_tape_close(&tape);
    for (int64_t i = 0; i <= layers; i++)
        free(h[i]);
    return dy;
}

/* ---- Against torch ---- */

/* Entries and norm, relative to the root mean square of all. Those of biases of k are 0 but for
 * rounding: `least` is the norm from which on a gradient is told from that. */
static void compare(const char *model, const char *name, const float *g, int64_t count,
                    const float *wanted, double least)
{
    double squares = 0, worst = 0, norm = wanted[ENTRIES];
    for (int64_t i = 0; i < count; i++)
        squares += (double)g[i] * g[i];
    double scale = fmax(norm, least) / sqrt((double)count);
    for (int64_t i = 0; i < ENTRIES; i++)
        worst = fmax(worst, fabs(g[i * count / ENTRIES] - wanted[i]) / scale);
    ck_assert_msg(worst < 1e-3 && fabs(sqrt(squares) - norm) < fmax(1e-4 * norm, 1e-3 * least),
                  "%s %s: off by %g of the root mean square; norm %g, expected %g", model, name,
                  worst, sqrt(squares), norm);
}

/* Every tensor that torch has a gradient of is looked at. */
static void compare_all(int index, const s24_file *golden, gradient_list *l, const float *dx,
                        int64_t size)
{
    const char *model = family_name(&list, index), *names = s24_file_meta(golden, model);
    s24_mat kept;
    ok(s24_file_get(golden, model, &kept));
    const float *row = kept.data;
    double least = 1e-3 * row[ENTRIES];
    compare(model, "input", dx, size, row, least);
    for (const char *at = names; *at;) {
        size_t length = strcspn(at, ";");
        row += ENTRIES + 1;
        for (int i = 0; i < l->count; i++) {
            gradient_tensor *t = l->of + i;
            if (strlen(t->name) != length || strncmp(t->name, at, length))
                continue;
            compare(model, t->name, t->values, t->count, row, least);
            t->seen = true;
        }
        at += length + (at[length] == ';');
    }
    for (int i = 0; i < l->count; i++)
        ck_assert_msg(l->of[i].seen, "%s: torch has no gradient of %s", model, l->of[i].name);
}

START_TEST(gradients_as_torch)
{
    char folder[64];
    s24m_model *model = NULL;
    s24_file *golden = NULL;
    gradient_list *l = calloc(1, sizeof *l);
    int64_t length;
    family_write(ctx, &list, _i, NULL, folder);
    ok(s24m_open(ctx, folder, &model));
    bool recurrent = strstr(family_name(&list, _i), "qwen3.5");
    ck_assert_int_eq(s24m_tape_check(model), !recurrent);
    if (recurrent)
        ck_assert_ptr_nonnull(strstr(s24_last_error(), "has recurrent layers"));
    else {
        ok(s24_file_open(ctx, golden_path, &golden));
        float *dx = run(model, l, &length);
        compare_all(_i, golden, l, dx, length * model->config.hidden);
        s24_file_destroy(golden);
        free(dx);
    }
    for (int i = 0; i < l->count; i++)
        free(l->of[i].values);
    free(l);
    s24m_close(model);
    family_remove(folder);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    family_open(&list, argv[1]);
    golden_path = argv[2];
    Suite *suite = suite_create("family gradients");
    TCase *tc = tcase_create("family gradients");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, gradients_as_torch, 0, list.count);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    family_close(&list);
    return failed > 0;
}
