/* FP8 with scales of blocks, and compressed-tensors: codes in rows of outputs. */
#include "quantised.h"
#include "base/error.h"
#include "base/number.h"
#include <stdio.h>
#include <string.h>

static bool is_one_of(const char *word, const char *const *list)
{
    while (*list && strcmp(*list, word))
        list++;
    return *list;
}

/* "[128, 128]" or "128x128" as two numbers. S24_E_FORMAT. */
static s24_status read_block(const char *key, const char *text, int64_t *rows, int64_t *cols)
{
    int64_t value[2] = {0};
    const char *at = text;

    for (int i = 0; i < 2 && at; i++) {
        at = strpbrk(at, "0123456789");
        while (at && *at >= '0' && *at <= '9' && value[i] < INT32_MAX)
            value[i] = 10 * value[i] + *at++ - '0';
    }
    *rows = value[0];
    *cols = value[1];
    return value[0] && value[1]
               ? S24_OK
               : s24i_fail(S24_E_FORMAT, "%s is %.40s, but must be two sizes", key, text);
}

static bool is_fp8(const s24i_tensor *t)
{
    return t->element->dtype == S24_E4M3FN || t->element->dtype == S24_E5M2;
}

/* The codes' own shape is the matrix's. */
static s24_status take_shape(const s24i_tensor *codes, s24i_packing *p)
{
    const int64_t *shape = codes->shape;
    int32_t rank = codes->rank;

    if (rank != 2 && rank != 3)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s': codes of rank %d, not 2 or 3", codes->name,
                         (int)rank);
    p->matrices = rank == 3 ? shape[0] : 0;
    p->rows = shape[rank - 2];
    p->cols = shape[rank - 1];
    p->bits = 8;
    return S24_OK;
}

/* ---- FP8. ---- */

static s24_status check_fp8(s24i_fold *fold)
{
    const char *text = s24i_fold_text(fold, "weight_block_size");

    fold->schemes[0] = (s24i_scheme){.bits = 8, .is_float = true};
    fold->scheme_count = 1;
    return text ? read_block("weight_block_size", text, &fold->schemes[0].row_block,
                             &fold->schemes[0].col_block)
                : S24_OK;
}

/* The scale multiplies, although its name may say that it is an inverse. */
static s24_status take_fp8(s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    size_t length = strlen(codes->name), stem = s24i_fold_stem(codes->name, ".weight");

    if (!is_fp8(codes))
        return S24_OK;
    s24_status status = take_shape(codes, p);
    if (!status)
        status = s24i_fold_part(fold, codes->name, length, "_scale", &p->scales);
    if (!status && !p->scales.data)
        status = s24i_fold_need(fold, codes->name, length, "_scale_inv", &p->scales);
    if (!status)
        status = s24i_fold_scales(p, fold->schemes[0].row_block, fold->schemes[0].col_block);
    if (!status)
        status = s24i_fold_drop(fold, codes->name, stem ? stem : length);
    p->type = codes->element->dtype == S24_E4M3FN ? "fp8:e4m3" : "fp8:e5m2";
    p->decode = s24i_decode_rows;
    return status;
}

const s24i_method s24i_method_fp8 = {"fp8", check_fp8, take_fp8};

/* ---- compressed-tensors: settings. ---- */

static const char *const formats[] = {"pack-quantized",
                                      "int-quantized",
                                      "float-quantized",
                                      "naive-quantized",
                                      "mixed-precision",
                                      "dense",
                                      NULL};

/* A setting of one group of layers, "config_groups.GROUP.weights.KEY". */
static const char *weights_text(const s24i_fold *fold, const char *group, size_t length,
                                const char *key)
{
    char full[120];
    int size = snprintf(full, sizeof full, "config_groups.%.*s.weights.%s",
                        (int)(length < sizeof full ? length : sizeof full), group, key);

    return size < (int)sizeof full ? s24i_fold_text(fold, full) : NULL;
}

