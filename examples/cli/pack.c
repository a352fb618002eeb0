/* sparse24 pack and unpack: one matrix into the bytes of a layout, as a safetensors file, and back. */
#include "commands.h"
#include "message.h"
#include "outcome.h"
#include "record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PARTS = 8 };

static const struct type {
    const char *name; /* as safetensors spells it */
    int32_t dtype;
} types[] = {{"F32", S24_F32}, {"F16", S24_F16}, {"BF16", S24_BF16}, {"I8", S24_I8}};
enum { TYPES = sizeof types / sizeof *types };

/* ---- Packing ---- */

/* The given mask, or the one that `solve --out` has put beside its weights. */
static bool find_mask(source *mask, s24_ctx *ctx, const source *weights, const args *a,
                      const s24_mat **view)
{
    *view = NULL;
    if (a->mask) {
        *view = &mask->view;
        return source_open(mask, ctx, "--mask", a->mask, false);
    }
    if (!strcmp(weights->tensor, "weights") &&
        s24_file_get(weights->file, "mask", &mask->view) == S24_OK)
        *view = &mask->view;
    return true;
}

static bool put_number(s24_file *file, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return s24_file_set_meta(file, key, text) == S24_OK;
}

/* What s24_packed_wrap() will want to know: parts are named in order. */
static bool put_facts(s24_file *file, const s24_packed *packed, const char *parts)
{
    const char *layout, *type = "";
    int64_t rows, cols;
    int32_t dtype;
    if (s24_packed_info(packed, &layout, &rows, &cols, &dtype) != S24_OK)
        return false;
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == dtype)
            type = types[i].name;
    return s24_file_set_meta(file, "sparse24.layout", layout) == S24_OK &&
           put_number(file, "sparse24.rows", rows) && put_number(file, "sparse24.cols", cols) &&
           s24_file_set_meta(file, "sparse24.dtype", type) == S24_OK &&
           s24_file_set_meta(file, "sparse24.parts", parts) == S24_OK;
}

static bool write_parts(s24_file *file, const s24_packed *packed, size_t *bytes)
{
    char parts[200] = "";
    const char *name;
    for (int32_t i = 0; s24_packed_part(packed, i, &name, NULL, NULL) == S24_OK && name; i++) {
        s24_mat view;
        size_t size;
        int64_t shape[8];
        int32_t rank;
        if (s24_packed_part(packed, i, &name, NULL, &size) != S24_OK ||
            s24_packed_matrix(packed, name, &view) != S24_OK ||
            s24_packed_shape(packed, name, shape, &rank) != S24_OK ||
            s24_file_put(file, name, &view, shape, rank, NULL) != S24_OK)
            return false;
        size_t used = strlen(parts);
        snprintf(parts + used, sizeof parts - used, "%s%s", i ? "," : "", name);
        *bytes += size;
    }
    return put_facts(file, packed, parts) && s24_file_commit(file) == S24_OK;
}

/* The record of the weights: of `solve --out` the file's, of `compress` the line that names the tensor. To be freed; NULL: there
 * is none. */
static char *find_record(const source *weights)
{
    const char *record = s24_file_meta(weights->file, "sparse24.record");
    if (record)
        return must(strdup(record));
    const char *line = s24_file_meta(weights->file, "sparse24.records");
    for (; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char *one = must(strndup(line, strcspn(line, "\n"))), *tensor = record_text(one, "tensor");
        bool found = tensor && !strcmp(tensor, weights->tensor);
        free(tensor);
        if (found)
            return one;
        free(one);
    }
    return NULL;
}

/* Where codes are: beside the weights in the file of `solve --out`, in parts.safetensors beside the model of `compress`. */
typedef struct grid {
    s24_file *parts; /* NULL: the file of the weights */
    char *constraints;
    s24_mat codes, scales, zeros;
} grid;

