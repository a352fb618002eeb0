#include "writer.h"
#include "base/error.h"
#include "base/number.h"
#include "os.h"
#include <string.h>

#define FOLDER "folder"
#define SHARD "[shard_bytes="

enum { NUMBER = 24 };

static const uint64_t shard_bytes_default = 5000000000; /* as Hugging Face's own library has it */

/* What follows "folder": nothing, or the size of shards. */
static s24_status parse_folder(const char *text, uint64_t *shard_bytes)
{
    char number[NUMBER];
    int64_t value;
    size_t length = strlen(text);

    *shard_bytes = shard_bytes_default;
    if (!length)
        return S24_OK;
    if (strncmp(text, SHARD, sizeof SHARD - 1) || text[length - 1] != ']' ||
        length - sizeof SHARD >= NUMBER)
        return s24i_fail(S24_E_OPTION, "format \"folder%.40s\": expected folder" SHARD "N]", text);
    memcpy(number, text + sizeof SHARD - 1, length - sizeof SHARD);
    number[length - sizeof SHARD] = 0;
    if (!s24i_integer_read(number, &value) || value < 1)
        return s24i_fail(S24_E_OPTION, "shard_bytes is %s, but must be an integer from 1", number);
    *shard_bytes = (uint64_t)value;
    return S24_OK;
}

s24_status s24i_writer_create(s24i_memory *memory, const char *path, const char *format,
                              s24i_writer **out)
{
    uint64_t shard_bytes;

    if (!strcmp(format, "safetensors"))
        return s24i_safetensors_create(memory, path, out);
    if (!strcmp(format, "gguf"))
        return s24i_gguf_create(memory, path, out);
    if (strncmp(format, FOLDER, sizeof FOLDER - 1))
        return s24i_fail(S24_E_UNSUPPORTED,
                         "format is \"%.32s\", but must be \"safetensors\", \"gguf\" or \"folder\"",
                         format);
    s24_status status = parse_folder(format + sizeof FOLDER - 1, &shard_bytes);
    return status ? status : s24i_folder_create(memory, path, shard_bytes, out);
}

static s24_status check_open(const s24i_writer *w)
{
    return w->committed ? s24i_fail(S24_E_STATE, "%.300s: already committed", w->path) : S24_OK;
}

s24_status s24i_writer_put(s24i_writer *w, const char *name, const s24_mat *mat,
                           const int64_t *shape, int32_t rank, const char *type)
{
    s24_status status = check_open(w);

    return status ? status : w->class->put(w, name, mat, shape, rank, type);
}

s24_status s24i_writer_put_stored(s24i_writer *w, const s24i_tensor *tensor)
{
    s24_status status = check_open(w);

    return status ? status : w->class->put_stored(w, tensor);
}

s24_status s24i_writer_set_meta(s24i_writer *w, const char *key, const char *value)
{
    s24_status status = check_open(w);

    return status ? status : w->class->set_meta(w, key, value);
}

static s24_status check_format(const s24i_writer *w, const s24i_reader *from)
{
    s24_status status = check_open(w);

    if (!status && strcmp(w->class->format, from->class->format))
        status = s24i_fail(S24_E_UNSUPPORTED, "metadata of format %s cannot be carried over to %s",
                           from->class->format, w->class->format);
    return status;
}

s24_status s24i_writer_copy_meta(s24i_writer *w, s24i_reader *from)
{
    s24_status status = check_format(w, from);

    return status ? status : w->class->copy_meta(w, from);
}

s24_status s24i_writer_check_copy(s24i_writer *w, s24i_reader *from)
{
    s24_status status = check_format(w, from);

    for (int64_t i = 0; !status && i < from->count; i++)
        status = w->class->check_stored(w, s24i_reader_at(from, i));
    return status || !w->class->check_meta ? status : w->class->check_meta(w, from);
}

s24_status s24i_writer_commit(s24i_writer *w)
{
    int directory;
    s24_status status = check_open(w);

    if (!status)
        status = s24i_os_directory(w->memory, w->path, &directory);
    if (status)
        return status;
    status = w->class->appear(w);
    w->committed = !status;
    if (!status) {
        status = s24i_os_sync(directory, w->path);
        if (status)
            s24i_fail_in(status,
                         strcmp(w->class->format, FOLDER)
                             ? "the file is in place, but its directory may not be on disk"
                             : "the folder is in place, but its directory may not be on disk");
    }
    s24i_os_discard(directory);
    return status;
}

void s24i_writer_discard(s24i_writer *w)
{
    if (w)
        w->class->discard(w);
}