static s24_status check_bits(s24i_fold *fold, const s24i_scheme *scheme, const char *bits)
{
    bool known = scheme->is_float ? scheme->bits == 8
                                  : scheme->bits == 2 || scheme->bits == 4 || scheme->bits == 8;

    return known ? S24_OK
                 : s24i_fold_undecoded(fold,
                                       scheme->is_float ? "compressed-tensors, floats of bits"
                                                        : "compressed-tensors, num_bits",
                                       bits);
}

/* How the weights of a group of layers are stored. Which layers they are need not be known: shapes
 * tell. */
static s24_status add_scheme(s24i_fold *fold, const char *group, size_t length)
{
    const char *bits = weights_text(fold, group, length, "num_bits");
    const char *type = weights_text(fold, group, length, "type");
    const char *size = weights_text(fold, group, length, "group_size");
    const char *block = weights_text(fold, group, length, "block_structure");
    s24i_scheme scheme = {.is_float = type && !strcmp(type, "float")};
    int64_t number = 0;
    s24_status status = S24_OK;

    if (!bits || !s24i_integer_read(bits, &number) || number < 1 || number > 64)
        return s24i_fail(S24_E_FORMAT, "num_bits of group %.40s is %.40s", group,
                         bits ? bits : "missing");
    scheme.bits = (int32_t)number;
    if (size && (!s24i_integer_read(size, &scheme.col_block) || scheme.col_block < -1))
        return s24i_fail(S24_E_FORMAT, "group_size of group %.40s is %.40s", group, size);
    if (block)
        status = read_block("block_structure", block, &scheme.row_block, &scheme.col_block);
    if (!status)
        status = check_bits(fold, &scheme, bits);
    if (!status && fold->scheme_count == S24I_SCHEMES)
        return s24i_fold_undecoded(fold, "compressed-tensors, groups of layers after", group);
    if (!status)
        fold->schemes[fold->scheme_count++] = scheme;
    return status;
}

/* One key of the object, without the prefix. */
static s24_status check_key(s24i_fold *fold, const char *key)
{
    static const char groups[] = "config_groups.";
    const char *text = s24i_fold_text(fold, key);
    size_t length;

    if (!strncmp(key, "transform_config.", 17) && text)
        return s24i_fold_undecoded(fold, "compressed-tensors with a", "transform_config");
    if (!strcmp(key, "sparsity_config.format") && text && strcmp(text, "dense") != 0)
        return s24i_fold_undecoded(fold, "compressed-tensors, sparsity format", text);
    bool grouped = !strncmp(key, groups, sizeof groups - 1);
    if ((!strcmp(key, "format") || (grouped && s24i_fold_stem(key, ".format"))) && text &&
        !is_one_of(text, formats))
        return s24i_fold_undecoded(fold, "compressed-tensors, format", text);
    length = grouped ? s24i_fold_stem(key + sizeof groups - 1, ".weights.num_bits") : 0;
    return length ? add_scheme(fold, key + sizeof groups - 1, length) : S24_OK;
}

static s24_status check_compressed(s24i_fold *fold)
{
    const char *key, *inner;
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && (key = s24i_reader_meta_key(fold->reader, i)); i++) {
        if ((inner = s24i_fold_inner(fold, key)))
            status = check_key(fold, inner);
    }
    return status;
}

/* ---- compressed-tensors: weights. ---- */

static int64_t words_of(int64_t codes, int32_t bits)
{
    return codes / 32 * bits + (codes % 32 * bits + 31) / 32;
}

/* Whether codes and scales have the shapes that a scheme gives them; then they are laid out so. */
static bool fits(const s24i_scheme *scheme, const s24i_tensor *codes, s24i_packing *p)
{
    int32_t dtype = codes->element->dtype;

    if (scheme->is_float != is_fp8(codes))
        return false;
    if (dtype == S24_I32 && codes->shape[1] != words_of(p->cols, scheme->bits))
        return false;
    p->bits = dtype == S24_I32 ? scheme->bits : 8;
    return !s24i_fold_scales(p, scheme->row_block, scheme->col_block);
}

