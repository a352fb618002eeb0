/* Tests lib/model/{shrink,cut}.c: models that lose inner channels and heads: written smaller, with
 * what is left of every tensor, as the configuration says; what cannot be is refused. */
#include "families.h"
#include "outputs.h"

static job asked(const char *source, const char *const *rules, const char *options)
{
    job j = begin(source, "", options);
    for (int i = 0; i < 3 && rules[i]; i++)
        ok(s24_compression_add_rule(j.c, rules[i]));
    return j;
}

static const char *const both[] = {"mlp=columns 64 kept", "attention=groups 1 kept", NULL};

static float *values(const char *path, const char *name, int64_t shape[2])
{
    s24_file *file = opened(path);
    int32_t rank;
    s24_mat view;
    ok(s24_file_info(file, name, shape, &rank, NULL));
    shape[1] = rank > 1 ? shape[1] : 1;
    float *all = malloc((size_t)(shape[0] * shape[1]) * sizeof *all);
    s24_mat_rowmajor(&view, all, rank > 1 ? shape[0] : 1, rank > 1 ? shape[1] : shape[0], S24_F32);
    ok(s24_file_read(file, name, &view));
    s24_file_destroy(file);
    return all;
}

/* Rows of `out` are those of the source that these units have, `width` each. */
static void same_rows(const char *source, const char *out, const char *name, const int32_t *unit,
                      int64_t units, int64_t width)
{
    int64_t a[2], b[2];
    float *x = values(source, name, a), *y = values(out, name, b);
    ck_assert_int_eq(b[0], units * width);
    ck_assert_int_eq(b[1], a[1]);
    for (int64_t r = 0; r < b[0]; r++)
        ck_assert_msg(!memcmp(y + r * b[1], x + (unit[r / width] * width + r % width) * a[1],
                              (size_t)b[1] * sizeof *y),
                      "%s: row %d", name, (int)r);
    free(x);
    free(y);
}

static int32_t *kept(const char *out, const char *name, int64_t count)
{
    s24_mat mat;
    char path[96];
    snprintf(path, sizeof path, "%s/sparse24/parts.safetensors", out);
    s24_file *file = opened(path);
    int32_t *units = malloc((size_t)count * sizeof *units);
    ok(s24_file_get(file, name, &mat));
    ck_assert_int_eq(mat.dtype, S24_I32);
    ck_assert_int_eq(mat.cols, count);
    memcpy(units, mat.data, (size_t)count * sizeof *units);
    s24_file_destroy(file);
    return units;
}

static int64_t columns_of(const char *out, const char *name)
{
    int64_t shape[2];
    free(values(out, name, shape));
    return shape[1];
}

static void check_written(const char *source, const char *out, bool biased)
{
    char name[96];
    for (int layer = 0; layer < 2; layer++) {
        static const struct {
            const char *name;
            int64_t width;
            bool mlp;
        } matrices[] = {{"mlp.gate_proj", 1, true},
                        {"mlp.up_proj", 1, true},
                        {"self_attn.q_proj", 32, false},
                        {"self_attn.k_proj", 16, false},
                        {"self_attn.v_proj", 16, false}};
        snprintf(name, sizeof name, "model.layers.%d.mlp.down_proj.weight.kept", layer);
        int32_t *inner = kept(out, name, 64);
        snprintf(name, sizeof name, "model.layers.%d.self_attn.o_proj.weight.kept", layer);
        int32_t *groups = kept(out, name, 1);
        for (int i = 0; i < 5; i++)
            for (int bias = 0; bias <= biased; bias++) {
                snprintf(name, sizeof name, "model.layers.%d.%s.%s", layer, matrices[i].name,
                         bias ? "bias" : "weight");
                same_rows(source, out, name, matrices[i].mlp ? inner : groups,
                          matrices[i].mlp ? 64 : 1, matrices[i].width);
            }
        snprintf(name, sizeof name, "model.layers.%d.mlp.down_proj.weight", layer);
        ck_assert_int_eq(columns_of(out, name), 64);
        snprintf(name, sizeof name, "model.layers.%d.self_attn.o_proj.weight", layer);
        ck_assert_int_eq(columns_of(out, name), 32);
        free(inner);
        free(groups);
    }
}

