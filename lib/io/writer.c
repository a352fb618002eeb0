#include "writer.h"
#include "base/error.h"
#include "os.h"
#include <string.h>

#define FOLDER "folder"

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