/* The one that fits. Two that give the matrix different values are no answer. */
static s24_status choose_scheme(const s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    int32_t bits = 0;
    int64_t rows = 0, cols = 0;

    for (int i = 0; i < fold->scheme_count; i++) {
        if (!fits(&fold->schemes[i], codes, p))
            continue;
        if (bits && (bits != p->bits || rows != p->row_block || cols != p->col_block))
            return s24i_fail(S24_E_FORMAT,
                             "tensor '%.100s' may be codes of %d or of %d bits in groups of %lld "
                             "or %lld",
                             codes->name, (int)bits, (int)p->bits, (long long)cols,
                             (long long)p->col_block);
        bits = p->bits;
        rows = p->row_block;
        cols = p->col_block;
    }
    p->bits = bits;
    p->row_block = rows;
    p->col_block = cols;
    return bits ? S24_OK
                : s24i_fail(S24_E_FORMAT,
                            "tensor '%.100s' and '%.100s' have shapes that no config_groups of "
                            "quantization_config gives to %lld x %lld weights",
                            codes->name, p->scales.name, (long long)p->rows, (long long)p->cols);
}

static bool is_zero(const s24i_tensor *t)
{
    for (uint64_t i = 0; i < t->size; i++) {
        if (t->data[i] & 127)
            return false;
    }
    return true;
}

/* A zero for each scale: integers, or packed as the codes are. Floats have none but 0. */
static s24_status check_zeros(s24i_packing *p)
{
    s24i_tensor *t = &p->zeros;
    int64_t rows, cols;

    if (!t->data)
        return S24_OK;
    if (is_fp8(t) && is_zero(t)) {
        t->data = NULL;
        return S24_OK;
    }
    s24i_tensor_extents(t, &rows, &cols);
    if (t->element->dtype == S24_I8 && !p->matrices && rows * cols == p->scale_rows * p->scale_cols)
        return S24_OK;
    if (t->element->dtype == S24_I32 && p->codes.element->dtype == S24_I32)
        return s24i_fold_matrix(t, S24_I32, words_of(p->scale_rows, p->bits), p->scale_cols);
    return s24i_fail(S24_E_FORMAT,
                     "tensor '%.100s': %lld x %lld of %s are no zeros for %lld x %lld scales",
                     t->name, (long long)rows, (long long)cols, t->type, (long long)p->scale_rows,
                     (long long)p->scale_cols);
}

/* The shape of a matrix whose columns are packed. */
static s24_status read_shape(const s24i_tensor *codes, const s24i_tensor *t, s24i_packing *p)
{
    int64_t shape[2] = {0};

    if (t->element->dtype != S24_I64 || t->size != sizeof shape)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s' must be two of I64", t->name);
    memcpy(shape, t->data, sizeof shape); /* little-endian */
    p->rows = shape[0];
    p->cols = shape[1];
    if (codes->rank != 2 || codes->shape[0] != p->rows || p->cols < 1)
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s' says %lld x %lld, '%.100s' has %lld rows",
                         t->name, (long long)shape[0], (long long)shape[1], codes->name,
                         (long long)codes->shape[0]);
    return S24_OK;
}

static const char *type_of(const s24i_tensor *codes, int32_t bits)
{
    return is_fp8(codes) ? "compressed-tensors:fp8"
           : bits == 2   ? "compressed-tensors:int2"
           : bits == 4   ? "compressed-tensors:int4"
                         : "compressed-tensors:int8";
}

/* "no order", where an order of inputs is possible */
static void drop_groups(s24i_tensor *t)
{
    int32_t first = 0;

    if (t->data && t->element->dtype == S24_I32 && t->size >= sizeof first)
        memcpy(&first, t->data, sizeof first);
    if (first == -1)
        t->data = NULL;
}

