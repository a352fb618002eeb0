#include "api.h"
#include <math.h>
#include <string.h>

/* Room that the texts never outgrow: some 60 options of 20 bytes, and those beside 20 numbers. */
enum { OPTIONS_TEXT = 1536, RECORD_TEXT = 3072 };

/* What every result holds, in the order of the record. */
static const struct fact {
    const char *name;
    int32_t kind;
    size_t offset;
    bool recorded;
} facts[] = {
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
    {"blas", S24_RESULT_STR, offsetof(s24_result, blas), true},
    {"seconds", S24_RESULT_FLOAT, offsetof(s24_result, seconds), true},
    {"peak_bytes", S24_RESULT_INT, offsetof(s24_result, peak_bytes), true},
    {"threads", S24_RESULT_INT, offsetof(s24_result, threads), true},
    {"warning", S24_RESULT_STR, offsetof(s24_result, warning), true},
    {"isa", S24_RESULT_STR, offsetof(s24_result, isa), true},
    {"record", S24_RESULT_STR, offsetof(s24_result, record), false},
};

enum { FACTS = sizeof facts / sizeof *facts };

static const void *field(const s24_result *result, const struct fact *fact)
{
    return (const char *)result + fact->offset;
}

/* Results without a target, or of a solver without damping, lack a part. */
static bool present(const s24_result *result, const struct fact *fact)
{
    if (fact->kind == S24_RESULT_STR)
        return *(const char *const *)field(result, fact) != NULL;
    return result->has_target || fact->offset != offsetof(s24_result, target_relative_loss);
}

/* ---- Making and unmaking ---- */

static size_t bytes_of(const s24_mat *mat)
{
    return s24i_mul(s24i_mul((size_t)mat->rows, (size_t)mat->cols),
                    (size_t)s24i_dtype_size(mat->dtype));
}

size_t s24i_result_bytes(const s24i_job *job)
{
    size_t bytes =
        sizeof(s24_result) + OPTIONS_TEXT + RECORD_TEXT +
        s24i_mul(s24i_mul((size_t)job->matrix.rows, (size_t)job->matrix.cols), sizeof(float) + 1);

    for (int32_t i = 0; i < job->part_count; i++)
        bytes += bytes_of(&job->parts[i].mat);
    return bytes;
}

