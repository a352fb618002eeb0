#include "api.h"
#include "io/reader.h"
#include "io/writer.h"
#include <string.h>

/* Either a reader or a writer. */
struct s24_file {
    s24i_object object;
    s24i_reader *reader;
    s24i_writer *writer;
};

/* An empty file object, which then keeps what is opened: for writing if there is a format. */
static s24_status make_file(s24_ctx *ctx, const char *path, const char *format, s24_file **out)
{
    s24_file *file = s24i_alloc_zero(&ctx->memory, sizeof *file);

    if (!file)
        return S24_E_MEMORY;
    s24_status status = format ? s24i_writer_create(&ctx->memory, path, format, &file->writer)
                               : s24i_reader_open(&ctx->memory, path, &file->reader);
    if (status) {
        s24i_free(&ctx->memory, file, sizeof *file);
        return status;
    }
    s24i_object_init(&file->object, S24I_FILE, ctx);
    *out = file;
    return S24_OK;
}

static s24_status check_path(const s24_ctx *ctx, const char *path, s24_file **out)
{
    s24_status status = s24i_check_handle(ctx, S24I_CTX, "ctx");

    if (!status)
        status = s24i_check_pointer(path, "path");
    return status ? status : s24i_check_pointer(out, "out");
}

s24_status s24_file_open(s24_ctx *ctx, const char *path, s24_file **out)
{
    s24_status status = check_path(ctx, path, out);

    return s24i_done(__func__, status ? status : make_file(ctx, path, NULL, out));
}

s24_status s24_file_create(s24_ctx *ctx, const char *path, const char *format, s24_file **out)
{
    s24_status status = check_path(ctx, path, out);

    if (!status)
        status = s24i_check_pointer(format, "format");
    return s24i_done(__func__, status ? status : make_file(ctx, path, format, out));
}

void s24_file_destroy(s24_file *file)
{
    if (!s24i_is(file, S24I_FILE))
        return;
    s24_ctx *ctx = file->object.ctx;
    file->object.handle.magic = S24I_DEAD;
    s24i_reader_close(file->reader);
    s24i_writer_discard(file->writer);
    s24i_free(&ctx->memory, file, sizeof *file);
    s24i_ctx_release(ctx);
}

/* ---- Reading ---- */

static bool can_read(const s24_file *file)
{
    return s24i_is(file, S24I_FILE) && file->reader;
}

static s24_status check_reader(const s24_file *file, const char *name)
{
    s24_status status = s24i_check_handle(file, S24I_FILE, "file");

    if (!status && !file->reader)
        status = s24i_fail(S24_E_STATE, "the file is being written: commit it, then open it");
    return status ? status : s24i_check_pointer(name, "name");
}

int64_t s24_file_count(const s24_file *file)
{
    return can_read(file) ? file->reader->count : 0;
}

const char *s24_file_name(const s24_file *file, int64_t index)
{
    const s24i_tensor *tensor = can_read(file) ? s24i_reader_at(file->reader, index) : NULL;

    return tensor ? tensor->name : NULL;
}

s24_status s24_file_info(const s24_file *file, const char *name, int64_t *shape, int32_t *rank,
                         const char **type)
{
    const s24i_tensor *tensor;
    s24_status status = check_reader(file, name);

    if (!status)
        status = s24i_reader_find(file->reader, name, &tensor);
    if (status)
        return s24i_done(__func__, status);
    if (shape)
        memcpy(shape, tensor->shape, (size_t)tensor->rank * sizeof *shape);
    if (rank)
        *rank = tensor->rank;
    if (type)
        *type = tensor->type;
    return S24_OK;
}

s24_status s24_file_get(const s24_file *file, const char *name, s24_mat *view)
{
    s24_status status = check_reader(file, name);

    if (!status)
        status = s24i_check_pointer(view, "view");
    return s24i_done(__func__, status ? status : s24i_reader_view(file->reader, name, view));
}

s24_status s24_file_bytes(const s24_file *file, const char *name, const void **data, size_t *size)
{
    const s24i_tensor *tensor;
    s24_status status = check_reader(file, name);

    if (!status)
        status = s24i_check_pointer(data, "data");
    if (!status)
        status = s24i_check_pointer(size, "size");
    if (!status)
        status = s24i_reader_find(file->reader, name, &tensor);
    if (status)
        return s24i_done(__func__, status);
    *data = tensor->stored ? tensor->stored : tensor->data;
    *size = tensor->size;
    return S24_OK;
}

s24_status s24_file_check_source(const s24_file *file)
{
    s24_status status = check_reader(file, "");

    return s24i_done(__func__, status ? status : s24i_reader_check_sources(file->reader));
}

/* ---- What is decoded is so in strips of rows. ---- */

typedef struct decoding {
    const s24i_kernels *kernels;
    const s24i_tensor *tensor;
    const s24_mat *dst;
    float *rows; /* a strip for each worker; NULL: rows of dst are floats that lie together */
} decoding;

static void decode_strip(void *arg, int64_t strip, int32_t worker)
{
    const decoding *job = arg;
    int64_t first = strip * S24I_DECODED_ROWS, cols = job->dst->cols, left = job->dst->rows - first;
    int64_t count = left < S24I_DECODED_ROWS ? left : S24I_DECODED_ROWS,
            stride = job->dst->row_stride;

    if (!job->rows) {
        s24i_tensor_decode(job->tensor, first, count, (float *)job->dst->data + first * stride,
                           stride);
        return;
    }
    float *out = job->rows + worker * S24I_DECODED_ROWS * cols;
    s24i_tensor_decode(job->tensor, first, count, out, cols);
    s24i_mat_store(job->kernels, out, job->dst, first, count);
}

