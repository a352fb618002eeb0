/*
 * The seam between the core and a library that fills ops.def for another processor: what the
 * library exports, and what the core lends it. Both are built from one source tree: the signature
 * compares what they share, and a library of another build is refused.
 */
#ifndef S24I_BACKEND_H
#define S24I_BACKEND_H
#include "ops/ops.h"

/* What the core does for the back end, so that texts, progress and host views are its own. */
typedef struct s24i_host {
    s24_status (*fail)(s24_status status, const char *text);
    void (*watch_init)(s24i_watch *watch, s24_progress_fn progress, void *user,
                       _Atomic int32_t *cancel, double time_limit);
    void (*watch_phase)(s24i_watch *watch, const char *phase, int64_t total);
    bool (*watch_step)(s24i_watch *watch, int64_t steps, double objective, double residual);
    bool (*watch_stopped)(s24i_watch *watch);
    bool (*watch_cancelled)(const s24i_watch *watch);
    /* Rows [row, row + count) of a view of the host as contiguous f32, or f64. */
    void (*load)(const s24_mat *mat, int64_t row, int64_t count, float *out);
    void (*load_f64)(const s24_mat *mat, int64_t row, int64_t count, double *out);
    /* Why such a view cannot be read: `bad` is its first offending element; when that is rows x
     * cols, nothing of its doubles was left in single precision. */
    s24_status (*refuse)(const s24_mat *mat, const char *what, int64_t bad);
    /* S24_E_STATE and the first offending place of a support in memory of the host. */
    s24_status (*obeys)(const s24i_constraints *constraints, const uint8_t *support, int64_t rows,
                        int64_t cols, const char *name);
} s24i_host;

#define S24I_BACKEND_SYMBOL s24_backend
#define S24I_BACKEND_NAME "s24_backend"

/* Sizes of all that both sides look into. */
#define S24I_BACKEND_SIGNATURE                                                              \
    ((uint64_t)(sizeof(s24i_operations) * 1000003 + sizeof(s24i_device) * 10007 +           \
                sizeof(s24i_prepared) * 1009 + sizeof(s24i_matrix) * 101 +                  \
                sizeof(s24i_gram) * 97 + sizeof(s24i_cross) * 89 + sizeof(s24i_admm) * 83 + \
                sizeof(s24i_grid) * 79 + sizeof(s24i_watch) * 73 + sizeof(s24i_host) * 71 + \
                sizeof(s24_mat)))

typedef struct s24i_backend {
    uint64_t signature;
    const char *version; /* of the package */
    const char *kind;    /* "cuda" */
    /* Open device `index`: fill in all of `device` but threads and kernels. S24_E_BACKEND with a
     * text: no driver, no such device, one that is too old. S24_E_MEMORY. */
    s24_status (*open)(const s24i_host *host, int32_t index, s24i_device *device);
    /* Gives back all that it holds; its arrays are free by then. */
    void (*close)(s24i_device *device);
} s24i_backend;

#endif