static void says(const char *path, const char *key, const char *value)
{
    s24_file *file = opened(path);
    const char *text = s24_file_meta(file, key);
    ck_assert_msg(text && !strcmp(text, value), "%s is %s", key, text ? text : "missing");
    s24_file_destroy(file);
}

START_TEST(folders_become_smaller)
{
    for (int biased = 0; biased < 2; biased++) {
        const char *source = biased ? "biased" : "tiny", *out = biased ? "out1" : "out0";
        tiny_model m = tiny_models[biased];
        if (biased) {
            ck_assert_int_eq(mkdir(in_folder("biased"), 0777), 0);
            tiny_write_folder(ctx, in_folder("biased"), &m);
        }
        job j = asked(source, both, "correct=0.5");
        ok(s24_compression_run(j.c, in_folder(out)));
        ck_assert_double_eq_tol(perplexity(j) / evaluate(out), 1, 1e-12);
        end(j);
        check_written(source, out, biased);
        says(out, "config.intermediate_size", "64");
        says(out, "config.num_attention_heads", "2");
        says(out, "config.num_key_value_heads", "1");
        says(out, "config.head_dim", "16");
    }
}
END_TEST

/* As numbers, even where the source leaves them out. */
START_TEST(a_new_size_is_a_number)
{
    char text[4096] = "";
    job j = asked("tiny", both, "");
    ok(s24_compression_run(j.c, in_folder("out")));
    end(j);
    FILE *file = fopen(in_folder("out/config.json"), "r");
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    const char *at = strstr(text, "\"head_dim\"");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(atoi(strchr(at, ':') + 1), 16);
}
END_TEST

START_TEST(gguf_files_become_smaller)
{
    job j = asked("tiny-F32.gguf", both, "");
    ok(s24_compression_run(j.c, in_folder("out")));
    ck_assert_double_eq_tol(perplexity(j) / evaluate("out/tiny-F32.gguf"), 1, 1e-12);
    end(j);
    says("out/tiny-F32.gguf", "llama.feed_forward_length", "64");
    says("out/tiny-F32.gguf", "llama.attention.head_count", "2");
    says("out/tiny-F32.gguf", "llama.attention.head_count_kv", "1");
    says("out/tiny-F32.gguf", "llama.attention.key_length", "16");
    says("out/tiny-F32.gguf", "llama.attention.value_length", "16");
    says("out/tiny-F32.gguf", "llama.rope.dimension_count", "16");
    /* The same model as the folder gives: no head's rows were cut in two. */
    job k = asked("tiny", both, "");
    ok(s24_compression_run(k.c, in_folder("folder")));
    ck_assert_double_eq_tol(perplexity(k) / evaluate("out/tiny-F32.gguf"), 1, 1e-5);
    end(k);
}
END_TEST

/* Rows of gate that were pruned are cut as solved; and what is left can be compressed again. */
START_TEST(what_is_left_goes_on)
{
    static const char *const rules[] = {"*.gate_proj=2:4", "mlp=columns 64 kept", NULL};
    int64_t shape[2];
    int zeros = 0;
    job j = asked("tiny", rules, "solver=");
    ok(s24_compression_run(j.c, in_folder("out")));
    ck_assert_double_eq_tol(perplexity(j) / evaluate("out"), 1, 1e-12);
    end(j);
    float *gate = values("out", "model.layers.1.mlp.gate_proj.weight", shape);
    for (int64_t i = 0; i < shape[0] * shape[1]; i++)
        zeros += gate[i] == 0;
    ck_assert_int_eq(shape[0], 64);
    ck_assert_int_eq(zeros, 64 * shape[1] / 2);
    free(gate);
    double after = run("out", "2:4", "", "again");
    ck_assert_double_eq_tol(after / evaluate("again"), 1, 1e-12);
}
END_TEST

static int32_t stop_in_second(void *user, const char *phase, int64_t step, int64_t total,
                              double objective, double residual)
{
    (void)user, (void)step, (void)total, (void)objective, (void)residual;
    return strstr(phase, "block 2 of 2: down_proj") != NULL;
}

START_TEST(a_stopped_run_goes_on)
{
    job j = asked("tiny", both, "");
    ok(s24_compression_run(j.c, in_folder("whole")));
    end(j);
    j = asked("tiny", both, "");
    ok(s24_compression_set_progress(j.c, stop_in_second, NULL));
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_CANCELLED, "");
    end(j);
    j = asked("tiny", both, "resume=1");
    ok(s24_compression_run(j.c, in_folder("out")));
    end(j);
    same_tensors("whole/model.safetensors", "out/model.safetensors");
}
END_TEST