static bool open_parts(grid *g, s24_ctx *ctx, const source *weights)
{
    struct stat status;
    const char *slash = strrchr(weights->path, '/');
    bool folder = !stat(weights->path, &status) && S_ISDIR(status.st_mode);
    size_t length = folder ? strlen(weights->path) : slash ? (size_t)(slash - weights->path) : 0;
    char *path = NULL;
    if (asprintf(&path, "%.*s%sparts.safetensors", (int)length, weights->path, length ? "/" : "") <
        0)
        must(NULL);
    bool done = !access(path, F_OK) && s24_file_open(ctx, path, &g->parts) == S24_OK;
    free(path);
    return done;
}

static bool get_part(const grid *g, const source *weights, const char *part, s24_mat *view)
{
    char name[300];
    if (!g->parts)
        return s24_file_get(weights->file, part, view) == S24_OK;
    snprintf(name, sizeof name, "%s.%s", weights->tensor, part);
    return s24_file_get(g->parts, name, view) == S24_OK;
}

static bool find_grid(grid *g, s24_ctx *ctx, const source *weights)
{
    char *record = find_record(weights);
    g->constraints = record ? record_text(record, "constraints") : NULL;
    free(record);
    return g->constraints &&
           ((!strcmp(weights->tensor, "weights") && source_has(weights, "codes")) ||
            open_parts(g, ctx, weights)) &&
           get_part(g, weights, "codes", &g->codes) && get_part(g, weights, "scales", &g->scales) &&
           get_part(g, weights, "zeros", &g->zeros);
}

/* The weights alone did not do, for the reason that the library gave. */
static bool refuse_codes(const source *weights, const char *reason)
{
    const char *tensor = weights->tensor, *end = strrchr(tensor, '.');
    end = end ? end + 1 : tensor;
    if (!strcmp(end, "codes") || !strcmp(end, "scales") || !strcmp(end, "zeros"))
        return fail(
            "pack %s:%s: codes, scales and zeros are packed together: name the weights that they "
            "belong to, of the model beside parts.safetensors or of `solve --out`",
            weights->path, tensor);
    const char *where =
        "; codes lie beside weights that `solve --out` or `compress` wrote under a grid";
    bool about_codes = strstr(reason, "needs codes") || strstr(reason, " holds ");
    return fail("%s:%s: %s%s", weights->path, tensor, reason, about_codes ? where : "");
}

/* The weights, or for a layout of values on a grid the codes beside them. */
static bool make_packed(s24_ctx *ctx, const source *weights, const s24_mat *kept,
                        const char *layout, s24_packed **packed)
{
    grid g = {0};
    s24_mat outliers;
    const char *path = weights->path, *tensor = weights->tensor;
    s24_status status = s24_pack(ctx, &weights->view, kept, layout, packed);
    char *reason = must(strdup(s24_last_error()));
    bool done = true;
    if (status != S24_E_UNSUPPORTED && status != S24_E_DTYPE)
        done = status == S24_OK || fail_library("%s:%s", path, tensor);
    else if (!find_grid(&g, ctx, weights))
        done = refuse_codes(weights, reason);
    else if (get_part(&g, weights, "outliers", &outliers))
        done = fail("%s:%s: has outliers, which codes do not hold", path, tensor);
    else
        done = s24_pack_codes(ctx, g.constraints, &g.codes, &g.scales, &g.zeros, layout, packed) ==
                   S24_OK ||
               fail_library("%s:%s", path, tensor);
    s24_file_destroy(g.parts);
    free(g.constraints);
    free(reason);
    return done;
}

int run_pack(const args *a)
{
    s24_ctx *ctx = NULL;
    source weights = {0}, mask = {0};
    const source *inputs[] = {&weights, &mask};
    const s24_mat *kept;
    s24_packed *packed = NULL;
    s24_file *file = NULL;
    size_t bytes = 0;
    bool done = context_open(&ctx, a) && source_open(&weights, ctx, "pack", a->operand, false) &&
                find_mask(&mask, ctx, &weights, a, &kept) &&
                make_packed(ctx, &weights, kept, a->layout, &packed) &&
                output_create(&file, ctx, a->out, inputs, 2) &&
                (write_parts(file, packed, &bytes) || fail_library("--out %s", a->out));
    if (done)
        say("%s: %lld x %lld in %zu bytes of %s", a->out, (long long)weights.view.rows,
            (long long)weights.view.cols, bytes, a->layout);
    s24_file_destroy(file);
    s24_packed_destroy(packed);
    source_close(&mask);
    source_close(&weights);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}

