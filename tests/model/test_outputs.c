/* Tests the forms in which lib/model writes: forms.c, store.c, describe.c, beside.c. The codes in
 * every file are those of the solver, and what is printed is what a loader computes. */
#include "outputs.h"

/* ---- Codes ---- */

static s24_mat get(const s24_file *file, const char *tensor, const char *part)
{
    char name[128];
    s24_mat view;
    snprintf(name, sizeof name, "%s.%s", tensor, part);
    ok(s24_file_get(file, name, &view));
    return view;
}

static uint8_t code_at(const s24_mat *codes, int64_t i, int64_t j)
{
    return ((const uint8_t *)codes->data)[i * codes->cols + j];
}

static uint32_t word_at(const s24_mat *words, int64_t i, int64_t j)
{
    return ((const uint32_t *)words->data)[i * words->cols + j];
}

/* Blocks of GGUF, as docs/formats.md has them: scale, perhaps minimum, codes. */
static void same_blocks(const s24_file *file, const char *tensor, const s24_file *parts)
{
    s24_mat codes = get(parts, tensor, "codes"), scales = get(parts, tensor, "scales");
    s24_mat zeros = get(parts, tensor, "zeros");
    const unsigned char *block;
    const void *bytes;
    const char *type;
    size_t size;
    ok(s24_file_info(file, tensor, NULL, NULL, &type));
    ok(s24_file_bytes(file, tensor, &bytes, &size));
    int head = strcmp(type, "Q4_1") ? 2 : 4, all = strcmp(type, "Q8_0") ? head + 16 : 34;
    ck_assert_uint_eq(size, (size_t)(codes.rows * codes.cols / 32 * all));
    block = bytes;
    for (int64_t b = 0; b < codes.rows * codes.cols / 32; b++, block += all) {
        ck_assert(!memcmp(block, (const uint16_t *)scales.data + b, 2));
        ck_assert(head == 2 || !memcmp(block + 2, (const uint16_t *)zeros.data + b, 2));
        for (int k = 0; k < 32; k++) {
            uint8_t code = ((const uint8_t *)codes.data)[32 * b + k];
            if (all == 34)
                ck_assert_int_eq((int8_t)block[2 + k], code - ((const uint8_t *)zeros.data)[b]);
            else
                ck_assert_int_eq(block[head + k % 16] >> 4 * (k / 16) & 15, code);
        }
    }
}

static void same_words(const s24_file *file, const char *tensor, const s24_file *parts)
{
    char module[96];
    s24_mat codes = get(parts, tensor, "codes"), scales = get(parts, tensor, "scales"), view;
    snprintf(module, sizeof module, "%.*s", (int)strlen(tensor) - 7, tensor);
    bool gptq =
        s24_file_get(file, strcat(strcpy((char[128]){0}, module), ".qweight"), &view) == S24_OK;
    s24_mat words = get(file, module, gptq ? "qweight" : "weight_packed");
    s24_mat scale = get(file, module, gptq ? "scales" : "weight_scale");
    for (int64_t i = 0; i < codes.rows; i++)
        for (int64_t j = 0; j < codes.cols; j++) {
            uint32_t word = gptq ? word_at(&words, j / 8, i) : word_at(&words, i, j / 8);
            ck_assert_int_eq(word >> 4 * (j % 8) & 15, code_at(&codes, i, j));
            int64_t g = j / 32, groups = scales.cols;
            uint16_t ours = ((const uint16_t *)scales.data)[i * groups + g];
            uint16_t theirs =
                ((const uint16_t *)scale.data)[gptq ? g * codes.rows + i : i * groups + g];
            ck_assert_uint_eq(ours, theirs);
        }
}

static const struct {
    const char *source, *constraints, *form, *model; /* the file in the output */
    const char *type, *number;                       /* of GGUF */
} cases[] = {
    {"tiny-F32.gguf", "2:4+int4 sym g32", "store=q4_0", "tiny-Q4_0.gguf", "Q4_0", "2"},
    {"tiny-F32.gguf", "int4 real g32", "store=q4_1", "tiny-Q4_1.gguf", "Q4_1", "3"},
    {"tiny-F32.gguf", "int8 sym g32", "store=q8_0", "tiny-Q8_0.gguf", "Q8_0", "7"},
    {"tiny", "2:4+int4 sym g32", "format=pack-quantized", "model.safetensors", NULL, NULL},
    {"tiny", "int4 g32", "format=pack-quantized", "model.safetensors", NULL, NULL},
    {"tiny", "2:4+int4 sym g32", "format=gptq", "model.safetensors", NULL, NULL},
    {"tiny", "int4 g32", "format=gptq-v2", "model.safetensors", NULL, NULL},
};
enum { CASES = sizeof cases / sizeof *cases };

