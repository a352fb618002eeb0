#include "api.h"
#include <math.h>
#include <string.h>

/* Room that the texts never outgrow: some 60 options of 20 bytes, and those beside 20 numbers. */
enum { OPTIONS_TEXT = 1536, RECORD_TEXT = 3072 };

/* Everything that a result holds, in the order of the record. */
static const struct part {
    const char *name;
    int32_t kind;
    size_t offset;
    bool recorded;
} parts[] = {
    {"weights", S24_RESULT_MATRIX, offsetof(s24_result, weights), false},
    {"mask", S24_RESULT_MATRIX, offsetof(s24_result, mask), false},
    {"solver", S24_RESULT_STR, offsetof(s24_result, solver), true},
    {"options", S24_RESULT_STR, offsetof(s24_result, options), true},
    {"constraints", S24_RESULT_STR, offsetof(s24_result, constraints), true},
    {"loss", S24_RESULT_FLOAT, offsetof(s24_result, loss), true},
    {"relative_loss", S24_RESULT_FLOAT, offsetof(s24_result, relative_loss), true},
    {"target_relative_loss", S24_RESULT_FLOAT, offsetof(s24_result, target_relative_loss), true},
    {"heldout_relative_loss", S24_RESULT_FLOAT, offsetof(s24_result, heldout_relative_loss), true},
    {"damp_rule", S24_RESULT_STR, offsetof(s24_result, damp_rule), true},
    {"damp_used", S24_RESULT_FLOAT, offsetof(s24_result, damp_used), true},
    {"rows", S24_RESULT_INT, offsetof(s24_result, rows), true},
    {"cols", S24_RESULT_INT, offsetof(s24_result, cols), true},
    {"calibration_rows", S24_RESULT_FLOAT, offsetof(s24_result, calibration_rows), true},
    {"nnz", S24_RESULT_INT, offsetof(s24_result, nnz), true},
    {"zeros", S24_RESULT_INT, offsetof(s24_result, zeros), true},
    {"iterations", S24_RESULT_INT, offsetof(s24_result, iterations), true},
    {"swaps", S24_RESULT_INT, offsetof(s24_result, swaps), true},
    {"residual", S24_RESULT_FLOAT, offsetof(s24_result, residual), true},
    {"stop", S24_RESULT_STR, offsetof(s24_result, stop), true},
    {"flops", S24_RESULT_FLOAT, offsetof(s24_result, flops), true},
    {"seconds", S24_RESULT_FLOAT, offsetof(s24_result, seconds), true},
    {"peak_bytes", S24_RESULT_INT, offsetof(s24_result, peak_bytes), true},
    {"threads", S24_RESULT_INT, offsetof(s24_result, threads), true},
    {"record", S24_RESULT_STR, offsetof(s24_result, record), false},
};

enum { PARTS = sizeof parts / sizeof *parts };

static const void *field(const s24_result *result, const struct part *part)
{
    return (const char *)result + part->offset;
}

/* Results without a target, or of a solver without damping, lack a part. */
static bool present(const s24_result *result, const struct part *part)
{
    if (part->kind == S24_RESULT_STR)
        return *(const char *const *)field(result, part) != NULL;
    return result->has_target || part->offset != offsetof(s24_result, target_relative_loss);
}

/* ---- Making and unmaking ---- */

static size_t count(int64_t rows, int64_t cols)
{
    return s24i_mul((size_t)rows, (size_t)cols);
}

size_t s24i_result_bytes(int64_t rows, int64_t cols)
{
    return sizeof(s24_result) + s24i_mul(count(rows, cols), sizeof(float) + 1) + OPTIONS_TEXT +
           RECORD_TEXT;
}

static void release(s24_result *result)
{
    s24_ctx *ctx = result->object.ctx;
    size_t size = count(result->rows, result->cols);

    s24i_text_free(&result->record_text);
    s24i_text_free(&result->options_text);
    s24i_free(&ctx->memory, result->mask.data, size);
    s24i_free(&ctx->memory, result->weights.data, s24i_mul(size, sizeof(float)));
    s24i_free(&ctx->memory, result, sizeof *result);
    s24i_ctx_release(ctx);
}

static bool make_text(s24_ctx *ctx, s24i_text *text, size_t capacity)
{
    text->memory = &ctx->memory;
    text->data = s24i_alloc(&ctx->memory, capacity);
    text->capacity = text->data ? capacity : 0;
    return text->data != NULL;
}

s24_status s24i_result_create(s24_ctx *ctx, int64_t rows, int64_t cols, s24_result **out)
{
    size_t size = count(rows, cols);
    s24_result *result = s24i_alloc_zero(&ctx->memory, sizeof *result);

    if (!result)
        return S24_E_MEMORY;
    s24i_object_init(&result->object, S24I_RESULT, ctx);
    result->rows = rows;
    result->cols = cols;
    result->weights = s24i_mat_plain(s24i_alloc(&ctx->memory, s24i_mul(size, sizeof(float))), rows,
                                     cols, S24_F32);
    result->mask = s24i_mat_plain(s24i_alloc(&ctx->memory, size), rows, cols, S24_U8);
    if (!result->weights.data || !result->mask.data ||
        !make_text(ctx, &result->options_text, OPTIONS_TEXT) ||
        !make_text(ctx, &result->record_text, RECORD_TEXT)) {
        release(result);
        return S24_E_MEMORY;
    }
    *out = result;
    return S24_OK;
}

