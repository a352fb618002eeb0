#include "message.h"
#include "outcome.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return !stat(path, &b) && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* An input, or beside the files of a folder that is one: its shards are opened by their own names. */
static bool is_input(const struct stat *out, const char *path, const source *s)
{
    const char *slash = strrchr(path, '/');
    char *folder = must(slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("."));
    struct stat status;
    bool is = s->path &&
              (same_file(out, s->path) ||
               (!stat(s->path, &status) && S_ISDIR(status.st_mode) && same_file(&status, folder)));
    free(folder);
    return is;
}

/* Other programs know a file by its ending. */
static const char *foreign_ending(const char *path)
{
    static const char *const endings[] = {".pt",   ".pth", ".bin",  ".pkl", ".ckpt",
                                          ".npy",  ".npz", ".onnx", ".h5",  ".gguf",
                                          ".json", ".txt", ".html", NULL};
    const char *dot = strrchr(path, '.');
    for (const char *const *e = endings; dot && *e; e++)
        if (!strcasecmp(dot, *e))
            return *e;
    return NULL;
}

/* Only a file of the same kind is replaced: eight bytes of a length, then JSON. */
static bool is_safetensors(const char *path)
{
    char head[9] = "";
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    return !size || (size == sizeof head && head[8] == '{');
}

bool output_create(s24_file **file, s24_ctx *ctx, const char *path, const source *const *inputs,
                   int count)
{
    struct stat status;
    bool exists = !stat(path, &status);
    for (int i = 0; exists && i < count; i++)
        if (is_input(&status, path, inputs[i]))
            return fail("--out %s: is an input file", path);
    if (exists && S_ISREG(status.st_mode) && !is_safetensors(path))
        return fail(
            "--out %s: is there and is no safetensors file: name another one, or remove it first",
            path);
    if (foreign_ending(path))
        return fail("--out %s: a safetensors file is written, which %s does not say: name it "
                    "%.*s.safetensors",
                    path, foreign_ending(path), (int)(strrchr(path, '.') - path), path);
    return s24_file_create(ctx, path, "safetensors", file) == S24_OK ||
           fail_library("--out %s", path);
}

bool output_open(s24_file **file, const layer *l, const char *path)
{
    const source *inputs[] = {&l->weights, &l->calib, &l->test, &l->mask, &l->importance};
    return output_create(file, l->ctx, path, inputs, 5);
}