/* With the codes beside them and floats of 32 bits nothing is rounded either: the same perplexity,
 * to the last bit. */
START_TEST(codes_are_never_rounded_again)
{
    char path[64];
    const char *tensor;
    double plain = run(cases[_i].source, cases[_i].constraints, "options=[scales=f16]", "plain");
    double packed = run(cases[_i].source, cases[_i].constraints, cases[_i].form, "packed");
    ck_assert_double_eq(plain, packed);
    snprintf(path, sizeof path, "packed/%s", cases[_i].model);
    s24_file *file = opened(path), *parts = opened("plain/sparse24/parts.safetensors");
    s24_model *model;
    ok(s24_model_open(ctx, in_folder(cases[_i].source), &model));
    for (int i = 0; i < MATRICES; i++) {
        ok(s24_model_matrix(model, i, &tensor, NULL, NULL, NULL, NULL));
        (cases[_i].type ? same_blocks : same_words)(file, tensor, parts);
    }
    s24_model_destroy(model);
    s24_file_destroy(parts);
    s24_file_destroy(file);
    ck_assert(!exists("packed/sparse24")); /* they are in the model */
    ck_assert_double_eq(evaluate(cases[_i].type ? path : "packed"), packed);
}
END_TEST

/* Everything else is as in the source, and the file says what it is. */
START_TEST(files_of_gguf_say_what_they_are)
{
    char path[64];
    const void *a, *b;
    size_t m, n;
    const char *type;
    run(cases[_i].source, cases[_i].constraints, cases[_i].form, "packed");
    snprintf(path, sizeof path, "packed/%s", cases[_i].model);
    s24_file *file = opened(path), *source = opened(cases[_i].source);
    ck_assert_str_eq(s24_file_meta(file, "general.file_type"), cases[_i].number);
    ck_assert_str_eq(s24_file_meta(file, "general.quantization_version"), "2");
    ck_assert_int_eq(s24_file_count(file), s24_file_count(source));
    for (int64_t i = 0; i < s24_file_count(source); i++) {
        const char *name = s24_file_name(source, i);
        ok(s24_file_info(file, name, NULL, NULL, &type));
        if (!strncmp(name, "blk.", 4) && !strstr(name, "norm")) {
            ck_assert_str_eq(type, cases[_i].type);
            continue;
        }
        ok(s24_file_bytes(file, name, &a, &m));
        ok(s24_file_bytes(source, name, &b, &n));
        ck_assert(m == n && !memcmp(a, b, n));
    }
    s24_file_destroy(source);
    s24_file_destroy(file);
}
END_TEST

/* ---- Folders ---- */

/* config.json of an output says this of its matrices; white space apart. */
static void says(const char *out, const char *words)
{
    static char text[16384], path[64];
    snprintf(path, sizeof path, "%s/config.json", out);
    FILE *file = fopen(in_folder(path), "r");
    ck_assert_ptr_nonnull(file);
    int used = 0;
    for (int c = 0; (c = fgetc(file)) != EOF && used < (int)sizeof text - 1;)
        if (c != ' ' && c != '\n')
            text[used++] = (char)c;
    text[used] = 0;
    fclose(file);
    ck_assert_msg(strstr(text, words) != NULL, "%s: no %s in %s", out, words, text);
}

