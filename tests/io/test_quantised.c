/* lib/io/quantised*.c and packing.c: folders of quantised models against what the packages that
 * write or read them make of the same bytes (make_quantised.py), and what is wrong with others. */
#include "folders.h"
#include "io/quantised.h"
#include <math.h>

static const char *vectors;

static const struct {
    const char *name, *type;
    int left; /* tensors that are offered */
} cases[] = {
    {"fp8_blocks", "fp8:e4m3", 3},
    {"fp8_tensor", "fp8:e4m3", 2},
    {"fp8_experts", "fp8:e4m3", 1},
    {"ct_int4", "compressed-tensors:int4", 1},
    {"ct_int4_zeros", "compressed-tensors:int4", 1},
    {"ct_int4_cut", "compressed-tensors:int4", 1},
    {"ct_int2", "compressed-tensors:int2", 1},
    {"ct_mixed", "compressed-tensors:int4", 2},
    {"ct_int8", "compressed-tensors:int8", 1},
    {"ct_naive", "compressed-tensors:int8", 1},
    {"ct_fp8", "compressed-tensors:fp8", 1},
    {"ct_fp8_blocks", "compressed-tensors:fp8", 1},
    {"ct_order", "compressed-tensors:int4", 1},
    {"gptq_v1", "gptq:int4", 2},
    {"gptq_v1_zeros", "gptq:int4", 2},
    {"gptq_v2", "gptq:int4", 2},
    {"gptq_order", "gptq:int4", 2},
    {"gptq_whole", "gptq:int4", 2},
    {"gptq_int2", "gptq:int2", 2},
    {"gptq_int3", "gptq:int3", 2},
    {"gptq_int8", "gptq:int8", 2},
    {"mxfp4", "mxfp4:fp4", 2},
};

enum { CASES = sizeof cases / sizeof *cases, ROOM = 8192 };

static s24i_reader *vectors_file;

static void set_up_vectors(void)
{
    set_up_folders();
    ck_assert_int_eq(s24i_reader_open(&memory, vectors, &vectors_file), S24_OK);
}

static void tear_down_vectors(void)
{
    s24i_reader_close(vectors_file);
    tear_down_folders();
}

/* What follows "CASE" and the mark in a name of the vectors; NULL: another's. */
static const char *of_case(const char *name, const char *test, char mark)
{
    size_t length = strlen(test);

    return !strncmp(name, test, length) && name[length] == mark ? name + length + 1 : NULL;
}

/* The folder of a case without the tensor `omit`, with `other` (of that name) in its place. */
static void write_case(const char *test, const char *config, const char *omit,
                       const s24i_tensor *other)
{
    s24i_writer *w = NULL;

    remove_all(source);
    ck_assert_int_eq(mkdir(source, 0700), 0);
    ck_assert_int_eq(s24i_writer_create(&memory, in_source("model.safetensors"), "safetensors", &w),
                     S24_OK);
    for (int64_t i = 0; i < vectors_file->count; i++) {
        s24i_tensor t = *s24i_reader_at(vectors_file, i);
        t.name = of_case(t.name, test, ':');
        if (t.name && (!omit || strcmp(t.name, omit) != 0))
            ck_assert_int_eq(s24i_writer_put_stored(w, &t), S24_OK);
    }
    if (other)
        ck_assert_int_eq(s24i_writer_put_stored(w, other), S24_OK);
    commit(w);
    write_text(in_source("config.json"), config);
}

static const char *config_of(const char *test)
{
    const char *text = NULL;

    ck_assert_int_eq(s24i_reader_meta(vectors_file, test, &text), S24_OK);
    ck_assert_ptr_nonnull(text);
    return text;
}

