/* Tests lib/model/{order,walk_order}.c: orders of inner channels under which every architecture
 * computes the same, orders that are refused, what a compression writes of them. */
#include "family.h"
#include "families.h"
#include "order.h"
#include "outputs.h"

static family_list list;

/* ---- A block in another order ---- */

static uint64_t state;

static int64_t draw(int64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((state >> 33) % (uint64_t)below);
}

/* Each group's stretches alike. */
static void draw_order(const s24m_movable *m, int32_t *order)
{
    for (int64_t g = 0; g < m->groups; g++) {
        int32_t *first = order + g * m->tied * m->width;
        for (int64_t j = 0; j < m->width; j++)
            first[j] = (int32_t)j;
        for (int64_t j = m->width - 1; j > 0; j--) {
            int64_t k = draw(j + 1);
            int32_t old = first[j];
            first[j] = first[k];
            first[k] = old;
        }
        for (int64_t i = m->tied * m->width - 1; i >= 0; i--)
            first[i] = (int32_t)(g * m->tied * m->width + i - i % m->width) + first[i % m->width];
    }
}

/* An image has so many patches. */
static int64_t rows_of(const s24m_model *model)
{
    return model->config.context < LENGTH ? model->config.context : LENGTH;
}

static float *forward(s24m_model *model, const s24m_block *block)
{
    int64_t length = rows_of(model), size = length * model->config.hidden;
    float *h = tiny_values("h", size, 1, 0);
    ok(s24m_forward_block(model, block, h, 1, length));
    return h;
}

/* Both bits: o and down moved. */
static int move_all(const s24m_model *model, s24m_block *block, int32_t **orders)
{
    int moved = 0;
    for (int32_t i = 0; i < block->program->count; i++) {
        s24m_movable m = s24m_order_movable(model, block->program, i);
        orders[i] = NULL;
        if (!m.width)
            continue;
        ck_assert_int_eq(m.groups * m.tied * m.width, block->linear[i].weights.cols);
        orders[i] = malloc((size_t)block->linear[i].weights.cols * sizeof **orders);
        draw_order(&m, orders[i]);
        ok(s24m_order_apply(model, block, i, orders[i]));
        moved |= block->program->matrices[i].role == S24M_O ? 1 : 2;
    }
    return moved;
}

static void move_back(const s24m_model *model, s24m_block *block, int32_t **orders)
{
    for (int32_t i = 0; i < block->program->count; i++) {
        int64_t cols = block->linear[i].weights.cols;
        int32_t *back = malloc((size_t)cols * sizeof *back);
        for (int64_t j = 0; orders[i] && j < cols; j++)
            back[orders[i][j]] = (int32_t)j;
        if (orders[i])
            ok(s24m_order_apply(model, block, i, back));
        free(orders[i]);
        free(back);
    }
}

static void same_weights(const s24m_block *a, const s24m_block *b)
{
    for (int32_t i = 0; i < a->program->count; i++) {
        const s24m_linear *x = a->linear + i, *y = b->linear + i;
        ck_assert_mem_eq(x->weights.data, y->weights.data,
                         (size_t)(x->weights.rows * x->weights.cols) * sizeof(float));
        ck_assert(!x->bias || !memcmp(x->bias, y->bias, (size_t)x->weights.rows * sizeof(float)));
    }
}

static void check_block(s24m_model *model, int64_t layer, const char *name)
{
    s24m_block block, before;
    int32_t *orders[256];
    double worst = 0, largest = 0;
    ok(s24m_block_load(model, layer, &block));
    ok(s24m_block_load(model, layer, &before));
    ck_assert_int_le(block.program->count, 256);
    const s24m_layer *l = model->layer + layer;
    int moved = move_all(model, &block, orders);
    bool heads = !l->recurrent && model->config.qkv != 4; /* switched */
    ck_assert_msg(moved == (heads ? 1 : 0) + (l->experts ? 0 : 2), "%s: %d", name, moved);
    float *x = forward(model, &before), *y = forward(model, &block);
    for (int64_t i = 0; i < rows_of(model) * model->config.hidden; i++) {
        double apart = fabs((double)x[i] - (double)y[i]);
        worst = apart <= worst ? worst : isnan(apart) ? INFINITY : apart;
        largest = fabs((double)x[i]) > largest ? fabs((double)x[i]) : largest;
    }
    ck_assert_msg(worst <= 2e-6 * largest, "%s: off by %g of %g", name, worst, largest);
    move_back(model, &block, orders);
    same_weights(&block, &before);
    free(x);
    free(y);
    s24m_block_free(&block);
    s24m_block_free(&before);
}