START_TEST(folders_describe_themselves)
{
    job j = begin("tiny", "2:4+int4 sym g32", "format=pack-quantized");
    ok(s24_compression_add_rule(j.c, "*.v_proj=int8 sym"));
    ok(s24_compression_add_skip(j.c, "*.0.*.k_proj"));
    ok(s24_compression_run(j.c, in_folder("ct")));
    end(j);
    ck_assert_str_eq(names("ct"), "README.md config.json model.safetensors records.jsonl ");
    says("ct", "\"hidden_size\":64,");
    says("ct", "\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"");
    says("ct", "\"ignore\":[\"lm_head\",\"model.layers.0.self_attn.k_proj\"]");
    says("ct", "\"num_bits\":4,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"group\","
               "\"group_size\":32");
    says("ct", "\"group_1\":{\"targets\":[\"model.layers.0.self_attn.v_proj\","
               "\"model.layers.1.self_attn.v_proj\"],\"weights\":{\"num_bits\":8,\"type\":\"int\","
               "\"symmetric\":true,\"strategy\":\"channel\",\"group_size\":null");
    j = begin("tiny", "int4 sym g32", "format=gptq");
    ok(s24_compression_add_skip(j.c, "*.0.*.k_proj"));
    ok(s24_compression_run(j.c, in_folder("gptq")));
    end(j);
    ck_assert_str_eq(names("gptq"),
                     "README.md config.json model.safetensors quantize_config.json records.jsonl ");
    says("gptq", "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"desc_act\":false,"
                 "\"sym\":true,\"lm_head\":false,\"checkpoint_format\":\"gptq\"");
    says("gptq", "\"dynamic\":{\"-:^model\\\\.layers\\\\.0\\\\.self_attn\\\\.k_proj$\":{}}");
    says("gptq", "\"modules_in_block_to_quantize\":[[\"model.layers.0.self_attn.q_proj\","
                 "\"model.layers.0.self_attn.v_proj\"");
    run("tiny", "int3 sym", "format=gptq-v2", "three"); /* its middle is that of 3 bits */
    says("three", "\"bits\":4,\"group_size\":-1,\"desc_act\":false,\"sym\":false");
    says("three", "\"checkpoint_format\":\"gptq_v2\"");
    run("tiny", "2:4", "format=sparse-24-bitmask", "bitmask");
    says("bitmask", "\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"");
}
END_TEST

/* The embedding as integers of 8 bits, which the head that is tied to it shares: as far from the
 * source's values as half a step. */
START_TEST(tables_are_codes_too)
{
    static float dense[96 * 64], table[96 * 64], step[96];
    s24_mat values, codes, scale, head;
    double value = run("tiny", "int4 sym g32", "format=pack-quantized-all", "all");
    says("all", "\"format\":\"mixed-precision\"");
    says("all", "\"ignore\":[]");
    says("all", "\"targets\":[\"model.embed_tokens\",\"lm_head\"],\"weights\":{\"num_bits\":8,"
                "\"type\":\"int\",\"symmetric\":true,\"strategy\":\"channel\"");
    says("all", "\"format\":\"int-quantized\"}");
    s24_file *file = opened("all/model.safetensors"), *source = opened("tiny");
    ok(s24_file_get(file, "model.embed_tokens.weight", &codes));
    ok(s24_file_get(file, "model.embed_tokens.weight_scale", &scale));
    ok(s24_file_get(file, "lm_head.weight_scale", &head));
    ck_assert(codes.dtype == S24_I8 && codes.rows == 96 && codes.cols == 64);
    ck_assert(scale.dtype == S24_F16 && scale.rows == 96 && scale.cols == 1);
    ck_assert(!memcmp(head.data, scale.data, 2 * 96));
    ok(s24_mat_rowmajor(&values, step, 96, 1, S24_F32));
    ok(s24_mat_copy(ctx, &scale, &values));
    ok(s24_mat_rowmajor(&values, dense, 96, 64, S24_F32));
    ok(s24_file_read(source, "model.embed_tokens.weight", &values));
    s24_file_destroy(source);
    s24_file_destroy(file);
    file = opened("all");
    ok(s24_mat_rowmajor(&values, table, 96, 64, S24_F32));
    ok(s24_file_read(file, "model.embed_tokens.weight", &values));
    s24_file_destroy(file);
    for (int i = 0; i < 96 * 64; i++) { /* the search may give up a little of the largest */
        float error = fabsf(table[i] - dense[i]), largest = 127 * step[i / 64];
        ck_assert(step[i / 64] > 0 &&
                  error <= (fabsf(dense[i]) < largest ? .501f : 8) * step[i / 64]);
    }
    ck_assert_double_eq(evaluate("all"), value);
    run("tiny", "int4 sym g32", "options=[scales=f16]", "plain");
    ok(export("plain", "format=pack-quantized-all", "later"));
    ck_assert_double_eq(evaluate("later"), value);
}
END_TEST

/* Scales without weights are those of the tied head, or nothing that we know. */
START_TEST(other_scales_are_no_tied_head)
{
    static uint16_t other[96];
    s24_mat scale;
    run("tiny", "int4 sym g32", "format=pack-quantized-all", "all");
    s24_file *from = opened("all/model.safetensors"), *to = NULL;
    ok(s24_file_create(ctx, in_folder("other.safetensors"), "safetensors", &to));
    for (int64_t i = 0; i < s24_file_count(from); i++) {
        const char *name = s24_file_name(from, i);
        if (strcmp(name, "lm_head.weight_scale"))
            ok(s24_file_put_stored(to, from, name));
    }
    ok(s24_file_get(from, "lm_head.weight_scale", &scale));
    memcpy(other, scale.data, sizeof other);
    other[95] ^= 1;
    scale.data = other;
    ok(s24_file_put(to, "lm_head.weight_scale", &scale, NULL, 2, NULL));
    ok(s24_file_commit(to));
    s24_file_destroy(to);
    s24_file_destroy(from);
    ck_assert(!rename(in_folder("other.safetensors"), in_folder("all/model.safetensors")));
    s24_model *model = NULL;
    fails(s24_model_open(ctx, in_folder("all"), &model), S24_E_UNSUPPORTED, "lm_head.weight_scale");
}
END_TEST

/* Loaders take every safetensors file beside a model: codes lie below, where resume and export find
 * them; where earlier versions put them, too. */
START_TEST(parts_lie_below)
{
    double value = run("tiny", "int4 sym g32", "options=[scales=f16]", "out");
    ck_assert_str_eq(names("out"),
                     "README.md config.json model.safetensors records.jsonl sparse24 ");
    ck_assert_str_eq(names("out/sparse24"), "parts.safetensors ");
    for (int old = 0; old < 2; old++) {
        job j = begin("tiny", "int4 sym g32", "options=[scales=f16],resume=1");
        ok(s24_compression_run(j.c, in_folder("out")));
        ck_assert_double_eq(perplexity(j), value);
        end(j);
        ok(export("out", "format=gptq", old ? "b" : "a"));
        if (!old)
            ck_assert_int_eq(rename(in_folder("out/sparse24/parts.safetensors"),
                                    in_folder("out/parts.safetensors")),
                             0);
    }
    ck_assert_int_eq(unlink(in_folder("out/parts.safetensors")), 0);
    fails(export("out", "format=gptq", "c"), S24_E_STATE,
          "the parts that compress wrote are missing");
    ck_assert(!exists("c") && !exists("c.part"));
}
END_TEST

/* Floats alone, measured as floats. */
START_TEST(dense_is_what_it_holds)
{
    double value = run("tiny", "2:4+int4 sym g32", "format=dense,store=bf16", "out");
    ck_assert_str_eq(names("out"), "README.md config.json model.safetensors records.jsonl ");
    ck_assert_double_eq(evaluate("out"), value);
}
END_TEST

/* ---- .s24 ---- */

static const struct {
    const char *source, *constraints, *layout; /* of the first matrix */
} holders[] = {{"tiny", "2:4", "ri16x32"},
               {"tiny", "2:4+int4 sym g32", "q4_0"},
               {"tiny", "int4 g16", "pack-quantized"},
               {"tiny-F32.gguf", "int8 sym g32", "q8_0"},
               {"tiny", "50%", NULL},
               {"tiny", "2:4+int4 sym g32+rank 2", NULL}};

START_TEST(s24_files_are_models)
{
    const char *tensor, *layout;
    double value = run(holders[_i].source, holders[_i].constraints, "format=s24", "out");
    ck_assert_str_eq(names("out"), "README.md model.s24 records.jsonl ");
    ck_assert_double_eq(evaluate("out/model.s24"), value);
    s24_file *file = opened("out/model.s24");
    s24_packed *packed = NULL;
    s24_model *model;
    ok(s24_model_open(ctx, in_folder(holders[_i].source), &model));
    ok(s24_model_matrix(model, 0, &tensor, NULL, NULL, NULL, NULL));
    s24_status status = s24_file_packed(file, tensor, &packed);
    ck_assert_int_eq(status == S24_OK, holders[_i].layout != NULL);
    if (packed) {
        ok(s24_packed_info(packed, &layout, NULL, NULL, NULL));
        ck_assert_str_eq(layout, holders[_i].layout);
    }
    s24_packed_destroy(packed);
    s24_file_destroy(file);
    s24_model_destroy(model);
    if (!holders[_i].layout)
        return;
    ok(s24_model_open(ctx, in_folder("out/model.s24"), &model));
    fails(s24_model_export(model, "format=dense", in_folder("no")), S24_E_UNSUPPORTED,
          "packed already");
    s24_model_destroy(model);
}
END_TEST

/* ---- Factors ---- */

START_TEST(factors_are_an_adapter)
{
    static float sum[64 * 64], base[64 * 64];
    char name[128];
    s24_mat all, s, u, v;
    double whole = run("tiny", "2:4+rank 4", "store=f32", "whole");
    double apart = run("tiny", "2:4+rank 4", "format=adapter,store=f32", "out");
    ck_assert(fabs(apart / whole - 1) < 1e-6); /* sums of sums */
    ck_assert_str_eq(names("out"),
                     "README.md adapter config.json model.safetensors records.jsonl ");
    ck_assert_str_eq(names("out/adapter"), "adapter_config.json adapter_model.safetensors ");
    s24_file *w = opened("whole"), *b = opened("out");
    s24_file *a = opened("out/adapter/adapter_model.safetensors");
    ck_assert_int_eq(s24_file_count(a), 2 * MATRICES);
    ok(s24_mat_rowmajor(&all, sum, 64, 64, S24_F32));
    ok(s24_mat_rowmajor(&s, base, 64, 64, S24_F32));
    ok(s24_file_read(w, "model.layers.1.self_attn.q_proj.weight", &all));
    ok(s24_file_read(b, "model.layers.1.self_attn.q_proj.weight", &s));
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name,
                 "base_model.model.model.layers.1.self_attn.q_proj.lora_%s.weight", i ? "A" : "B");
        ok(s24_file_get(a, name, i ? &v : &u));
    }
    ck_assert(u.rows == 64 && u.cols == 4 && v.rows == 4 && v.cols == 64);
    int zeros = 0;
    for (int i = 0; i < 64 * 64; i++) {
        double value = base[i];
        zeros += base[i] == 0;
        for (int r = 0; r < 4; r++)
            value += (double)((float *)u.data)[i / 64 * 4 + r] * ((float *)v.data)[r * 64 + i % 64];
        ck_assert(fabs(value - sum[i]) < 1e-6);
    }
    ck_assert_int_eq(zeros, 64 * 64 / 2);
    s24_file_destroy(a);
    s24_file_destroy(b);
    s24_file_destroy(w);
}
END_TEST

