/* sparse24 unpack: the dense matrix of a file that `pack` has written. */
#include "commands.h"
#include "message.h"
#include "outcome.h"
#include "pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 8 };

const pack_type pack_types[PACK_TYPES] = {
    {"F32", S24_F32}, {"F16", S24_F16}, {"BF16", S24_BF16}, {"I8", S24_I8}};

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
    for (int i = 0; text && i < PACK_TYPES; i++)
        if (!strcmp(pack_types[i].name, text)) {
            *dtype = pack_types[i].dtype;
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