static void release(s24_result *result)
{
    s24_ctx *ctx = result->object.ctx;

    s24i_text_free(&result->record_text);
    s24i_text_free(&result->options_text);
    for (int32_t i = result->part_count; i-- > 0;)
        s24i_free(&ctx->memory, result->parts[i].mat.data, bytes_of(&result->parts[i].mat));
    s24i_free(&ctx->memory, result->mask.data, bytes_of(&result->mask));
    s24i_free(&ctx->memory, result->weights.data, bytes_of(&result->weights));
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

static bool make_matrix(s24_ctx *ctx, s24_mat *mat, int64_t rows, int64_t cols, int32_t dtype)
{
    *mat = s24i_mat_plain(NULL, rows, cols, dtype);
    mat->data = s24i_alloc_zero(&ctx->memory, bytes_of(mat));
    return mat->data != NULL;
}

static bool make_parts(s24_ctx *ctx, const s24i_job *job, s24_result *result)
{
    for (int32_t i = 0; i < job->part_count; i++) {
        const s24_mat *asked = &job->parts[i].mat;
        s24i_part *part = &result->parts[result->part_count++];
        part->name = job->parts[i].name;
        if (!make_matrix(ctx, &part->mat, asked->rows, asked->cols, asked->dtype))
            return false;
    }
    return true;
}

s24_status s24i_result_create(s24_ctx *ctx, const s24i_job *job, s24_result **out)
{
    s24_result *result = s24i_alloc_zero(&ctx->memory, sizeof *result);

    if (!result)
        return S24_E_MEMORY;
    s24i_object_init(&result->object, S24I_RESULT, ctx);
    result->rows = job->matrix.rows;
    result->cols = job->matrix.cols;
    if (!make_matrix(ctx, &result->weights, result->rows, result->cols, S24_F32) ||
        !make_matrix(ctx, &result->mask, result->rows, result->cols, S24_U8) ||
        !make_parts(ctx, job, result) || !make_text(ctx, &result->options_text, OPTIONS_TEXT) ||
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

static void write_value(s24i_text *text, const s24_result *result, const struct fact *fact)
{
    const void *value = field(result, fact);

    if (!present(result, fact))
        s24i_text_append(text, "null");
    else if (fact->kind == S24_RESULT_INT)
        s24i_text_append(text, "%lld", (long long)*(const int64_t *)value);
    else if (fact->kind == S24_RESULT_FLOAT)
        s24i_text_json_number(text, *(const double *)value);
    else
        s24i_text_json_string(text, *(const char *const *)value);
}

s24_status s24i_result_record(s24_result *result)
{
    s24i_text *text = &result->record_text;
    char separator = '{';

    for (int i = 0; i < FACTS; i++) {
        if (!facts[i].recorded)
            continue;
        s24i_text_append(text, "%c\"%s\":", separator, facts[i].name);
        write_value(text, result, &facts[i]);
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

/* The index-th thing that the result holds; its name, or NULL past the end. */
static const char *thing(const s24_result *result, int32_t index, int32_t *kind, const void **value)
{
    for (int i = 0; i < FACTS; i++) {
        if (!present(result, &facts[i]) || index-- > 0)
            continue;
        *kind = facts[i].kind;
        *value = field(result, &facts[i]);
        return facts[i].name;
    }
    if (index >= result->part_count)
        return NULL;
    *kind = S24_RESULT_MATRIX;
    *value = &result->parts[index].mat;
    return result->parts[index].name;
}

static s24_status unknown_name(const s24_result *result, const char *name)
{
    const char *names[FACTS + S24I_MOST_PARTS];
    const void *value;
    int32_t known = 0, kind;

    while ((names[known] = thing(result, known, &kind, &value)))
        known++;
    return s24i_fail_near(s24i_fail(S24_E_UNSUPPORTED, "this result has no \"%.64s\"", name), name,
                          names, known);
}

/* What has that name and kind ("zeros" is a count and may be a matrix). A float may be read from an
 * integer: *found says what it is. */
static s24_status find(const s24_result *result, const char *name, int32_t kind, const void *out,
                       const void **value, int32_t *found)
{
    s24_status status = s24i_check_handle(result, S24I_RESULT, "result");
    const char *known;
    int32_t other = 0;

    if (!status)
        status = s24i_check_pointer(name, "name");
    if (!status)
        status = s24i_check_pointer(out, kind == S24_RESULT_MATRIX ? "view" : "value");
    for (int32_t i = 0; !status && (known = thing(result, i, found, value)); i++) {
        if (strcmp(known, name))
            continue;
        if (*found == kind || (*found == S24_RESULT_INT && kind == S24_RESULT_FLOAT))
            return S24_OK;
        other = *found;
    }
    if (status)
        return status;
    return !other ? unknown_name(result, name)
                  : s24i_fail(S24_E_ARG, "\"%s\" is %s, not %s", name, kind_name(other),
                              kind_name(kind));
}

s24_status s24_result_matrix(const s24_result *result, const char *name, s24_mat *view)
{
    const void *value;
    int32_t found;
    s24_status status = find(result, name, S24_RESULT_MATRIX, view, &value, &found);

    if (!status)
        *view = *(const s24_mat *)value;
    return s24i_done(__func__, status);
}

s24_status s24_result_int(const s24_result *result, const char *name, int64_t *out)
{
    const void *value;
    int32_t found;
    s24_status status = find(result, name, S24_RESULT_INT, out, &value, &found);

    if (!status)
        *out = *(const int64_t *)value;
    return s24i_done(__func__, status);
}

s24_status s24_result_float(const s24_result *result, const char *name, double *out)
{
    const void *value;
    int32_t found;
    s24_status status = find(result, name, S24_RESULT_FLOAT, out, &value, &found);

    if (!status)
        *out = found == S24_RESULT_INT ? (double)*(const int64_t *)value : *(const double *)value;
    return s24i_done(__func__, status);
}

s24_status s24_result_str(const s24_result *result, const char *name, const char **out)
{
    const void *value;
    int32_t found;
    s24_status status = find(result, name, S24_RESULT_STR, out, &value, &found);

    if (!status)
        *out = *(const char *const *)value;
    return s24i_done(__func__, status);
}

const char *s24_result_name(const s24_result *result, int32_t index, int32_t *kind)
{
    const void *value;
    int32_t found;

    if (!s24i_is(result, S24I_RESULT) || index < 0)
        return NULL;
    const char *name = thing(result, index, &found, &value);
    if (name && kind)
        *kind = found;
    return name;
}