START_TEST(every_architecture_computes_the_same)
{
    char at[64];
    s24m_model *model;
    state = 7;
    family_write(ctx, &list, _i, NULL, at);
    ok(s24m_open(ctx, at, &model));
    for (int64_t layer = 0; layer < model->config.layers; layer++)
        check_block(model, layer, family_name(&list, _i));
    s24m_close(model);
    family_remove(at);
}
END_TEST

START_TEST(orders_that_are_none)
{
    s24m_model *model;
    s24m_block block, before;
    ok(s24m_open(ctx, in_folder("tiny"), &model));
    ok(s24m_block_load(model, 0, &block));
    ok(s24m_block_load(model, 0, &before));
    const s24m_program *p = block.program;
    int32_t o = p->first[S24M_O], down = p->first[S24M_DOWN], order[96];
    for (int round = 0; round < 6; round++) {
        for (int32_t j = 0; j < 96; j++)
            order[j] = j;
        if (round == 0)
            order[3] = 2; /* twice */
        if (round == 1)
            order[95] = 96;
        if (round == 2)
            order[0] = -1;
        if (round == 3) /* from one key's head to the other */
            order[0] = 32, order[32] = 0, order[16] = 48, order[48] = 16;
        if (round == 4) /* in one of two queries' heads */
            order[0] = 1, order[1] = 0;
        int32_t which = round < 3 ? down : round == 5 ? p->first[S24M_Q] : o;
        fails(s24m_order_apply(model, &block, which, order), S24_E_FORMAT,
              round < 3    ? "down_proj.weight: this is no order"
              : round == 5 ? "q_proj.weight: its inputs cannot move"
                           : "o_proj.weight: this is no order");
        same_weights(&block, &before);
    }
    s24m_block_free(&block);
    s24m_block_free(&before);
    s24m_close(model);
}
END_TEST

/* ---- What a compression writes ---- */

typedef struct written {
    s24_mat mat;
    float *values;
    s24_file *file;
} written;

static written tensor(const char *path, const char *name)
{
    written w = {.file = opened(path)};
    int64_t shape[8];
    int32_t rank;
    ok(s24_file_info(w.file, name, shape, &rank, NULL));
    int64_t rows = rank == 2 ? shape[0] : 1, cols = shape[rank - 1];
    w.values = malloc((size_t)(rows * cols) * sizeof *w.values);
    s24_mat_rowmajor(&w.mat, w.values, rows, cols, S24_F32);
    ok(s24_file_read(w.file, name, &w.mat));
    return w;
}

static void let_go(written w)
{
    free(w.values);
    s24_file_destroy(w.file);
}

static void read_order(const char *path, const char *name, int32_t *order, int64_t count)
{
    s24_mat mat;
    s24_file *file = opened(path);
    ok(s24_file_get(file, name, &mat));
    ck_assert_int_eq(mat.dtype, S24_I32);
    ck_assert_int_eq(mat.rows * mat.cols, count);
    memcpy(order, mat.data, (size_t)count * sizeof *order);
    s24_file_destroy(file);
}

/* Whatever is not 0 is the source's weight of row[r] and col[c]; NULL: of the same. */
static int check_moved(const char *source, const char *out, const char *name, const int32_t *row,
                       const int32_t *col)
{
    written a = tensor(source, name), b = tensor(out, name);
    int kept = 0;
    for (int64_t r = 0; r < a.mat.rows; r++)
        for (int64_t c = 0; c < a.mat.cols; c++) {
            float v = b.values[r * b.mat.cols + c];
            float w = a.values[(row ? row[r] : r) * a.mat.cols + (col ? col[c] : c)];
            ck_assert_msg(v == 0 || v == w, "%s: row %d, column %d: %g instead of %g", name, (int)r,
                          (int)c, (double)v, (double)w);
            kept += v != 0;
        }
    let_go(a);
    let_go(b);
    return kept;
}

