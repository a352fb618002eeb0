#include "message.h"
#include "outcome.h"
#include <sys/stat.h>

static bool is_file(const struct stat *file, const source *s)
{
    struct stat other;
    return s->path && !stat(s->path, &other) && other.st_dev == file->st_dev &&
           other.st_ino == file->st_ino;
}

bool output_create(s24_file **file, s24_ctx *ctx, const char *path, const source *const *inputs,
                   int count)
{
    struct stat status;
    bool exists = !stat(path, &status);
    for (int i = 0; exists && i < count; i++)
        if (is_file(&status, inputs[i]))
            return fail("--out %s: is an input file", path);
    return s24_file_create(ctx, path, "safetensors", file) == S24_OK ||
           fail_library("--out %s", path);
}

bool output_open(s24_file **file, const layer *l, const char *path)
{
    const source *inputs[] = {&l->weights, &l->calib, &l->test, &l->mask, &l->importance};
    return output_create(file, l->ctx, path, inputs, 5);
}