/* All rows, in strips as the library takes them, in one piece of `stride`. */
static void decode(const s24i_tensor *t, float *out, int64_t stride)
{
    int64_t rows, cols;

    s24i_tensor_extents(t, &rows, &cols);
    for (int64_t i = 0; i < rows; i += S24I_DECODED_ROWS) {
        int64_t left = rows - i;
        s24i_tensor_decode(t, i, left < S24I_DECODED_ROWS ? left : S24I_DECODED_ROWS,
                           out + i * stride, stride);
    }
}

static void check_values(const s24i_tensor *t, const s24i_tensor *wanted)
{
    static float found[ROOM];
    int64_t rows, cols;

    s24i_tensor_extents(t, &rows, &cols);
    ck_assert(t->rank == wanted->rank && rows * cols <= ROOM);
    ck_assert_mem_eq(t->shape, wanted->shape, (size_t)t->rank * sizeof *t->shape);
    decode(t, found, cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        float value;
        memcpy(&value, wanted->data + 4 * i, sizeof value);
        ck_assert_msg(found[i] == value, "%s, %lld: %a, wanted %a", t->name, (long long)i,
                      (double)found[i], (double)value);
    }
}

/* ---- What is right ---- */

START_TEST(decoded)
{
    const char *test = cases[_i].name;
    int matrices = 0;

    write_case(test, config_of(test), NULL, NULL);
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(file->count, cases[_i].left);
    for (int64_t i = 0; i < vectors_file->count; i++) {
        const s24i_tensor *wanted = s24i_reader_at(vectors_file, i), *t;
        const char *name = of_case(wanted->name, test, '=');
        s24_mat view;
        if (!name)
            continue;
        ck_assert_int_eq(s24i_reader_find(file, name, &t), S24_OK);
        ck_assert_int_eq(s24i_reader_check_values(file, name), S24_OK);
        ck_assert_int_eq(s24i_reader_view(file, name, &view), S24_E_DTYPE);
        unit_check_text("cannot be used where they lie, only be read");
        if (!matrices++)
            ck_assert_str_eq(t->type, cases[_i].type);
        check_values(t, wanted);
    }
    ck_assert_int_gt(matrices, 0);
    const char *key;
    for (int64_t i = 0; (key = s24i_reader_meta_key(file, i)); i++)
        ck_assert(!strstr(key, "quantization_config"));
    ck_assert_str_eq(meta_of(file, "config.model_type"), "llama");
    s24i_reader_close(file);
}
END_TEST

/* A copy is a model of floats, and says so. */
START_TEST(copied)
{
    const char *test = cases[_i].name;
    s24i_writer *w = NULL;
    char place[200];

    write_case(test, config_of(test), NULL, NULL);
    write_text(in_source("quantize_config.json"), "{\"bits\":4}");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(s24i_writer_create(&memory, target, "folder[shard_bytes=2000]", &w), S24_OK);
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    for (int64_t i = 0; i < file->count; i++)
        ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, i)), S24_OK);
    commit(w);
    s24i_reader *copy = open_folder(target);
    ck_assert_int_eq(copy->count, file->count);
    check_text(target, "config.json", "{\n  \"model_type\": \"llama\"\n}\n");
    snprintf(place, sizeof place, "%s/quantize_config.json", target);
    ck_assert_int_ne(access(place, F_OK), 0);
    for (int64_t i = 0; i < vectors_file->count; i++) {
        const s24i_tensor *wanted = s24i_reader_at(vectors_file, i), *t;
        const char *name = of_case(wanted->name, test, '=');
        if (!name)
            continue;
        ck_assert_int_eq(s24i_reader_find(copy, name, &t), S24_OK);
        ck_assert_str_eq(t->type, "F32");
        ck_assert_int_eq(t->rank, wanted->rank);
        ck_assert_mem_eq(t->shape, wanted->shape, (size_t)t->rank * sizeof *t->shape);
        ck_assert_mem_eq(t->data, wanted->data, wanted->size);
    }
    s24i_reader_close(copy);
    s24i_reader_close(file);
}
END_TEST