/* ---- Unpacking ---- */

static bool get_number(const s24_file *file, const char *key, int64_t *value)
{
    const char *text = s24_file_meta(file, key);
    char *end;
    if (!text)
        return false;
    *value = strtoll(text, &end, 10);
    return end != text && !*end;
}

static bool get_type(const s24_file *file, int32_t *dtype)
{
    const char *text = s24_file_meta(file, "sparse24.dtype");
    for (int i = 0; text && i < TYPES; i++)
        if (!strcmp(types[i].name, text)) {
            *dtype = types[i].dtype;
            return true;
        }
    return false;
}

static size_t bytes_of(const s24_mat *mat)
{
    return (size_t)(mat->rows * mat->cols) * (size_t)(mat->dtype & 0xff) / 8;
}

/* Borrow the tensors that "sparse24.parts" lists. Returns how many, or -1 having said why. */
static int32_t get_parts(const source *s, const void **data, size_t *sizes)
{
    const char *list = s24_file_meta(s->file, "sparse24.parts");
    char names[200];
    int32_t count = 0;
    snprintf(names, sizeof names, "%s", list ? list : "");
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        s24_mat view;
        if (count == MAX_PARTS || s24_file_get(s->file, name, &view) != S24_OK) {
            fail_library("unpack %s: part \"%s\"", s->path, name);
            return -1;
        }
        data[count] = view.data;
        sizes[count++] = bytes_of(&view);
    }
    return count;
}

static bool wrap(s24_ctx *ctx, const source *s, s24_packed **packed)
{
    const char *layout = s24_file_meta(s->file, "sparse24.layout");
    const void *data[MAX_PARTS];
    size_t sizes[MAX_PARTS];
    int64_t rows, cols;
    int32_t dtype;
    if (!layout || !get_number(s->file, "sparse24.rows", &rows) ||
        !get_number(s->file, "sparse24.cols", &cols) || !get_type(s->file, &dtype))
        return fail("unpack %s: no packed matrix: its metadata lacks sparse24.layout, .rows, "
                    ".cols or .dtype",
                    s->path);
    int32_t count = get_parts(s, data, sizes);
    return count >= 0 &&
           (s24_packed_wrap(ctx, layout, rows, cols, dtype, data, sizes, count, packed) == S24_OK ||
            fail_library("unpack %s", s->path));
}

static bool write_dense(s24_ctx *ctx, s24_file *file, const s24_packed *packed)
{
    int64_t rows, cols;
    int32_t dtype;
    s24_mat dense;
    if (s24_packed_info(packed, NULL, &rows, &cols, &dtype) != S24_OK)
        return false;
    void *data = must(malloc((size_t)(rows * cols) * (size_t)(dtype & 0xff) / 8));
    bool done = s24_mat_rowmajor(&dense, data, rows, cols, dtype) == S24_OK &&
                s24_unpack(packed, &dense) == S24_OK &&
                s24_file_put(file, "weights", &dense, NULL, 0, NULL) == S24_OK &&
                s24_file_commit(file) == S24_OK;
    free(data);
    return done;
}

int run_unpack(const args *a)
{
    s24_ctx *ctx = NULL;
    source s = {0};
    const source *inputs[] = {&s};
    s24_packed *packed = NULL;
    s24_file *file = NULL;
    bool done = context_open(&ctx, a) && source_open_file(&s, ctx, "unpack", a->operand) &&
                wrap(ctx, &s, &packed) && output_create(&file, ctx, a->out, inputs, 1) &&
                (write_dense(ctx, file, packed) || fail_library("--out %s", a->out));
    s24_file_destroy(file);
    s24_packed_destroy(packed);
    source_close(&s);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}
