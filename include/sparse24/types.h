#ifndef SPARSE24_TYPES_H
#define SPARSE24_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include "version.h"

#if defined _WIN32 && defined S24_BUILDING
#define S24_API __declspec(dllexport)
#elif defined _WIN32
#define S24_API __declspec(dllimport)
#elif defined __GNUC__
#define S24_API __attribute__((visibility("default")))
#else
#define S24_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Result of every call that can fail: S24_OK, or one of the negative codes below. It is a plain
 * int32_t so that its width does not depend on the compiler. Numbers are never reused or changed.
 * On failure output arguments are untouched and no handle has changed state, unless the function
 * says otherwise.
 */
typedef int32_t s24_status;
enum {
    S24_OK = 0,
    S24_E_ARG = -1,       /**< NULL, dead handle, handle of another kind, argument out of range */
    S24_E_MEMORY = -2,    /**< the allocator returned NULL, or the memory limit was reached */
    S24_E_OPTION = -3,    /**< unknown option, wrong type, or value out of range */
    S24_E_SHAPE = -4,     /**< dimensions or strides do not fit */
    S24_E_DTYPE = -5,     /**< element type not accepted here */
    S24_E_NONFINITE = -6, /**< NaN, infinity or a number beyond the range of a type in the input */
    S24_E_NUMERIC = -7,   /**< no factorisation even with the largest damping, no finite loss */
    S24_E_STATE = -8,     /**< call out of order, or while another call forbids it */
    S24_E_CANCELLED = -9, /**< stopped by the progress callback or by s24_solver_cancel() */
    S24_E_UNSUPPORTED = -10, /**< not in this build, on this processor, or by this solver */
    S24_E_IO = -11,          /**< the operating system refused */
    S24_E_FORMAT = -12,      /**< malformed file, or bytes made elsewhere */
    S24_E_BACKEND = -13,     /**< plug-in missing, of another version, or device failure */
    S24_E_INTERNAL = -14,    /**< a bug in this library; please report */
    S24_E_USER = -100        /**< never produced here: free for callbacks to return */
};

/** Element type: DLPack type code times 256 plus bits, so a DLPack tensor maps without a table. */
#define S24_DTYPE(code, bits) ((int32_t)((code)*256 + (bits)))
enum {
    S24_I8 = 0x0008,
    S24_I16 = 0x0010,
    S24_I32 = 0x0020,
    S24_I64 = 0x0040,
    S24_U8 = 0x0108,
    S24_U16 = 0x0110,
    S24_U32 = 0x0120,
    S24_F16 = 0x0210,
    S24_F32 = 0x0220,
    S24_F64 = 0x0240,
    S24_BF16 = 0x0410,
    S24_BOOL = 0x0608,
    S24_E4M3FN = 0x0A08,
    S24_E5M2 = 0x0C08
};

/** Where the bytes are. The numbers are DLPack's device types. */
enum { S24_CPU = 1, S24_CUDA = 2, S24_CUDA_HOST = 3, S24_CUDA_MANAGED = 13 };

/**
 * A borrowed view of a matrix: 64 bytes, frozen for the life of the soname, on 64-bit targets only.
 *
 * Element (i, j) is at data + (i * row_stride + j * col_stride) elements. Strides are positive;
 * they are ignored where the extent is 0 or 1. cols is the reduction dimension (the input features
 * of a layer); N:M groups run along it. data is aligned to its type. flags and reserved must be 0.
 */
typedef struct s24_mat {
    void *data;
    int64_t rows, cols;
    int64_t row_stride, col_stride;
    int32_t dtype;
    int32_t device;
    int32_t device_id;
    int32_t flags;
    uint64_t reserved;
} s24_mat;

typedef struct s24_ctx s24_ctx;         /**< allocator, threads, log */
typedef struct s24_gram s24_gram;       /**< accumulated X^T X of a layer's inputs */
typedef struct s24_cross s24_cross;     /**< accumulated T^T X: wanted outputs against inputs */
typedef struct s24_problem s24_problem; /**< weights + gram + pattern: what is to be solved */
typedef struct s24_solver s24_solver;   /**< an algorithm and its options */
typedef struct s24_result s24_result;   /**< what a solver produced */
typedef struct s24_packed s24_packed;   /**< a matrix in the bytes of a layout */
typedef struct s24_product s24_product; /**< a packed matrix made ready to be multiplied */
typedef struct s24_file s24_file;       /**< a file or folder of tensors */