void s24_result_destroy(s24_result *result)
{
    if (!s24i_is(result, S24I_RESULT))
        return;
    result->object.handle.magic = S24I_DEAD;
    release(result);
}

/* ---- The record ---- */

static void write_value(s24i_text *text, const s24_result *result, const struct part *part)
{
    const void *value = field(result, part);

    if (!present(result, part))
        s24i_text_append(text, "null");
    else if (part->kind == S24_RESULT_INT)
        s24i_text_append(text, "%lld", (long long)*(const int64_t *)value);
    else if (part->kind == S24_RESULT_FLOAT)
        s24i_text_json_number(text, *(const double *)value);
    else
        s24i_text_json_string(text, *(const char *const *)value);
}

s24_status s24i_result_record(s24_result *result)
{
    s24i_text *text = &result->record_text;
    char separator = '{';

    for (int i = 0; i < PARTS; i++) {
        if (!parts[i].recorded)
            continue;
        s24i_text_append(text, "%c\"%s\":", separator, parts[i].name);
        write_value(text, result, &parts[i]);
        separator = ',';
    }
    s24i_text_append(text, "}");
    result->record = text->data;
    return text->failed ? S24_E_MEMORY : S24_OK;
}

/* ---- Reading ---- */

static const char *kind_name(int32_t kind)
{
    return kind == S24_RESULT_MATRIX  ? "a matrix"
           : kind == S24_RESULT_INT   ? "an integer"
           : kind == S24_RESULT_FLOAT ? "a float"
                                      : "a text";
}

static s24_status unknown_part(const s24_result *result, const char *name)
{
    const char *names[PARTS];
    int32_t known = 0;

    for (int i = 0; i < PARTS; i++)
        if (present(result, &parts[i]))
            names[known++] = parts[i].name;
    const char *nearest = s24i_nearest(name, names, known);
    return s24i_fail(S24_E_UNSUPPORTED, "this result has no \"%.64s\"%s%s", name,
                     nearest ? "; nearest: " : "", nearest ? nearest : "");
}

/* The part of that name, if it is of that kind. A float may be read from an integer. */
static s24_status find(const s24_result *result, const char *name, int32_t kind, const void *out,
                       const struct part **part)
{
    s24_status status = s24i_check_handle(result, S24I_RESULT, "result");
    int i = 0;

    if (!status)
        status = s24i_check_pointer(name, "name");
    if (!status)
        status = s24i_check_pointer(out, kind == S24_RESULT_MATRIX ? "view" : "value");
    if (status)
        return status;
    while (i < PARTS && (strcmp(parts[i].name, name) || !present(result, &parts[i])))
        i++;
    if (i == PARTS)
        return unknown_part(result, name);
    *part = &parts[i];
    if (parts[i].kind == kind || (parts[i].kind == S24_RESULT_INT && kind == S24_RESULT_FLOAT))
        return S24_OK;
    return s24i_fail(S24_E_ARG, "\"%s\" is %s, not %s", name, kind_name(parts[i].kind),
                     kind_name(kind));
}

s24_status s24_result_matrix(const s24_result *result, const char *name, s24_mat *view)
{
    const struct part *part;
    s24_status status = find(result, name, S24_RESULT_MATRIX, view, &part);

    if (!status)
        *view = *(const s24_mat *)field(result, part);
    return s24i_done(__func__, status);
}

s24_status s24_result_int(const s24_result *result, const char *name, int64_t *value)
{
    const struct part *part;
    s24_status status = find(result, name, S24_RESULT_INT, value, &part);

    if (!status)
        *value = *(const int64_t *)field(result, part);
    return s24i_done(__func__, status);
}

s24_status s24_result_float(const s24_result *result, const char *name, double *value)
{
    const struct part *part;
    s24_status status = find(result, name, S24_RESULT_FLOAT, value, &part);

    if (!status)
        *value = part->kind == S24_RESULT_INT ? (double)*(const int64_t *)field(result, part)
                                              : *(const double *)field(result, part);
    return s24i_done(__func__, status);
}

s24_status s24_result_str(const s24_result *result, const char *name, const char **value)
{
    const struct part *part;
    s24_status status = find(result, name, S24_RESULT_STR, value, &part);

    if (!status)
        *value = *(const char *const *)field(result, part);
    return s24i_done(__func__, status);
}

const char *s24_result_name(const s24_result *result, int32_t index, int32_t *kind)
{
    if (!s24i_is(result, S24I_RESULT) || index < 0)
        return NULL;
    for (int i = 0; i < PARTS; i++) {
        if (!present(result, &parts[i]) || index-- > 0)
            continue;
        if (kind)
            *kind = parts[i].kind;
        return parts[i].name;
    }
    return NULL;
}
