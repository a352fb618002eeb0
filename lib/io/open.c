/* A path to a model: one file, all parts of it, or a folder. */
#include "base/error.h"
#include "folder.h"
#include "gguf.h"

static s24_status open_model(s24i_memory *memory, const char *path, s24i_reader **out)
{
    s24i_reader *reader;
    s24_status status = s24i_reader_open_file(memory, path, &reader);

    if (status)
        return status;
    status = s24i_gguf_whole(memory, path, &reader);
    if (status)
        s24i_reader_close(reader);
    else
        *out = reader;
    return status;
}

/* Its safetensors files, or the one GGUF model in it. */
static s24_status open_folder(s24i_memory *memory, const char *path, s24i_reader **out)
{
    char *gguf = NULL;
    s24_status status = s24i_folder_open(memory, path, &gguf, out);

    if (gguf)
        status = open_model(memory, gguf, out);
    s24i_strfree(memory, gguf);
    return status == S24_E_FORMAT ? s24i_fail(status, "%.200s: %s", path, s24i_error_text())
                                  : status;
}

s24_status s24i_reader_open(s24i_memory *memory, const char *path, s24i_reader **out)
{
    return s24i_os_is_directory(path) ? open_folder(memory, path, out)
                                      : open_model(memory, path, out);
}