/* Magnitude keeps weights as they are, so that every one can be found again. */
static void check_written(const char *source, const char *out, const char *parts, bool biased)
{
    char name[96];
    for (int layer = 0; layer < 2; layer++) {
        int32_t inner[96], heads[64], values[32];
        snprintf(name, sizeof name, "model.layers.%d.mlp.down_proj.weight.order", layer);
        read_order(parts, name, inner, 96);
        snprintf(name, sizeof name, "model.layers.%d.self_attn.o_proj.weight.order", layer);
        read_order(parts, name, heads, 64);
        for (int i = 0; i < 32; i++) /* two queries' heads of 16 each a key's */
            values[i] = heads[i / 16 * 32 + i % 16] - i / 16 * 16;
        const struct {
            const char *name;
            const int32_t *row, *col;
        } matrices[] = {{"mlp.gate_proj", inner, NULL},    {"mlp.up_proj", inner, NULL},
                        {"mlp.down_proj", NULL, inner},    {"self_attn.v_proj", values, NULL},
                        {"self_attn.o_proj", NULL, heads}, {"self_attn.q_proj", NULL, NULL}};
        for (int i = 0; i < 6; i++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, matrices[i].name);
            ck_assert_int_gt(check_moved(source, out, name, matrices[i].row, matrices[i].col), 500);
            snprintf(name, sizeof name, "model.layers.%d.%s.bias", layer, matrices[i].name);
            if (biased) /* one row: its columns move with the rows of the matrix */
                ck_assert_int_gt(check_moved(source, out, name, NULL, matrices[i].row), 20);
        }
    }
}

static job moved(const char *source, const char *more)
{
    job j = begin(source, "2:4", "solver=magnitude,correct=0");
    ok(s24_compression_parse(j.c, more));
    return j;
}

static void run_job(job j, const char *out)
{
    ok(s24_compression_run(j.c, in_folder(out)));
    end(j);
}

START_TEST(weights_are_found_where_the_order_says)
{
    run_job(moved("tiny", ""), "out");
    check_written("tiny", "out", "out/sparse24/parts.safetensors", false);
}
END_TEST

START_TEST(biases_move_along)
{
    tiny_model biased = tiny_models[1];
    ck_assert_str_eq(biased.name, "llama_bias");
    ck_assert_int_eq(mkdir(in_folder("biased"), 0777), 0);
    tiny_write_folder(ctx, in_folder("biased"), &biased);
    run_job(moved("biased", ""), "out");
    check_written("biased", "out", "out/sparse24/parts.safetensors", true);
    job j = moved("biased", "format=sparse-24-bitmask");
    ok(s24_compression_run(j.c, in_folder("packed")));
    double packed = perplexity(j), plain = evaluate("out");
    ck_assert_msg(fabs(packed / plain - 1) < 1e-6, "%.9g instead of %.9g", packed, plain);
    end(j);
}
END_TEST

START_TEST(records_tell_what_is_kept)
{
    job j = moved("tiny", "");
    int told = 0;
    ok(s24_compression_run(j.c, in_folder("out")));
    for (int i = 0; i < MATRICES; i++) {
        const char *json, *name, *kept, *before;
        ok(s24_compression_matrix_str(j.c, i, "json", &json));
        ok(s24_compression_matrix_str(j.c, i, "matrix", &name));
        kept = strstr(json, "\"score_kept\":");
        before = strstr(json, "\"score_kept_unpermuted\":");
        bool moves = !strcmp(name, "o_proj") || !strcmp(name, "down_proj");
        ck_assert_msg(moves == (strstr(json, "\"permuted\":1") != NULL), "%s", json);
        if (!moves)
            continue;
        ck_assert_ptr_nonnull(kept);
        ck_assert_ptr_nonnull(before);
        double now = atof(strchr(kept, ':') + 1), then = atof(strchr(before, ':') + 1);
        ck_assert_msg(then > 0.5 && now > then && now < 1, "%g and %g", then, now);
        told++;
    }
    ck_assert_int_eq(told, 4);
    end(j);
}
END_TEST