/* The sum of the magnitudes of a row of up. */
static double row_sum(const float *up, int64_t hidden, int64_t channel)
{
    double sum = 0;
    for (int64_t i = 0; i < hidden; i++)
        sum += fabs((double)up[channel * hidden + i]);
    return sum;
}

/* score=norm looks at up alone: the rows of the largest sums stay. */
START_TEST(ranks_know_the_matrix_before)
{
    static const char *const rules[] = {"mlp=columns 64 kept", NULL};
    int64_t shape[2];
    job j = asked("tiny", rules, "solver=mlprank,options=[score=norm,refit=0]");
    ok(s24_compression_run(j.c, in_folder("out")));
    end(j);
    for (int layer = 0; layer < 2; layer++) {
        char name[64], part[64];
        snprintf(name, sizeof name, "model.layers.%d.mlp.up_proj.weight", layer);
        snprintf(part, sizeof part, "model.layers.%d.mlp.down_proj.weight.kept", layer);
        float *up = values("tiny", name, shape);
        int32_t *stays = kept("out", part, 64);
        double least = INFINITY, most = 0;
        for (int64_t i = 0, k = 0; i < shape[0]; i++) {
            double score = row_sum(up, shape[1], i);
            if (k < 64 && stays[k] == i) {
                least = fmin(least, score);
                k++;
            } else {
                most = fmax(most, score);
            }
        }
        ck_assert_double_ge(least, most);
        free(stays);
        free(up);
    }
}
END_TEST

/* Chained scores come from the blocks before, also where these were read. */
START_TEST(a_chain_goes_on)
{
    static const char *const rules[] = {"mlp=columns 64 kept", NULL};
    const char *options = "solver=mlprank,options=[score=mpr,chain=1]";
    job j = asked("tiny", rules, options);
    ok(s24_compression_run(j.c, in_folder("whole")));
    end(j);
    j = asked("tiny", rules, options);
    ok(s24_compression_set_progress(j.c, stop_in_second, NULL));
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_CANCELLED, "");
    end(j);
    j = asked("tiny", rules, "solver=mlprank,options=[score=mpr,chain=1],resume=1");
    ok(s24_compression_run(j.c, in_folder("out")));
    end(j);
    same_tensors("whole/model.safetensors", "out/model.safetensors");
}
END_TEST

/* The names of what is legal are in the text. */
static const struct {
    const char *rule, *other, *options, *text;
} refused[] = {
    {"mlp=columns 50 kept", NULL, "",
     "multiples of 32: ask for \"columns 32 kept\" or \"columns 64 kept\""},
    {"mlp=columns 5%", NULL, "", "multiples of 32: ask for \"columns 64 kept\""},
    {"mlp=columns 96 kept", NULL, "", "ask for \"columns 64 kept\""},
    {"attention=groups 2 kept", NULL, "", "the model has 2 groups: keep 1 .. 1"},
    {"attention=groups 1 kept of 3", NULL, "", "the model has 2 groups"},
    {"attention=heads 3 kept", NULL, "", "2 heads share a key and leave together"},
    {"model.layers.0.mlp.down_proj=columns 64 kept", NULL, "",
     "of block 2 \"no columns\": files tell one size for all blocks"},
    {"*.up_proj=int4", "mlp=columns 64 kept", "", "remove the columns first"},
    {"mlp=columns 64 kept+2:4", NULL, "", "takes no other term"},
    {"attention=groups 1 kept+50%", NULL, "", "takes no other term"},
    {"mlp=columns 64 kept", NULL, "format=s24", "whole columns are removed from models of floats"},
    {"mlp=columns 64 kept", NULL, "format=sparse-24-bitmask", "from models of floats"},
};

START_TEST(what_cannot_be_is_refused)
{
    const char *const rules[] = {refused[_i].rule, refused[_i].other, NULL};
    job j = asked("tiny", rules, refused[_i].options);
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED, refused[_i].text);
    ck_assert(!exists("out"));
    end(j);
}
END_TEST

