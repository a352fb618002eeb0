/* GGUF models in several files, as llama-gguf-split writes them: "NAME-00002-of-00003.gguf" with
 * split.no = 1, split.count = 3 and split.tensors.count of all; the metadata are the first part's.
 * Any part stands for the whole. */
#include "base/error.h"
#include "base/number.h"
#include "gguf.h"
#include <stdio.h>
#include <string.h>

enum { SUFFIX = 20, MOST_PARTS = 65535 }; /* "-00002-of-00003.gguf" */

static bool digits(const char *text, int64_t *value)
{
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = 10 * *value + text[i] - '0';
    }
    return true;
}

/* Where a name's ending as a part begins, or NULL; which of how many it is. */
static const char *ending(const char *name, int64_t *part, int64_t *count)
{
    size_t length = strlen(name);
    const char *end = name + length - SUFFIX;

    return length > SUFFIX && *end == '-' && digits(end + 1, part) && !memcmp(end + 6, "-of-", 4) &&
                   digits(end + 10, count) && !strcmp(end + 15, ".gguf")
               ? end
               : NULL;
}

size_t s24i_gguf_stem(const char *name)
{
    int64_t part, count;
    const char *end = ending(name, &part, &count);

    return end ? (size_t)(end - name) : strlen(name);
}

/* The number under the key; -1 if there is none. */
static int64_t number(s24i_reader *reader, const char *key)
{
    const char *text = NULL;
    int64_t value;

    return !s24i_reader_meta(reader, key, &text) && text && s24i_integer_read(text, &value) ? value
                                                                                            : -1;
}

/* Parts of one model repeat its metadata, or have none. */
static s24_status check_same_model(s24i_reader *part, s24i_reader *first)
{
    s24i_gguf_value mine, theirs;

    for (int64_t i = 0; i < s24i_gguf_value_count(part); i++) {
        const char *key = s24i_gguf_value_at(part, i, &mine);
        if (!strcmp(key, "split.no") || !strcmp(key, S24I_GGUF_ALIGNMENT_KEY) ||
            !s24i_gguf_value_of(first, key, &theirs))
            continue;
        if (mine.type != theirs.type || mine.size != theirs.size ||
            memcmp(mine.bytes, theirs.bytes, mine.size))
            return s24i_fail(S24_E_FORMAT, "key '%.100s' has another value in the first part", key);
    }
    return S24_OK;
}

static s24_status check_part(s24i_reader *part, int64_t index, int64_t count)
{
    int64_t no = number(part, S24I_GGUF_SPLIT "no"), of = number(part, S24I_GGUF_SPLIT "count");

    return no == index && of == count
               ? S24_OK
               : s24i_fail(S24_E_FORMAT, "split.no is %lld and split.count %lld, not %lld and %lld",
                           (long long)no, (long long)of, (long long)index, (long long)count);
}

static s24_status check_tensors(s24i_reader *const *parts, int64_t count)
{
    int64_t told = number(parts[0], S24I_GGUF_SPLIT "tensors.count"), sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += parts[i]->count;
    return told < 0 || told == sum
               ? S24_OK
               : s24i_fail(S24_E_FORMAT,
                           "split.tensors.count is %lld, but the %lld parts have %lld",
                           (long long)told, (long long)count, (long long)sum);
}

/* Part `index` of the model at `path`, whose name is that of another part. */
static s24_status open_part(s24i_memory *memory, const char *path, int64_t index, int64_t count,
                            s24i_reader **part)
{
    s24i_text name = {.memory = memory};
    s24_status status = S24_E_MEMORY;

    s24i_text_append(&name, "%.*s-%05lld-of-%05lld.gguf", (int)s24i_gguf_stem(path), path,
                     (long long)index + 1, (long long)count);
    if (!name.failed)
        status = s24i_reader_open_file(memory, name.data, part);
    if (status == S24_E_IO)
        s24i_fail(status, "part %lld of %lld of a split model: %s", (long long)index + 1,
                  (long long)count, s24i_error_text());
    s24i_text_free(&name);
    return status;
}

static s24_status check_whole(s24i_reader **parts, int64_t count)
{
    s24_status status = S24_OK;

    for (int64_t i = 0; i < count; i++) {
        status = check_part(parts[i], i, count);
        if (!status)
            status = check_same_model(parts[i], parts[0]);
        if (status)
            return s24i_fail(status, "%.300s is not part %lld of %lld of this model: %s",
                             ((const s24i_source *)parts[i]->sources.items)->path, (long long)i + 1,
                             (long long)count, s24i_error_text());
    }
    return check_tensors(parts, count);
}

/* All parts, of which one is open. */
static s24_status open_all(s24i_memory *memory, const char *path, s24i_reader **parts,
                           int64_t count)
{
    s24_status status = S24_OK;

    for (int64_t i = 0; !status && i < count; i++) {
        if (!parts[i])
            status = open_part(memory, path, i, count, &parts[i]);
    }
    return status ? status : check_whole(parts, count);
}

static s24_status check_name(const char *path, int64_t index, int64_t count)
{
    int64_t part, of;

    if (count > MOST_PARTS || index < 0 || index >= count)
        return s24i_fail(S24_E_FORMAT, "%.300s: split.no is %lld with split.count %lld", path,
                         (long long)index, (long long)count);
    return ending(path, &part, &of) && part == index + 1 && of == count
               ? S24_OK
               : s24i_fail(S24_E_FORMAT,
                           "%.300s is part %lld of %lld of a split model, so its name must end in "
                           "-%05lld-of-%05lld.gguf",
                           path, (long long)index + 1, (long long)count, (long long)index + 1,
                           (long long)count);
}

s24_status s24i_gguf_whole(s24i_memory *memory, const char *path, s24i_reader **reader)
{
    int64_t count = number(*reader, S24I_GGUF_SPLIT "count"),
            index = number(*reader, S24I_GGUF_SPLIT "no");

    if (count <= 1)
        return S24_OK;
    s24_status status = check_name(path, index, count);
    size_t size = (size_t)count * sizeof(s24i_reader *);
    s24i_reader **parts = status ? NULL : s24i_alloc_zero(memory, size);
    if (!parts)
        return status ? status : S24_E_MEMORY;
    parts[index] = *reader;
    status = open_all(memory, path, parts, count);
    if (!status)
        status = s24i_gguf_join(memory, parts, count, reader);
    for (int64_t i = 0; status && i < count; i++) {
        if (i != index)
            s24i_reader_close(parts[i]);
    }
    if (status)
        s24i_free(memory, parts, size);
    return status;
}
