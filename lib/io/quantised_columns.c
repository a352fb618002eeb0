/* GPTQ, and MXFP4 as gpt-oss has it: codes of a matrix that lies turned. */
#include "quantised.h"
#include "base/error.h"
#include <string.h>

/* ---- GPTQ. ---- */

static bool is_width(int64_t bits)
{
    return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

/* Layers of these lie inputs x outputs in a model of floats. */
static bool is_turned_model(const s24i_fold *fold)
{
    static const char *const types[] = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"};
    const char *type = NULL;

    s24i_reader_meta(fold->reader, "config.model_type", &type);
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++) {
        if (!strcmp(type, types[i]))
            return true;
    }
    return false;
}

static s24_status check_gptq(s24i_fold *fold)
{
    const char *format = s24i_fold_text(fold, "checkpoint_format");
    const char *words = s24i_fold_text(fold, "pack_dtype");
    const char *marlin = s24i_fold_text(fold, "is_marlin_format");
    int64_t bits = 0, group = -1;
    s24_status status = s24i_fold_integer(fold, "bits", 1, 64, &bits);

    if (!status)
        status = s24i_fold_integer(fold, "group_size", -1, INT32_MAX, &group);
    if (status)
        return status;
    fold->schemes[0] = (s24i_scheme){.bits = (int32_t)bits, .col_block = group};
    fold->scheme_count = 1;
    fold->plus_one = !format || strcmp(format, "gptq_v2") != 0;
    if (format && strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
        return s24i_fold_undecoded(fold, "gptq, checkpoint_format", format);
    if (words && strcmp(words, "int32") != 0)
        return s24i_fold_undecoded(fold, "gptq, pack_dtype", words);
    if (marlin && !strcmp(marlin, "true"))
        return s24i_fold_undecoded(fold, "gptq, is_marlin_format", marlin);
    if (is_turned_model(fold))
        return s24i_fold_undecoded(fold, "gptq of layers that lie inputs x outputs,", "as GPT-2's");
    if (bits && !is_width(bits))
        return s24i_fold_undecoded(fold, "gptq, bits", s24i_fold_text(fold, "bits"));
    return bits ? S24_OK : s24i_fail(S24_E_FORMAT, "%s.bits is missing", fold->object);
}

/* Inputs and bits. Where layers may have their own number of bits (`dynamic`), the groups tell how
 * many inputs there are. */
static s24_status take_sizes(const s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    int64_t all;
    bool whole = codes->rank == 2 && codes->element->dtype == S24_I32 &&
                 !__builtin_mul_overflow(codes->shape[0], 32, &all);

    p->bits = fold->schemes[0].bits;
    if (!whole || !codes->shape[0] || !codes->shape[1])
        return s24i_fail(S24_E_FORMAT, "tensor '%.100s' must be a matrix of I32", codes->name);
    p->rows = codes->shape[1];
    p->cols = p->groups.data && p->groups.rank == 1 ? p->groups.shape[0] : all / p->bits;
    if (p->cols > 0 && all % p->cols == 0 && is_width(all / p->cols) &&
        s24i_fold_has(fold, "dynamic"))
        p->bits = (int32_t)(all / p->cols);
    if (p->cols > 0 && all / p->bits == p->cols && all % p->bits == 0)
        return S24_OK;
    return s24i_fail(
        S24_E_FORMAT,
        "tensor '%.100s': %lld words of 32 bits a column are not %lld codes of %d bits",
        codes->name, (long long)codes->shape[0], (long long)p->cols, (int)p->bits);
}

/* Groups x outputs. Without a list of the inputs' groups they follow each other. */
static s24_status check_scales(const s24i_fold *fold, s24i_packing *p)
{
    const s24i_tensor *t = &p->scales;
    int64_t block = fold->schemes[0].col_block, groups = t->rank == 2 ? t->shape[0] : 0;

    p->col_block = block > 0 ? block : p->cols;
    p->scale_cols = groups;
    if (!s24i_is_float(t->element->dtype) || groups < 1 || t->shape[1] != p->rows ||
        (!p->groups.data && (p->cols - 1) / p->col_block + 1 != groups))
        return s24i_fail(S24_E_FORMAT,
                         "tensor '%.100s' must hold scales, groups x %lld, for %lld inputs in "
                         "groups of %lld",
                         t->name, (long long)p->rows, (long long)p->cols, (long long)p->col_block);
    s24_status status = s24i_fold_matrix(&p->zeros, S24_I32, groups, (p->rows * p->bits + 31) / 32);
    return status ? status : s24i_fold_groups(p, groups);
}

static s24_status take_gptq(s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    static const char *const types[] = {
        [2] = "gptq:int2", [3] = "gptq:int3", [4] = "gptq:int4", [8] = "gptq:int8"};
    size_t stem = s24i_fold_stem(codes->name, ".qweight");

    if (!stem)
        return S24_OK;
    s24_status status = s24i_fold_name(fold, codes->name, stem, ".weight", p);
    if (!status)
        status = s24i_fold_need(fold, codes->name, stem, ".scales", &p->scales);
    if (!status)
        status = s24i_fold_need(fold, codes->name, stem, ".qzeros", &p->zeros);
    if (!status)
        status = s24i_fold_part(fold, codes->name, stem, ".g_idx", &p->groups);
    if (!status)
        status = take_sizes(fold, codes, p);
    if (!status)
        status = check_scales(fold, p);
    p->plus_one = fold->plus_one;
    p->type = types[p->bits & 15];
    p->decode = s24i_decode_gptq;
    return status;
}

const s24i_method s24i_method_gptq = {"gptq", check_gptq, take_gptq};

/* ---- MXFP4. ---- */

static s24_status check_mxfp4(s24i_fold *fold)
{
    (void)fold; /* nothing can be set */
    return S24_OK;
}

static s24_status take_mxfp4(s24i_fold *fold, const s24i_tensor *codes, s24i_packing *p)
{
    size_t stem = s24i_fold_stem(codes->name, "_blocks");
    const int64_t *shape = codes->shape;

    if (!stem || codes->element->dtype != S24_U8)
        return S24_OK;
    if (codes->rank != 4 || shape[3] != 16 || codes->size == 0)
        return s24i_fail(S24_E_FORMAT,
                         "tensor '%.100s' must be U8, experts x outputs x blocks x 16",
                         codes->name);
    s24_status status = s24i_fold_name(fold, codes->name, stem, "", p);
    if (!status)
        status = s24i_fold_need(fold, codes->name, stem, "_scales", &p->scales);
    if (!status && (p->scales.element->dtype != S24_U8 || p->scales.rank != 3 ||
                    memcmp(p->scales.shape, shape, 3 * sizeof *shape)))
        status =
            s24i_fail(S24_E_FORMAT, "tensor '%.100s' must be U8, one for each block of '%.100s'",
                      p->scales.name, codes->name);
    p->matrices = shape[0];
    p->rows = shape[2] * 32;
    p->cols = shape[1];
    p->type = "mxfp4:fp4";
    p->decode = s24i_decode_mxfp4_turned;
    return status;
}

const s24i_method s24i_method_mxfp4 = {"mxfp4", check_mxfp4, take_mxfp4};