/* Numbers that are none, none or all of it, and words behind the text. */
static const char *const unreadable[] = {
    "mlp=columns 0 kept",
    "mlp=columns -3%",
    "mlp=columns 0%",
    "mlp=columns 100%",
    "mlp=columns nan%",
    "mlp=columns 1e999%",
    "mlp=columns 33%x",
    "mlp=columns 64",
    "mlp=columns 64 kept of 97",
    "mlp=columns 64 keptx",
    "attention=groups -5 kept",
    "attention=groups 1 keep",
    "attention=groups 1 kept of x",
    "attention=groups 1 kept y",
    "attention=groups 100%",
};

START_TEST(a_text_is_read_whole_or_refused)
{
    const char *const rules[] = {unreadable[_i], NULL};
    job j = asked("tiny", rules, "");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_OPTION, "expected \"columns 25%\"");
    ck_assert(!exists("out"));
    end(j);
}
END_TEST

START_TEST(heads_that_do_not_divide_the_hidden_size)
{
    static const char *const three[] = {"attention=heads 3 kept", NULL};
    tiny_model m = tiny_models[0];
    m.kv_heads = 4;
    ck_assert_int_eq(mkdir(in_folder("mha"), 0777), 0);
    tiny_write_folder(ctx, in_folder("mha"), &m);
    job j = asked("mha", three, "");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED, "keep 2");
    end(j);
    m.gguf = true; /* llama.cpp takes any */
    tiny_write(ctx, in_folder("mha.gguf"), &m);
    j = asked("mha.gguf", three, "");
    ok(s24_compression_run(j.c, in_folder("out")));
    end(j);
    says("out/mha.gguf", "llama.attention.head_count_kv", "3");
}
END_TEST

/* Where the number of heads says how large they are, fewer cannot be. */
static const char *families_path;
static const struct {
    const char *family, *rule, *text;
} of_families[] = {
    {"stablelm", "attention=groups 1 kept", "divide the hidden size"},
    {"opt", "attention=groups 1 kept", "divide the hidden size"},
    {"olmo2", "attention=groups 1 kept", "norms of q and k span them"},
    {"falcon-40b", "attention=groups 1 kept", "q, k and v lie in one tensor"},
    {"gpt2", "mlp=columns 32 kept", "stored as inputs x outputs"},
};

START_TEST(architectures_that_cannot)
{
    static family_list list;
    char at[64], command[128];
    const char *const rules[] = {of_families[_i].rule, NULL};
    family_open(&list, families_path);
    family_write(ctx, &list, family_find(&list, of_families[_i].family), NULL, at);
    snprintf(command, sizeof command, "mv %s %s", at, in_folder("family"));
    ck_assert_int_eq(system(command), 0);
    for (int i = 0; i < ROWS * LENGTH; i++)
        ids[i] %= 40;
    job j = asked("family", rules, "");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED, of_families[_i].text);
    end(j);
    family_close(&list);
}
END_TEST

/* llama.cpp b11549 wants q of hidden x hidden in Qwen2's files, and of any heads in Llama's. */
START_TEST(heads_that_llama_cpp_divides)
{
    static const char *const groups[] = {"attention=groups 1 kept", NULL};
    tiny_model m = tiny_models[5];
    m.gguf = true;
    tiny_write(ctx, in_folder("qwen2.gguf"), &m);
    job j = asked("qwen2.gguf", groups, "");
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED, "divide the hidden size");
    end(j);
}
END_TEST

static void add(TCase *tc)
{
    tcase_add_loop_test(tc, architectures_that_cannot, 0, sizeof of_families / sizeof *of_families);
    tcase_add_test(tc, folders_become_smaller);
    tcase_add_test(tc, a_new_size_is_a_number);
    tcase_add_test(tc, gguf_files_become_smaller);
    tcase_add_test(tc, what_is_left_goes_on);
    tcase_add_test(tc, a_stopped_run_goes_on);
    tcase_add_test(tc, ranks_know_the_matrix_before);
    tcase_add_test(tc, a_chain_goes_on);
    tcase_add_loop_test(tc, what_cannot_be_is_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(tc, a_text_is_read_whole_or_refused, 0,
                        sizeof unreadable / sizeof *unreadable);
    tcase_add_test(tc, heads_that_llama_cpp_divides);
    tcase_add_test(tc, heads_that_do_not_divide_the_hidden_size);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    families_path = argv[1];
    return run_case("shrink", add);
}
