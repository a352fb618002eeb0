/* sparse24 pack: one matrix into the bytes of a layout, as a safetensors file. */
#include "commands.h"
#include "message.h"
#include "outcome.h"
#include "pack.h"
#include "record.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    for (int i = 0; i < PACK_TYPES; i++)
        if (pack_types[i].dtype == dtype)
            type = pack_types[i].name;
    return s24_file_set_meta(file, "sparse24.layout", layout) == S24_OK &&
           put_number(file, "sparse24.rows", rows) && put_number(file, "sparse24.cols", cols) &&
           s24_file_set_meta(file, "sparse24.dtype", type) == S24_OK &&
           s24_file_set_meta(file, "sparse24.parts", parts) == S24_OK;
}

static bool write_parts(s24_file *file, const s24_packed *packed, size_t *bytes)
{
    const char *name;
    char parts[200] = "";
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

/* The record that `solve` or `compress` wrote of the weights, to be freed; NULL: there is none. */
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

/* Where codes are: beside the weights of `solve --out`; in sparse24/ (once: right there) beside the model of `compress`. */
typedef struct grid {
    s24_file *parts; /* NULL: the file of the weights */
    char *constraints;
    s24_mat codes, scales, zeros;
} grid;

static bool open_parts(grid *g, s24_ctx *ctx, const source *weights)
{
    static const char *const places[] = {"sparse24/", ""};
    struct stat s;
    const char *slash = strrchr(weights->path, '/');
    size_t length = slash ? (size_t)(slash - weights->path) : 0;
    bool done = false, folder = !stat(weights->path, &s) && S_ISDIR(s.st_mode);
    length = folder ? strlen(weights->path) : length;
    for (int i = 0; i < 2 && !done; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.*s%s%sparts.safetensors", (int)length, weights->path,
                 length ? "/" : "", places[i]);
        done = !access(path, F_OK) && s24_file_open(ctx, path, &g->parts) == S24_OK;
    }
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
        return fail("pack %s:%s: codes, scales and zeros go together: name the weights that they "
                    "belong to, of a model or of `solve --out`",
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
