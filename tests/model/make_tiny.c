/* Write a tiny model and token ids for it, for tests that run programs. Usage: make_tiny NAME[-gguf] MODEL TOKENS [TYPE] */
#include "tiny.h"
#include <sys/stat.h>

static void write_tokens(s24_ctx *ctx, const char *path, const tiny_model *m)
{
    enum { ROWS = 6, LENGTH = 24 };
    int32_t ids[ROWS * LENGTH];
    int64_t wide[ROWS * LENGTH];
    s24_file *file;
    s24_mat view;
    const struct {
        const char *name;
        void *data;
        int64_t shape[2];
        int32_t dtype, rank;
    } tensors[] = {
        {"rows", ids, {ROWS, LENGTH}, S24_I32, 2},      {"flat", wide, {ROWS * LENGTH}, S24_I64, 1},
        {"short", ids, {ROWS * LENGTH, 1}, S24_I32, 2}, {"calib", ids, {ROWS, LENGTH}, S24_I32, 2},
        {"test", ids, {ROWS, LENGTH}, S24_I32, 2},      {"none", ids, {0, LENGTH}, S24_I32, 2}};
    for (int64_t i = 0; i < ROWS * LENGTH; i++)
        wide[i] = ids[i] = tiny_token(m, i / LENGTH, i % LENGTH);
    tiny_must(s24_file_create(ctx, path, "safetensors", &file));
    for (int i = 0; i < 6; i++) {
        int64_t rows = tensors[i].rank == 2 ? tensors[i].shape[0] : 1;
        int64_t cols = tensors[i].shape[tensors[i].rank - 1];
        tiny_must(s24_mat_rowmajor(&view, tensors[i].data, rows, cols, tensors[i].dtype));
        tiny_must(
            s24_file_put(file, tensors[i].name, &view, tensors[i].shape, tensors[i].rank, NULL));
    }
    for (int bad = 0; bad < 2; bad++) {
        ids[LENGTH + 3] = bad ? -1 : (int32_t)m->vocab;
        tiny_must(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
        tiny_must(s24_file_put(file, bad ? "negative" : "large", &view, NULL, 0, NULL));
    }
    for (int64_t i = 0; i < ROWS * LENGTH; i++)
        ids[i] = 7;
    tiny_must(s24_mat_rowmajor(&view, ids, ROWS, LENGTH, S24_I32));
    tiny_must(s24_file_put(file, "same", &view, NULL, 0, NULL));
    float *words = tiny_tensor("words", ROWS * LENGTH);
    tiny_must(s24_mat_rowmajor(&view, words, ROWS, LENGTH, S24_F32));
    tiny_must(s24_file_put(file, "floats", &view, NULL, 0, NULL));
    tiny_must(s24_file_commit(file));
    s24_file_destroy(file);
    free(words);
}

int main(int argc, char **argv)
{
    s24_ctx *ctx;
    if (argc < 4 || argc > 5)
        return 2;
    char *gguf = strstr(argv[1], "-gguf");
    if (gguf)
        *gguf = 0;
    for (int i = 0; i < TINY_MODELS; i++) {
        tiny_model m = tiny_models[i];
        if (strcmp(m.name, argv[1]))
            continue;
        m.gguf = gguf != NULL;
        m.type = argc > 4 ? argv[4] : NULL;
        tiny_must(s24_ctx_create(&ctx));
        struct stat s;
        if (!stat(argv[2], &s) && S_ISDIR(s.st_mode))
            tiny_write_folder(ctx, argv[2], &m);
        else
            tiny_write(ctx, argv[2], &m);
        write_tokens(ctx, argv[3], &m);
        s24_ctx_destroy(ctx);
        return 0;
    }
    return 2;
}