/* No pattern, no order; none was asked for; the other side stays as it is in the file. */
static const struct {
    const char *options, *rule, *skip;
    int moved;
} without[] = {{"permute=none", NULL, NULL, 0},    {"constraints=50%", NULL, NULL, 0},
               {"constraints=4:4", NULL, NULL, 0}, {"", NULL, "*.gate_proj", 2},
               {"", NULL, "*.v_proj", 2},          {"", "*.down_proj=50%", NULL, 2},
               {"", "*.o_proj=2:32", NULL, 2}};

START_TEST(nothing_moves_without_need)
{
    job j = moved("tiny", without[_i].options);
    int count = 0;
    if (without[_i].rule)
        ok(s24_compression_add_rule(j.c, without[_i].rule));
    if (without[_i].skip)
        ok(s24_compression_add_skip(j.c, without[_i].skip));
    run_job(j, "out");
    bool parts = exists("out/sparse24/parts.safetensors");
    ck_assert_int_eq(parts, without[_i].moved > 0);
    s24_file *file = parts ? opened("out/sparse24/parts.safetensors") : NULL;
    for (int64_t i = 0; file && i < s24_file_count(file); i++)
        count += strstr(s24_file_name(file, i), ".order") != NULL;
    s24_file_destroy(file);
    ck_assert_int_eq(count, without[_i].moved);
}
END_TEST

/* In both kinds of file; what is written is what was measured. */
START_TEST(less_is_lost)
{
    static const char *const sources[] = {"tiny", "tiny-F32.gguf"};
    for (int i = 0; i < 2; i++) {
        double loss[2];
        for (int permuted = 0; permuted < 2; permuted++) {
            job j = begin(sources[i], "2:4", permuted ? "permute=inner" : "permute=none");
            ok(s24_compression_run(j.c, in_folder(i          ? permuted ? "b1" : "b0"
                                                  : permuted ? "a1"
                                                             : "a0")));
            loss[permuted] = 0;
            for (int m = 0; m < MATRICES; m++) {
                const char *name;
                double value;
                ok(s24_compression_matrix_str(j.c, m, "matrix", &name));
                ok(s24_compression_matrix_float(j.c, m, "relative_loss", &value));
                loss[permuted] += strcmp(name, "down_proj") ? 0 : value;
            }
            end(j);
        }
        ck_assert_msg(loss[1] < 0.97 * loss[0], "%g, without %g", loss[1], loss[0]);
    }
    ck_assert_double_eq_tol(evaluate("b1/tiny-F32.gguf") / evaluate("a1"), 1, 1e-5);
}
END_TEST

/* ---- Going on ---- */

static int32_t stop_in_second(void *user, const char *phase, int64_t step, int64_t total,
                              double objective, double residual)
{
    (void)user, (void)step, (void)total, (void)objective, (void)residual;
    return strstr(phase, "block 2 of 2: down_proj") != NULL;
}

START_TEST(a_stopped_run_keeps_its_order)
{
    ok(s24_ctx_set_int(ctx, "threads", 1));
    run_job(moved("tiny", ""), "whole");
    job j = moved("tiny", "");
    ok(s24_compression_set_progress(j.c, stop_in_second, NULL));
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_CANCELLED, "");
    end(j);
    ok(s24_ctx_set_int(ctx, "threads", 3));
    j = moved("tiny", "permute=none,resume=1");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_STATE, "permute none");
    end(j);
    run_job(moved("tiny", "resume=1"), "out");
    same_tensors("whole/model.safetensors", "out/model.safetensors");
    same_tensors("whole/sparse24/parts.safetensors", "out/sparse24/parts.safetensors");
}
END_TEST

static void add(TCase *tc)
{
    tcase_add_test(tc, weights_are_found_where_the_order_says);
    tcase_add_test(tc, biases_move_along);
    tcase_add_test(tc, records_tell_what_is_kept);
    tcase_add_loop_test(tc, nothing_moves_without_need, 0, sizeof without / sizeof *without);
    tcase_add_test(tc, less_is_lost);
    tcase_add_test(tc, a_stopped_run_keeps_its_order);
    tcase_add_test(tc, orders_that_are_none);
    tcase_add_loop_test(tc, every_architecture_computes_the_same, 0, list.count);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    family_open(&list, argv[1]);
    int failed = run_case("order", add);
    family_close(&list);
    return failed;
}
