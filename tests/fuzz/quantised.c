#include "fuzz.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder whose configuration, and whose weights behind the first NUL, come from anywhere. All
 * that it offers is read. */

static char folder[64], path[128];

static void write_file(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    CLAIM(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

static void remove_folder(void)
{
    static const char *const names[] = {"model.safetensors", "config.json"};

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void set_up(void)
{
    bool shm = access("/dev/shm", W_OK) == 0; /* writing is most of the time */
    strcpy(folder, shm ? "/dev/shm/sparse24-fuzz-XXXXXX" : "/tmp/sparse24-fuzz-XXXXXX");
    CLAIM(mkdtemp(folder));
    atexit(remove_folder);
}

static void read_tensor(const s24_file *file, const char *name)
{
    int64_t shape[8], count = 1;
    int32_t rank = -1;
    const void *data;
    size_t size;
    s24_mat view;

    CLAIM(s24_file_info(file, name, shape, &rank, NULL) == S24_OK);
    CLAIM(!s24_file_bytes(file, name, &data, &size));
    for (int32_t i = 0; i < rank; i++)
        CLAIM(!__builtin_mul_overflow(count, shape[i], &count));
    s24_status can = s24_file_check_read(file, name);
    CLAIM(can == S24_OK || can == S24_E_DTYPE);
    if (count <= 0 || count > 100000)
        return;
    int64_t cols = rank ? shape[rank - 1] : 1;
    CLAIM(!s24_mat_rowmajor(&view, malloc((size_t)count * 4), count / cols, cols, S24_F32));
    s24_status status = s24_file_read(file, name, &view);
    CLAIM(status == can || status == S24_E_MEMORY);
    free(view.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t config = end ? (size_t)(end - data) : size, rest = end ? size - config - 1 : 0;
    const char *name, *key;
    s24_file *file = NULL;

    if (!*folder)
        set_up();
    write_file("config.json", data, config);
    write_file("model.safetensors", end ? end + 1 : data, rest);
    s24_ctx *ctx = fuzz_open();
    s24_status status = s24_file_open(ctx, folder, &file);
    fuzz_check_status(status);
    CLAIM(!status == (file != NULL));
    for (int64_t i = 0; file && (name = s24_file_name(file, i)); i++)
        read_tensor(file, name);
    for (int64_t i = 0; file && (key = s24_file_meta_key(file, i)); i++)
        CLAIM(s24_file_meta(file, key));
    s24_file_destroy(file);
    fuzz_close(ctx);
    return 0;
}
