#include "fuzz.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A model's folder whose index or configuration comes from anywhere. Beside it lies a file with the
 * tensor "secret", and in it a link to that file: no text may bring the secret out. */

static char folder[64], path[128];

static void write_file(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    CLAIM(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

static void write_tensors(const char *name, const char *first, const char *second)
{
    char header[256];
    int length =
        snprintf(header + 8, sizeof header - 8,
                 "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", first);

    if (second)
        length +=
            snprintf(header + 8 + length, sizeof header - 8 - (size_t)length,
                     ",\"%s\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[4,8]}", second);
    header[8 + length++] = '}';
    for (int i = 0; i < 8; i++)
        header[i] = (char)((uint64_t)length >> 8 * i);
    memset(header + 8 + length, 0, 8);
    write_file(name, header, (size_t)length + (second ? 16 : 12));
}

static void remove_folder(void)
{
    static const char *const names[] = {
        "model.safetensors.index.json", "config.json", "a", "b", "link", "../secret"};

    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    *strrchr(folder, '/') = 0;
    rmdir(folder);
}

static void set_up(void)
{
    bool shm = access("/dev/shm", W_OK) == 0; /* writing is most of the time */
    strcpy(folder, shm ? "/dev/shm/sparse24-fuzz-XXXXXX" : "/tmp/sparse24-fuzz-XXXXXX");
    CLAIM(mkdtemp(folder));
    strcat(folder, "/model");
    CLAIM(!mkdir(folder, 0700));
    write_tensors("a", "x", "y");
    write_tensors("b", "z", NULL);
    write_tensors("../secret", "secret", NULL);
    snprintf(path, sizeof path, "%s/link", folder);
    CLAIM(!symlink("../secret", path));
    atexit(remove_folder);
}

static void walk(const s24_file *file)
{
    const char *name, *key;

    for (int64_t i = 0; (name = s24_file_name(file, i)); i++) {
        s24_mat view;
        CLAIM(strcmp(name, "secret"));
        CLAIM(!s24_file_get(file, name, &view));
    }
    for (int64_t i = 0; (key = s24_file_meta_key(file, i)); i++)
        CLAIM(s24_file_meta(file, key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "{\"weight_map\":{\"x\":\"a\",\"y\":\"a\",\"z\":\"b\"}}";
    bool config = size > 0 && data[0] == 'c'; /* else an index, which begins with '{' */
    s24_file *file = NULL;

    if (!*folder)
        set_up();
    write_file("model.safetensors.index.json", config ? (const void *)good : data,
               config ? sizeof good - 1 : size);
    write_file("config.json", config ? data + 1 : (const void *)"{}", config ? size - 1 : 2);
    s24_ctx *ctx = fuzz_open();
    s24_status status = s24_file_open(ctx, folder, &file);
    fuzz_check_status(status);
    CLAIM(!status == (file != NULL));
    if (file)
        walk(file);
    s24_file_destroy(file);
    fuzz_close(ctx);
    return 0;
}
