/* A writer by the name of its format. */
#include "base/error.h"
#include "base/number.h"
#include "writer.h"
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
