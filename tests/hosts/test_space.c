/* With little address space, as batch systems set it (ulimit -v), every call ends: well, with the
 * same bits, or with S24_E_MEMORY and a text; and it works again when there is space. OpenBLAS
 * alone would ask for its buffers for ever. Usage: test_space */
#include "process.h"
#include <sparse24/sparse24.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { ROWS = 48, COLS = 64, TOKENS = 256 };

static float x[TOKENS * COLS], w[ROWS * COLS];

/* What a child finds out. */
typedef struct outcome {
    s24_status little, enough; /* under the limit, and after it */
    char text[200];
    float v[2][ROWS * COLS];
} outcome;

static void fill(float *to, int n, uint32_t state)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)(int32_t)(state = state * 1664525u + 1013904223u) / 2147483648.0f;
}

static s24_status compress(int threads, float *v)
{
    s24_ctx *ctx;
    s24_mat inputs, weights;
    double error;
    s24_status status = s24_ctx_create(&ctx);

    if (status)
        return status;
    memcpy(v, w, sizeof w);
    s24_mat_rowmajor(&inputs, x, TOKENS, COLS, S24_F32);
    s24_mat_rowmajor(&weights, v, ROWS, COLS, S24_F32);
    status = s24_ctx_set_int(ctx, "threads", threads);
    if (!status)
        status = s24_compress(ctx, "sparsegpt", NULL, "2:4", &inputs, &weights, &error);
    s24_ctx_destroy(ctx);
    return status;
}

/* `more` bytes from here on; RLIM_INFINITY: no limit. */
static void limit(rlim_t more)
{
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "r");

    if (!stream || fscanf(stream, "%lu", &pages) != 1 || getrlimit(RLIMIT_AS, &limit))
        _exit(2);
    fclose(stream);
    limit.rlim_cur =
        more == RLIM_INFINITY ? limit.rlim_max : pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    if (setrlimit(RLIMIT_AS, &limit))
        _exit(2);
}

static void try(outcome *o, int threads, rlim_t more)
{
    limit(more);
    o->little = compress(threads, o->v[0]);
    snprintf(o->text, sizeof o->text, "%s", s24_last_error());
    limit(RLIM_INFINITY);
    o->enough = compress(threads, o->v[1]);
}

/* In a process of its own, where OpenBLAS has no buffers yet. */
static void try_in_child(outcome *o, int threads, rlim_t more)
{
    int state;
    pid_t child = fork();

    if (child == 0) {
        try(o, threads, more);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &state, 0) != child || state != 0) {
        printf("# %d threads, %lu bytes: the child ended with state %d\n", threads,
               (unsigned long)more, child < 0 ? -1 : state);
        o->little = o->enough = S24_E_INTERNAL;
    }
}

static int good(const outcome *o, const outcome *right)
{
    int same[2] = {!memcmp(o->v[0], right->v[0], sizeof w),
                   !memcmp(o->v[1], right->v[0], sizeof w)};

    return o->enough == S24_OK && same[1] &&
           ((o->little == S24_OK && same[0]) || (o->little == S24_E_MEMORY && o->text[0]));
}

int main(int argc, char **argv)
{
    static const int mib[] = {1, 8, 32, 64, 100, 127, 129, 132, 140, 160, 250, 400, 700, 1500};
    outcome *o =
        mmap(NULL, 2 * sizeof *o, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ended = 1, none = 1, one = 0;

    if (!getenv(
            "OPENBLAS_NUM_THREADS")) { /* OpenBLAS's own threads would want buffers too, for ever */
        setenv("OPENBLAS_NUM_THREADS", "1", 1);
        execv("/proc/self/exe", argv);
    }
    if (o == MAP_FAILED)
        return 2;
    fill(x, TOKENS * COLS, 1);
    fill(w, ROWS * COLS, 2);
    try_in_child(&o[1], 1, RLIM_INFINITY);
    for (size_t i = 0; i < sizeof mib / sizeof *mib; i++)
        for (int threads = 1; threads <= 64; threads *= 8) {
            try_in_child(o, threads, (rlim_t)mib[i] << 20);
            if (!good(o, &o[1]))
                printf("# %d threads, %d MiB: %s (%s), then %s\n", threads, mib[i],
                       s24_status_name(o->little), o->text, s24_status_name(o->enough));
            ended &= good(o, &o[1]);
            none &= mib[i] != 100 || threads > 1 || strstr(o->text, "OpenBLAS needs 128 MiB");
            one |= threads == 1 && mib[i] == 160 && o->little == S24_OK;
        }
    expect(ended, "with any space a call ends, with the right bits or S24_E_MEMORY");
    expect(none, "below a buffer of BLAS it says so");
    expect(one, "one thread works with one buffer");
    return failures != 0;
}
