/* Load the library at run time, as a plug-in host would: check its interface version, then use it.
 * Usage: 06_dlopen [LIBRARY] */
#include <dlfcn.h>
#include <sparse24/sparse24.h>
#include <stdio.h>

static uint32_t (*api_version)(void);
static const char *(*version)(void);
static const char *(*last_error)(void);
static s24_status (*ctx_create)(s24_ctx **out);
static void (*ctx_destroy)(s24_ctx *ctx);
static s24_status (*compress)(s24_ctx *ctx, const char *solver, const char *options,
                              const char *constraints, const s24_mat *x, const s24_mat *w,
                              double *relative_loss);
static s24_status (*mat_rowmajor)(s24_mat *mat, void *data, int64_t rows, int64_t cols,
                                  int32_t dtype);

/* Names and where they go; POSIX lets a function's address pass through void *. */
static const struct symbol {
    const char *name;
    void *pointer;
} symbols[] = {
    {"s24_api_version", &api_version},   {"s24_version", &version},
    {"s24_last_error", &last_error},     {"s24_ctx_create", &ctx_create},
    {"s24_ctx_destroy", &ctx_destroy},   {"s24_compress", &compress},
    {"s24_mat_rowmajor", &mat_rowmajor},
};

static int load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address)
            return 0;
        *(void **)symbols[i].pointer = address;
    }
    return library != NULL;
}

/* The major part must be equal; while it is 0, the header we were built with must not be newer. */
static int fits(uint32_t found)
{
    return found >> 16 == S24_API_VERSION_MAJOR && found >= S24_API_VERSION;
}

int main(int argc, char **argv)
{
    float weights[] = {4, -1, 2, 3, 0, 5, -6, 1};
    s24_ctx *ctx;
    s24_mat w;
    double error;
    if (!load(argc > 1 ? argv[1] : "libsparse24.so.0.1")) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    if (!fits(api_version())) {
        fprintf(stderr, "interface %#x does not fit %#x\n", api_version(), S24_API_VERSION);
        return 1;
    }
    if (ctx_create(&ctx) || mat_rowmajor(&w, weights, 1, 8, S24_F32) ||
        compress(ctx, "magnitude", NULL, "2:4", NULL, &w, &error)) {
        fprintf(stderr, "%s\n", last_error());
        return 1;
    }
    printf("sparse24 %s: error %.4f, weights", version(), error);
    for (int i = 0; i < 8; i++)
        printf(" %g", weights[i]);
    puts("");
    ctx_destroy(ctx);
    return 0;
}