static s24_status read_decoded(s24_ctx *ctx, const s24i_tensor *tensor, const s24_mat *dst)
{
    decoding job = {.kernels = &ctx->kernels, .tensor = tensor, .dst = dst};
    bool direct = dst->dtype == S24_F32 && (dst->col_stride == 1 || dst->cols == 1);
    s24_status status = S24_OK;

    s24i_enter(ctx);
    size_t strip = s24i_mul((size_t)dst->cols, S24I_DECODED_ROWS * sizeof(float));
    size_t size = direct ? 0 : s24i_mul((size_t)s24i_workers(&ctx->threads), strip);
    job.rows = direct ? NULL : s24i_alloc(&ctx->memory, size);
    if (!direct && !job.rows)
        status = S24_E_MEMORY;
    if (!status)
        status = s24i_parallel(&ctx->threads, decode_strip, &job,
                               (dst->rows + S24I_DECODED_ROWS - 1) / S24I_DECODED_ROWS);
    s24i_free(&ctx->memory, job.rows, size);
    s24i_leave(ctx);
    return status;
}

static s24_status check_room(const s24i_tensor *tensor, const s24_mat *dst)
{
    int64_t rows, cols;
    s24_status status = s24i_check_mat(dst, "dst", S24I_FLOAT_TYPE);

    s24i_tensor_extents(tensor, &rows, &cols);
    return status ? status : s24i_check_shape(dst, "dst", rows, cols);
}

static s24_status read_tensor(const s24_file *file, const char *name, const s24_mat *dst)
{
    const s24i_tensor *tensor;
    s24_mat view;
    s24_status status = s24i_reader_find(file->reader, name, &tensor);

    if (status)
        return status;
    if (s24i_tensor_is_decoded(tensor)) {
        status = check_room(tensor, dst);
        return status ? status : read_decoded(file->object.ctx, tensor, dst);
    }
    status = s24i_reader_view(file->reader, name, &view);
    if (!status && !s24i_is_float(view.dtype) && s24i_is_float(dst->dtype))
        return s24i_reader_check_values(file->reader, name);
    return status ? status : s24i_copy_mat(file->object.ctx, &view, dst);
}

s24_status s24_file_read(const s24_file *file, const char *name, const s24_mat *dst)
{
    s24_status status = check_reader(file, name);

    return s24i_done(__func__, status ? status : read_tensor(file, name, dst));
}

s24_status s24_file_check_read(const s24_file *file, const char *name)
{
    s24_status status = check_reader(file, name);

    return s24i_done(__func__, status ? status : s24i_reader_check_values(file->reader, name));
}

const char *s24_file_meta(const s24_file *file, const char *key)
{
    const char *value = NULL;

    if (can_read(file) && key)
        s24i_done(__func__, s24i_reader_meta(file->reader, key, &value));
    return value;
}

const char *s24_file_meta_key(const s24_file *file, int64_t index)
{
    return can_read(file) ? s24i_reader_meta_key(file->reader, index) : NULL;
}

/* ---- Writing ---- */

static s24_status check_writer(const s24_file *file)
{
    s24_status status = s24i_check_handle(file, S24I_FILE, "file");

    if (!status && !file->writer)
        status = s24i_fail(S24_E_STATE, "the file was opened for reading");
    return status;
}

s24_status s24_file_put(s24_file *file, const char *name, const s24_mat *mat, const int64_t *shape,
                        int32_t rank, const char *type)
{
    s24_status status = check_writer(file);

    if (!status)
        status = s24i_check_pointer(name, "name");
    if (!status)
        status = s24i_check_mat(mat, "mat", S24I_ANY_TYPE);
    return s24i_done(__func__,
                     status ? status : s24i_writer_put(file->writer, name, mat, shape, rank, type));
}

s24_status s24_file_set_meta(s24_file *file, const char *key, const char *value)
{
    s24_status status = check_writer(file);

    if (!status)
        status = s24i_check_pointer(key, "key");
    return s24i_done(__func__, status ? status : s24i_writer_set_meta(file->writer, key, value));
}

static s24_status put_stored(s24_file *file, const s24_file *from, const char *name)
{
    const s24i_tensor *tensor;
    s24_status status = check_writer(file);

    if (!status)
        status = check_reader(from, name);
    if (!status)
        status = s24i_reader_find(from->reader, name, &tensor);
    return status ? status : s24i_writer_put_stored(file->writer, tensor);
}

s24_status s24_file_put_stored(s24_file *file, const s24_file *from, const char *name)
{
    return s24i_done(__func__, put_stored(file, from, name));
}

s24_status s24_file_copy_meta(s24_file *file, const s24_file *from)
{
    s24_status status = check_writer(file);

    if (!status)
        status = check_reader(from, "");
    return s24i_done(__func__, status ? status : s24i_writer_copy_meta(file->writer, from->reader));
}

s24_status s24_file_check_copy(const s24_file *file, const s24_file *from)
{
    s24_status status = check_writer(file);

    if (!status)
        status = check_reader(from, "");
    return s24i_done(__func__,
                     status ? status : s24i_writer_check_copy(file->writer, from->reader));
}

s24_status s24_file_commit(s24_file *file)
{
    s24_status status = check_writer(file);

    return s24i_done(__func__, status ? status : s24i_writer_commit(file->writer));
}