/* ---- Refusals ---- */

static const struct {
    const char *source, *constraints, *form;
    s24_status status;
    const char *text;
} misfits[] = {
    {"tiny-F32.gguf", "2:4+int4 sym g64", "store=q4_0", S24_E_UNSUPPORTED,
     "32 columns: ask for \"2:4+int4 sym g32\""},
    {"tiny-F32.gguf", "int4 sym", "store=q4_0", S24_E_UNSUPPORTED, "ask for \"int4 sym g32\""},
    {"tiny-F32.gguf", "int8 sym g32", "store=q4_0", S24_E_UNSUPPORTED, "ask for \"int4 sym g32\""},
    {"tiny-F32.gguf", "50%+int4 g32", "store=q4_0", S24_E_UNSUPPORTED,
     "in the middle: ask for \"50%+int4 sym g32\""},
    {"tiny-F32.gguf", "2:4", "store=q4_0", S24_E_UNSUPPORTED, "ask for \"2:4+int4 sym g32\""},
    {"tiny-F32.gguf", "2:4+int4 real g32", "store=q4_1", S24_E_UNSUPPORTED,
     "no code for a pruned weight; --store q4_0 has: ask for \"2:4+int4 sym g32\""},
    {"tiny-F32.gguf", "int4 sym g32", "store=q4_1", S24_E_UNSUPPORTED, "\"int4 real g32\""},
    {"tiny-F32.gguf", "int8 g32", "store=q8_0", S24_E_UNSUPPORTED, "\"int8 sym g32\""},
    {"tiny-F32.gguf", "int4 sym g32+rank 2", "store=q4_0", S24_E_UNSUPPORTED, "--format adapter"},
    {"tiny-F32.gguf", "int4 sym g32", "format=gptq", S24_E_UNSUPPORTED, "no Hugging Face folder"},
    {"tiny", "int4 sym g32", "store=q4_0", S24_E_UNSUPPORTED, "convert_hf_to_gguf.py"},
    {"tiny", "int4 sym g32", "format=gguf", S24_E_UNSUPPORTED, "--format gguf: the model is no"},
    {"tiny", "int4 g32", "format=gptq", S24_E_UNSUPPORTED, "ask for \"int4 sym g32\""},
    {"tiny", "int3 sym g32", "format=gptq", S24_E_UNSUPPORTED, "ask for \"int4 sym g32\""},
    {"tiny", "int4 real g32", "format=pack-quantized", S24_E_UNSUPPORTED, "ask for \"int4 g32\""},
    {"tiny", "int4 sym g48", "format=pack-quantized", S24_E_SHAPE,
     "no multiple of 48: ask for g32"},
    {"tiny", "int4 real g16", "format=s24", S24_E_UNSUPPORTED, "no layout has such a grid"},
    {"tiny", "1:4", "format=sparse-24-bitmask", S24_E_UNSUPPORTED, "ask for \"2:4\""},
    {"tiny", "2:4", "format=adapter", S24_E_UNSUPPORTED, "no matrix has a rank"},
    {"tiny", "int4 sym g32", "format=gptq,options=[scales=f32]", S24_E_UNSUPPORTED, "scales=f32"},
    {"tiny", "int4 sym g32", "format=gptq,options=[outliers=0.1]", S24_E_UNSUPPORTED,
     "no place for outliers"},
    {"tiny", "int4 sym g32", "format=gptq,store=f16", S24_E_OPTION, "leave one of them out"},
    {"tiny", "int4 sym g32", "format=gptq,store=q4_0", S24_E_OPTION, "leave one of them out"},
};