/* Older folders have the settings of their codes in a file of their own. */
START_TEST(settings_beside)
{
    const s24i_tensor *t;

    write_case("gptq_int2", "{\"model_type\":\"llama\"}", NULL, NULL);
    write_text(in_source("quantize_config.json"),
               "{\"bits\":2,\"group_size\":32,\"checkpoint_format\":\"gptq_v2\"}");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(s24i_reader_find(file, "a.weight", &t), S24_OK);
    ck_assert_str_eq(t->type, "gptq:int2");
    s24i_reader_close(file);
}
END_TEST

/* ---- What is not decoded stays as it is ---- */

static const struct {
    const char *test, *settings, *says;
} undecoded[] = {
    {"ct_int4", "\"quant_method\":\"awq\",\"bits\":4", "not decoded: quant_method awq"},
    {"ct_int4", "\"quant_method\":\"bitsandbytes\"", "not decoded: quant_method bitsandbytes"},
    {"ct_int4", "\"quant_method\":\"compressed-tensors\",\"format\":\"nvfp4-pack-quantized\"",
     "not decoded: compressed-tensors, format nvfp4-pack-quantized"},
    {"ct_int4",
     "\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"format\":\"marlin-24\"}}",
     "compressed-tensors, format marlin-24"},
    {"ct_int4",
     "\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":"
     "3}}}",
     "compressed-tensors, num_bits 3"},
    {"ct_int4",
     "\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":"
     "4,\"type\":\"float\"}}}",
     "compressed-tensors, floats of bits 4"},
    {"ct_int4",
     "\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask"
     "\"}",
     "sparsity format sparse-24-bitmask"},
    {"ct_int4", "\"quant_method\":\"compressed-tensors\",\"quantization_status\":\"frozen\"",
     "quantization_status frozen"},
    {"ct_int4",
     "\"quant_method\":\"compressed-tensors\",\"transform_config\":{\"config_groups\":{\"R1\":1}}",
     "compressed-tensors with a transform_config"},
    {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\"",
     "gptq, checkpoint_format marlin"},
    {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":5", "gptq, bits 5"},
    {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":4,\"pack_dtype\":\"int16\"",
     "gptq, pack_dtype int16"},
    {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":4,\"is_marlin_format\":true",
     "gptq, is_marlin_format true"},
};

enum { UNDECODED = sizeof undecoded / sizeof *undecoded };

START_TEST(left_alone)
{
    char config[400];
    const s24i_tensor *t;
    const char *codes = *undecoded[_i].test == 'g' ? "a.qweight" : "a.weight_packed";

    snprintf(config, sizeof config, "{\"quantization_config\":{%s}}", undecoded[_i].settings);
    write_case(undecoded[_i].test, config, NULL, NULL);
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(s24i_reader_find(file, codes, &t), S24_OK);
    ck_assert_str_eq(t->type, "I32");
    ck_assert_int_eq(s24i_reader_find(file, "a.weight", &t), S24_E_ARG);
    unit_check_text(undecoded[_i].says);
    unit_check_text("decoded are fp8, gptq, mxfp4 and compressed-tensors");
    ck_assert_str_eq(meta_of(file, "config.quantization_config.quant_method"),
                     *undecoded[_i].test == 'g' ? "gptq"
                     : _i == 0                  ? "awq"
                     : _i == 1                  ? "bitsandbytes"
                                                : "compressed-tensors");
    s24i_reader_close(file);
}
END_TEST

/* Layers of GPT-2 lie the other way round. */
START_TEST(turned_layers)
{
    write_case("gptq_v2",
               "{\"model_type\":\"gpt2\",\"quantization_config\":{\"quant_method\":\"gptq\","
               "\"bits\":4}}",
               NULL, NULL);
    s24i_reader *file = open_folder(source);
    const s24i_tensor *t;
    ck_assert_int_eq(s24i_reader_find(file, "a.weight", &t), S24_E_ARG);
    unit_check_text("gptq of layers that lie inputs x outputs");
    s24i_reader_close(file);
}
END_TEST

