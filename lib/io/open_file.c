/* One file, by its first bytes. */
#include "base/error.h"
#include "reader.h"
#include <string.h>

enum { MAGIC = 4 };

/* As the length of a safetensors header these four bytes would be beyond what that format
 * allows. */
static bool is_gguf(const void *map, uint64_t size)
{
    return size >= MAGIC && !memcmp(map, "GGUF", MAGIC);
}

s24_status s24i_reader_open_file(s24i_memory *memory, const char *path, s24i_reader **out)
{
    const void *map;
    uint64_t size;
    s24i_reader *reader;
    s24i_os_stamp stamp = s24i_os_stamp_of(path);
    s24_status status = s24i_os_map(path, &map, &size);

    if (status)
        return status;
    status = is_gguf(map, size) ? s24i_gguf_read(memory, map, size, &reader)
                                : s24i_safetensors_read(memory, map, size, &reader);
    if (status == S24_E_FORMAT || status == S24_E_UNSUPPORTED)
        s24i_fail(status, "%.200s: %s", path, s24i_error_text());
    if (status) {
        s24i_os_unmap(map, size);
        return status;
    }
    status = s24i_reader_note(reader, path, stamp);
    if (status)
        s24i_reader_close(reader);
    else
        *out = reader;
    return status;
}