/**
 * Return at least `size` bytes aligned to `align` (a power of two), or NULL. May be called from
 * several threads.
 */
typedef void *(*s24_alloc_fn)(void *user, size_t size, size_t align);
/** Release a block. `ptr` is never NULL, and `size` is the size that was asked for. */
typedef void (*s24_free_fn)(void *user, void *ptr, size_t size);

/**
 * A line of text without newline. Levels: 0 error, 1 warning, 2 information, 3 debugging. Called on
 * the caller's thread.
 */
typedef void (*s24_log_fn)(void *user, int32_t level, const char *message);

/**
 * A piece of work handed to a runner: call it once for each index. `worker` is in [0, max_workers).
 */
typedef void (*s24_task_fn)(void *arg, int64_t index, int32_t worker);
/**
 * Host-supplied runner: run task(arg, i, w) for all i in [0, count) in any order, and return when
 * all are done. A non-zero answer makes our call fail with that status. It is never nested; two
 * contexts may call it at once.
 */
typedef int32_t (*s24_parallel_fn)(void *user, s24_task_fn task, void *arg, int64_t count,
                                   int32_t max_workers);

/**
 * Progress of a solve, always on the thread that called s24_solve(). `step` counts up to `total`
 * (-1 if unknown) within `phase`. `objective` is the layer loss so far. `residual` is the solver's
 * own measure, NaN if it has none. Return 0 to go on, anything else to stop with S24_E_CANCELLED.
 * All arguments are scalars, so that this type never changes its layout.
 */
typedef int32_t (*s24_progress_fn)(void *user, const char *phase, int64_t step, int64_t total,
                                   double objective, double residual);

/**
 * Interface version at run time, laid out as S24_API_VERSION. Check the major part after dlopen().
 */
S24_API uint32_t s24_api_version(void);
/** Package version, e.g. "0.3.1". Static storage. */
S24_API const char *s24_version(void);
/**
 * Facts about the build: "blas", "compiler", "kernels", "solvers", "layouts". Static storage. NULL:
 * the key is unknown.
 */
S24_API const char *s24_build_info(const char *key);
/** Identifier of a status code, e.g. "S24_E_SHAPE"; never NULL. */
S24_API const char *s24_status_name(s24_status status);
/**
 * Text about the most recent failure on the calling thread: function, object, offending value,
 * legal range. Never NULL; valid until the next failing call on this thread. The text is for
 * people; programs test the status.
 */
S24_API const char *s24_last_error(void);
/** The status that went with this text; S24_OK before the first failure. */
S24_API s24_status s24_last_status(void);
/** Fail with a text of one's own: for libraries on top of this one, whose callers then find every text in one place. Copies `text` (at most
 *  511 bytes; control characters and what is not UTF-8 become '?') and returns `status`. */
S24_API s24_status s24_fail(s24_status status, const char *text);
/** Seconds since some moment that stays the same while the process runs: for differences. */
S24_API double s24_seconds(void);

/** Fill `mat` as a CPU, row-major, contiguous view. For other layouts edit the fields. */
S24_API s24_status s24_mat_rowmajor(s24_mat *mat, void *data, int64_t rows, int64_t cols,
                                    int32_t dtype);
/**
 * Copy `src` to `dst` (same shape), converting the layout. Between 16-, 32- and 64-bit floats the
 * type is converted too: rounded to nearest even, and NaN stays NaN. Other types copy only to
 * themselves (S24_E_DTYPE). The two may not overlap (S24_E_ARG); columns or rows beside each other
 * in the same array do not overlap.
 */
S24_API s24_status s24_mat_copy(s24_ctx *ctx, const s24_mat *src, const s24_mat *dst);
/**
 * y = x w^T with x (tokens, in), w (out, in), y (tokens, out), of any float types. Accumulation is
 * in f32, on the context's threads. y may not overlap x or w.
 */
S24_API s24_status s24_mat_multiply(s24_ctx *ctx, const s24_mat *x, const s24_mat *w,
                                    const s24_mat *y);

#ifdef __cplusplus
}
#endif
#endif