/* ---- What is wrong ---- */

static void refused(const char *says)
{
    s24i_reader *file = NULL;

    ck_assert_int_eq(s24i_reader_open(&memory, source, &file), S24_E_FORMAT);
    unit_check_text(says);
    ck_assert_ptr_null(file);
}

START_TEST(parts_are_missing)
{
    static const struct {
        const char *test, *omit, *says;
    } missing[] = {
        {"fp8_blocks", "a.weight_scale_inv", "'a.weight' holds codes, but 'a.weight_scale_inv'"},
        {"fp8_experts", "experts.up_scale_inv", "but 'experts.up_scale_inv' is missing"},
        {"ct_int4", "a.weight_scale", "but 'a.weight_scale' is missing"},
        {"ct_int4", "a.weight_shape", "but 'a.weight_shape' is missing"},
        {"ct_int8", "a.weight_scale", "'a.weight' holds codes, but 'a.weight_scale' is missing"},
        {"ct_fp8", "a.weight_scale", "but 'a.weight_scale' is missing"},
        {"gptq_v1", "a.scales", "'a.qweight' holds codes, but 'a.scales' is missing"},
        {"gptq_v1", "a.qzeros", "but 'a.qzeros' is missing"},
        {"mxfp4", "experts.up_scales", "but 'experts.up_scales' is missing"},
    };

    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        write_case(missing[i].test, config_of(missing[i].test), missing[i].omit, NULL);
        refused(missing[i].says);
    }
}
END_TEST

/* A tensor of zeros, or with a value in place of the first. */
static s24i_tensor made(const char *name, const char *type, int32_t rank, int64_t rows,
                        int64_t cols, int32_t first)
{
    static _Alignas(8) unsigned char zeros[1 << 14];
    s24i_tensor t = {.name = name, .element = s24i_element_by_name(type), .rank = rank};
    int64_t shape[] = {rows, cols, 3, 16};

    memset(zeros, 0, sizeof zeros);
    memcpy(zeros, &first, sizeof first);
    memcpy(t.shape, shape, sizeof shape);
    t.type = t.element->name;
    ck_assert_int_eq(s24i_tensor_measure(&t, &t.size), S24_OK);
    ck_assert_uint_le(t.size, sizeof zeros);
    t.data = zeros;
    return t;
}

