/* A plug-in host loads the library, solves, and unloads it, 200 times: nothing stays, neither
 * memory nor threads nor the library itself. Usage: test_unload LIBRARY [ROUNDS] */
#include "process.h"
#include <dlfcn.h>
#include <sparse24/sparse24.h>
#include <string.h>

enum { ROWS = 32, COLS = 64, TOKENS = 128, WARM_UP = 40 };

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);

    if (!address) {
        printf("not ok - %s: %s\n", name, dlerror());
        exit(1);
    }
    return address;
}

static void fill(float *x, int n, uint32_t state)
{
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state / 2147483648.0f;
    }
}

/* Load, solve on three threads, unload. The result goes to `w`. */
static void round_trip(const char *path, float *w)
{
    static float x[TOKENS * COLS];
    s24_status (*create)(s24_ctx **);
    s24_status (*set)(s24_ctx *, const char *, int64_t);
    s24_status (*rowmajor)(s24_mat *, void *, int64_t, int64_t, int32_t);
    s24_status (*compress)(s24_ctx *, const char *, const char *, const char *, const s24_mat *,
                           const s24_mat *, double *);
    void (*destroy)(s24_ctx *);
    s24_ctx *ctx;
    s24_mat weights, inputs;
    double error;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        printf("not ok - %s\n", dlerror());
        exit(1);
    }
    *(void **)&create = symbol(library, "s24_ctx_create");
    *(void **)&set = symbol(library, "s24_ctx_set_int");
    *(void **)&rowmajor = symbol(library, "s24_mat_rowmajor");
    *(void **)&compress = symbol(library, "s24_compress");
    *(void **)&destroy = symbol(library, "s24_ctx_destroy");
    fill(x, TOKENS * COLS, 1);
    fill(w, ROWS * COLS, 2);
    if (create(&ctx) || set(ctx, "threads", 3) || rowmajor(&weights, w, ROWS, COLS, S24_F32) ||
        rowmajor(&inputs, x, TOKENS, COLS, S24_F32) ||
        compress(ctx, "sparsegpt", NULL, "2:4", &inputs, &weights, &error)) {
        printf("not ok - the solve failed\n");
        exit(1);
    }
    destroy(ctx);
    if (dlclose(library)) {
        printf("not ok - %s\n", dlerror());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static float first[ROWS * COLS], w[ROWS * COLS];
    const char *path = argv[1];
    int rounds = argc > 2 ? atoi(argv[2]) : 200, same = 1;
    process before = process_now(), warm = before;

    round_trip(path, first);
    for (int i = 1; i < rounds; i++) {
        round_trip(path, w);
        same &= !memcmp(first, w, sizeof w);
        if (i == WARM_UP)
            warm = process_now();
    }
    process after = process_now();
    printf("# %d rounds: resident %ld, %ld, %ld KiB; threads %d, %d, %d; mappings %d, %d, %d\n",
           rounds, before.resident, warm.resident, after.resident, before.threads, warm.threads,
           after.threads, before.mappings, warm.mappings, after.mappings);
    expect(same, "every load gives the same bits");
    expect(!dlopen(path, RTLD_NOW | RTLD_NOLOAD), "the library is gone");
    expect(after.threads == before.threads, "so are its threads, and BLAS's");
    expect(after.mappings <= warm.mappings, "no mapping is left behind");
    expect(after.resident <= warm.resident + 512, "resident memory does not grow");
    return failures != 0;
}