START_TEST(misfits_are_refused_before_the_work)
{
    job j = begin(misfits[_i].source, misfits[_i].constraints, misfits[_i].form);
    fails(s24_compression_plan(j.c, NULL, NULL, NULL), misfits[_i].status, misfits[_i].text);
    fails(s24_compression_run(j.c, in_folder("out")), misfits[_i].status, misfits[_i].text);
    ck_assert(!exists("out") && !exists("out.part"));
    end(j);
}
END_TEST

START_TEST(other_rules_are_refused_too)
{
    job j = begin("tiny", "int4 sym g32", "format=gptq");
    ok(s24_compression_add_rule(j.c, "*.k_proj=int8 sym g32"));
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED,
          "one grid for all matrices, and model.layers.0.self_attn.q_proj.weight has another");
    end(j);
    j = begin("tiny-F32.gguf", "int4 sym g32", "store=q4_0");
    ok(s24_compression_add_rule(j.c, "*.down_proj=2:4"));
    fails(s24_compression_run(j.c, in_folder("out")), S24_E_UNSUPPORTED, "blk.0.ffn_down.weight");
    end(j);
}
END_TEST

static void add(TCase *tc)
{
    tcase_add_loop_test(tc, codes_are_never_rounded_again, 0, CASES);
    tcase_add_loop_test(tc, files_of_gguf_say_what_they_are, 0, 3);
    tcase_add_test(tc, folders_describe_themselves);
    tcase_add_test(tc, tables_are_codes_too);
    tcase_add_test(tc, other_scales_are_no_tied_head);
    tcase_add_test(tc, parts_lie_below);
    tcase_add_test(tc, dense_is_what_it_holds);
    tcase_add_loop_test(tc, s24_files_are_models, 0, sizeof holders / sizeof *holders);
    tcase_add_test(tc, factors_are_an_adapter);
    tcase_add_loop_test(tc, misfits_are_refused_before_the_work, 0,
                        sizeof misfits / sizeof *misfits);
    tcase_add_test(tc, other_rules_are_refused_too);
}

int main(void)
{
    return run_case("outputs", add);
}