START_TEST(parts_are_wrong)
{
    static const struct {
        const char *test, *name, *type;
        int32_t rank;
        int64_t rows, cols;
        int32_t first;
        const char *says;
    } wrong[] = {
        {"fp8_blocks", "a.weight_scale_inv", "F32", 2, 3, 3, 0, "no scales of 40 x 50 weights"},
        {"fp8_blocks", "a.weight_scale_inv", "F32", 2, 2, 2, 0, "no scales of 40 x 50 weights"},
        {"fp8_blocks", "a.weight_scale_inv", "I32", 2, 3, 2, 0,
         "3 x 2 of I32, which are no scales"},
        {"fp8_blocks", "a.weight_scale_inv", "F32", 2, 0, 2, 0, "no scales of 40 x 50 weights"},
        {"fp8_experts", "experts.up_scale_inv", "F32", 2, 5, 2, 0, "no scales of 80 x 48"},
        {"fp8_blocks", "a.weight", "F8_E4M3", 1, 40, 0, 0, "codes of rank 1, not 2 or 3"},
        {"fp8_blocks", "a.weight", "F8_E4M3", 2, 0, 50, 0, "no scales of 0 x 50 weights"},
        {"ct_int4", "a.weight_scale", "F16", 2, 24, 2, 0, "that no config_groups"},
        {"ct_int4", "a.weight_packed", "I32", 2, 24, 11, 0, "that no config_groups"},
        {"ct_int4", "a.weight_packed", "I32", 2, 23, 12, 0,
         "says 24 x 96, 'a.weight_packed' has 23"},
        {"ct_int4", "a.weight_packed", "I16", 2, 24, 12, 0, "is I16, but must be I32"},
        {"ct_int4", "a.weight_shape", "I64", 1, 2, 0, 24, "says 24 x 0"},
        {"ct_int4", "a.weight_shape", "I32", 1, 2, 0, 24, "must be two of I64"},
        {"ct_int4_zeros", "a.weight_zero_point", "I32", 2, 2, 2, 0, "must be I32, 3 x 2"},
        {"ct_int4_zeros", "a.weight_zero_point", "I8", 2, 19, 2, 0,
         "are no zeros for 20 x 2 scales"},
        {"ct_naive", "a.weight_zero_point", "F32", 1, 1, 0, 0, "are no zeros for 1 x 1 scales"},
        {"ct_order", "a.weight_g_idx", "I32", 1, 63, 0, 0,
         "must be I32, one for each of 64 inputs"},
        {"ct_order", "a.weight_g_idx", "I32", 1, 64, 0, 2, "group 2 of input 0 is not in 0 .. 1"},
        {"gptq_order", "a.g_idx", "I32", 1, 96, 0, 3, "group 3 of input 0 is not in 0 .. 2"},
        {"gptq_order", "a.g_idx", "I32", 1, 96, 0, -1, "group -1 of input 0 is not in 0 .. 2"},
        {"gptq_order", "a.g_idx", "I64", 1, 96, 0, 0, "must be I32, one for each of 96 inputs"},
        {"gptq_order", "a.g_idx", "I32", 1, 95, 0, 0, "are not 95 codes of 4 bits"},
        {"gptq_v1", "a.scales", "F16", 2, 3, 15, 0, "must hold scales, groups x 16"},
        {"gptq_int2", "a.scales", "F16", 2, 2, 16, 0, "must hold scales, groups x 16"},
        {"gptq_v1", "a.scales", "I16", 2, 3, 16, 0, "must hold scales, groups x 16"},
        {"gptq_v1", "a.qzeros", "I32", 2, 3, 3, 0, "'a.qzeros' must be I32, 3 x 2"},
        {"gptq_v1", "a.qweight", "I32", 1, 12, 0, 0, "must be a matrix of I32"},
        {"gptq_int3", "a.qweight", "I32", 2, 8, 16, 0, "8 words of 32 bits a column are not 96"},
        {"mxfp4", "experts.up_blocks", "U8", 3, 2, 6, 0, "experts x outputs x blocks x 16"},
        {"mxfp4", "experts.up_scales", "U8", 2, 2, 18, 0, "one for each block"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        s24i_tensor other = made(wrong[i].name, wrong[i].type, wrong[i].rank, wrong[i].rows,
                                 wrong[i].cols, wrong[i].first);
        write_case(wrong[i].test, config_of(wrong[i].test), wrong[i].name, &other);
        refused(wrong[i].says);
    }
}
END_TEST

START_TEST(settings_are_wrong)
{
    static const struct {
        const char *test, *settings, *says;
    } wrong[] = {
        {"gptq_v1", "\"quant_method\":\"gptq\"", "config.quantization_config.bits is missing"},
        {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":\"x\"",
         "bits is x, but must be an integer"},
        {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":-2", "group_size is -2"},
        {"gptq_int2", "\"quant_method\":\"gptq\",\"bits\":2,\"group_size\":16", "groups of 16"},
        {"gptq_v1", "\"quant_method\":\"gptq\",\"bits\":8", "are not 96 codes of 8 bits"},
        {"fp8_blocks", "\"quant_method\":\"fp8\",\"weight_block_size\":[16]", "must be two sizes"},
        {"fp8_blocks", "\"quant_method\":\"fp8\"", "no scales of 40 x 50 weights in blocks of 0"},
        {"ct_int4", "\"quant_method\":\"compressed-tensors\"", "that no config_groups"},
        {"ct_int4",
         "\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":"
         "{\"num_bits\":\"four\"}}}",
         "num_bits of group g"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char config[300];
        snprintf(config, sizeof config, "{\"quantization_config\":{%s}}", wrong[i].settings);
        write_case(wrong[i].test, config, NULL, NULL);
        refused(wrong[i].says);
    }
}
END_TEST

/* ---- Values that are no numbers ---- */

/* NaN of FP8 and of the scale, as the formats have them; what consumers do with it is theirs. */
START_TEST(no_numbers)
{
    float out[96];
    const s24i_tensor *t;
    s24i_tensor scale = made("a.weight_scale_inv", "F32", 0, 0, 0, 0x7fc00000);

    write_case("fp8_tensor", config_of("fp8_tensor"), "a.weight_scale", &scale);
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(s24i_reader_find(file, "a.weight", &t), S24_OK);
    s24i_tensor_decode(t, 0, 1, out, 96);
    for (int j = 0; j < 50; j++)
        ck_assert(isnan(out[j]));
    s24i_reader_close(file);
    s24i_tensor codes = made("b.weight", "F8_E5M2", 2, 24, 32, 0x7c7ffe80);
    write_case("fp8_tensor", config_of("fp8_tensor"), "b.weight", &codes);
    file = open_folder(source);
    ck_assert_int_eq(s24i_reader_find(file, "b.weight", &t), S24_OK);
    s24i_tensor_decode(t, 0, 1, out, 96);
    ck_assert(out[0] == 0 && signbit(out[0]) && isnan(out[1]) && isnan(out[2]) && isinf(out[3]));
    s24i_reader_close(file);
    s24i_tensor powers = made("experts.up_scale_inv", "F8_E8M0", 3, 2, 3, 255);
    powers.shape[2] = 2;
    powers.size = 12;
    write_case("fp8_experts", config_of("fp8_experts"), "experts.up_scale_inv", &powers);
    file = open_folder(source);
    ck_assert_int_eq(s24i_reader_find(file, "experts.up", &t), S24_OK);
    s24i_tensor_decode(t, 0, 1, out, 96);
    ck_assert(isnan(out[0]) && isnan(out[31]) && !isnan(out[32]));
    s24i_reader_close(file);
}
END_TEST

START_TEST(memory_is_refused)
{
    s24_status status = S24_E_MEMORY;
    int64_t k;

    write_case("gptq_order", config_of("gptq_order"), NULL, NULL);
    write_text(in_source("quantize_config.json"), "{\"bits\":4}");
    for (k = 1; status; k++) {
        s24i_reader *file = NULL;
        heap.refuse = heap.calls + k;
        status = s24i_reader_open(&memory, source, &file);
        heap.refuse = 0;
        ck_assert(status == S24_OK || status == S24_E_MEMORY);
        s24i_reader_close(file);
    }
    ck_assert_int_gt(k, 40);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("quantised");
    TCase *good = tcase_create("good"), *bad = tcase_create("bad");

    unit_check(argc == 2);
    vectors = argv[1];
    tcase_add_checked_fixture(good, set_up_vectors, tear_down_vectors);
    tcase_add_checked_fixture(bad, set_up_vectors, tear_down_vectors);
    tcase_add_loop_test(good, decoded, 0, CASES);
    tcase_add_loop_test(good, copied, 0, CASES);
    tcase_add_test(good, settings_beside);
    tcase_add_loop_test(good, left_alone, 0, UNDECODED);
    tcase_add_test(good, turned_layers);
    tcase_add_test(good, no_numbers);
    tcase_add_test(bad, parts_are_missing);
    tcase_add_test(bad, parts_are_wrong);
    tcase_add_test(bad, settings_are_wrong);
    tcase_add_test(bad, memory_is_refused);
    suite_add_tcase(suite, good);
    suite_add_tcase(suite, bad);
    return unit_run(suite);
}