static s24_status take_parts(s24i_fold *fold, const s24i_tensor *codes, size_t stem,
                             s24i_packing *p)
{
    s24_status status = s24i_fold_need(fold, codes->name, stem, ".weight_scale", &p->scales);

    if (!status)
        status = s24i_fold_part(fold, codes->name, stem, ".weight_zero_point", &p->zeros);
    if (!status)
        status = s24i_fold_part(fold, codes->name, stem, ".weight_g_idx", &p->groups);
    if (!status)
        status = s24i_fold_drop(fold, codes->name, stem);
    if (!status)
        status = choose_scheme(fold, codes, p);
    p->codes = *codes;
    if (!status)
        status = check_zeros(p);
    drop_groups(&p->groups);
    if (!status)
        status = s24i_fold_groups(p, p->scale_cols);
    p->type = type_of(codes, p->bits);
    p->decode = s24i_decode_rows;
    return status;
}

static s24_status take_packed(s24i_fold *fold, const s24i_tensor *codes, size_t stem,
                              s24i_packing *p)
{
    s24i_tensor shape = {0};
    s24_status status = s24i_fold_name(fold, codes->name, stem, ".weight", p);

    if (!status && codes->element->dtype != S24_I32)
        status = s24i_fail(S24_E_FORMAT, "tensor '%.100s' is %s, but must be I32", codes->name,
                           codes->type);
    if (!status)
        status = s24i_fold_need(fold, codes->name, stem, ".weight_shape", &shape);
    if (!status)
        status = read_shape(codes, &shape, p);
    return status ? status : take_parts(fold, codes, stem, p);
}

/* Whether another matrix that has codes has these scales. */
static s24_status find_twin(const s24i_fold *fold, const s24i_tensor *scales, bool *found)
{
    const s24i_reader *reader = fold->reader;
    const s24i_tensor *codes;
    s24_status status = S24_OK;

    *found = false;
    for (int64_t i = 0; !status && !*found && i < reader->count; i++) {
        const s24i_tensor *t = &reader->tensors[i];
        size_t stem = s24i_fold_stem(t->name, ".weight_scale");
        if (!stem || t == scales || t->size != scales->size || t->element != scales->element ||
            memcmp(t->data, scales->data, t->size))
            continue;
        status = s24i_fold_look(fold, t->name, stem, ".weight", &codes);
        *found = codes && codes->element->dtype == S24_I8;
    }
    return status;
}

/* A head that shares the embedding's codes has scales of its own, which repeat the embedding's. */
static s24_status drop_tied(s24i_fold *fold, const s24i_tensor *scales, size_t stem)
{
    const s24i_tensor *plain, *packed = NULL;
    s24i_tensor part;
    bool twin = false;
    s24_status status = s24i_fold_look(fold, scales->name, stem, ".weight", &plain);

    if (!status)
        status = s24i_fold_look(fold, scales->name, stem, ".weight_packed", &packed);
    if (!status && !plain && !packed)
        status = find_twin(fold, scales, &twin);
    return status || !twin ? status
                           : s24i_fold_part(fold, scales->name, stem, ".weight_scale", &part);
}

static s24_status take_compressed(s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    size_t packed = s24i_fold_stem(codes->name, ".weight_packed");
    size_t plain = s24i_fold_stem(codes->name, ".weight");
    size_t scale = s24i_fold_stem(codes->name, ".weight_scale");

    if (scale)
        return drop_tied(fold, codes, scale);
    if (packed)
        return take_packed(fold, codes, packed, p);
    if (!plain || (codes->element->dtype != S24_I8 && !is_fp8(codes)))
        return S24_OK;
    s24_status status = take_shape(codes, p);
    return status ? status : take_parts(fold, codes, plain, p);
}

const s24i_method s24i_method_compressed = {"compressed-tensors", check_compressed,
                                            take_compressed};
