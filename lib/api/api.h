/*
 * The objects behind the public handles, and how public functions enter, check and leave. Knows
 * every layer below; does no arithmetic on matrices itself.
 *
 * A public function checks its handles, works in a static function that returns a status with a
 * text, and ends with s24i_done(), which puts the function's name in front of that text.
 */
#ifndef S24I_API_H
#define S24I_API_H
#include "base/error.h"
#include "base/handle.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/number.h"
#include "base/options.h"
#include "ops/backend.h"
#include "pack/pack.h"
#include "solvers/solver.h"
#include <sparse24/sparse24.h>

/* ---- Objects (object.c) ---- */

/* The head of every object but the context. The caller's handle is one reference; others are the
 * library's own. `handle` dies with the caller's reference, so that a destroyed handle is noticed
 * for as long as anything keeps the object. */
typedef struct s24i_object {
    s24i_handle handle;
    _Atomic int64_t references;
    s24_ctx *ctx;
} s24i_object;

/* One reference, and one to the context. */
void s24i_object_init(s24i_object *object, uint32_t magic, s24_ctx *ctx);
void s24i_object_retain(s24i_object *object);
/* True for the last reference: the caller frees the object, then releases the context. */
bool s24i_object_drop(s24i_object *object);

/* S24_E_ARG and a text naming the argument unless `object` is a living handle of this kind. */
s24_status s24i_check_handle(const void *object, uint32_t magic, const char *argument);
/* S24_E_ARG and a text naming the argument when the pointer is NULL. */
s24_status s24i_check_pointer(const void *pointer, const char *argument);
/* S24_OK, or the status after its text got "function: " in front. */
s24_status s24i_done(const char *function, s24_status status);

/* ---- Context (context.c, log.c) ---- */

typedef struct s24i_ctx_options {
    int64_t threads, memory_limit, log_level, hold_blas;
    s24i_word isa;
} s24i_ctx_options;

#define S24I_DEVICE_TEXT 1024 /* room for the option device */

/* A library that brings a device, while it is loaded (device.c). */
typedef struct s24i_plug {
    bool open;
    void *library;
    const s24i_backend *backend;
    s24i_device device;
    char text[S24I_DEVICE_TEXT]; /* the option */
} s24i_plug;

/* "cpu" opens nothing. S24_E_OPTION: no such text; S24_E_BACKEND, S24_E_MEMORY: it cannot be
 * had. */
s24_status s24i_plug_open(s24_ctx *ctx, const char *text, s24i_plug *plug);
void s24i_plug_close(s24i_plug *plug);
/* Around all use of the context's device, which works for one call at a time. Nothing on the
 * CPU. */
int32_t s24i_device_enter(s24_ctx *ctx);
void s24i_device_leave(s24_ctx *ctx, int32_t before);

struct s24_ctx {
    s24i_handle handle;
    _Atomic int64_t references;
    s24i_memory memory;
    s24i_threads threads;
    s24i_kernels kernels;
    s24i_device cpu;           /* of all that the host looks into: sums, checks, losses */
    const s24i_device *device; /* of solvers */
    s24i_plug plug;            /* what brought it, unless it is the CPU */
    s24i_lock plug_lock;       /* of its use */
    s24i_lock lock;            /* of `running` and of all below */
    int64_t running; /* calls in work: nothing below changes meanwhile, so they need no lock */
    s24i_option_set options;
    s24i_ctx_options values;
    s24_log_fn log;
    void *log_user;
    _Atomic bool blas_told; /* the warning about OpenBLAS's kernels was given */
};

void s24i_ctx_retain(s24_ctx *ctx); /* object.c */
void s24i_ctx_release(s24_ctx *ctx);
/* Around all work: keeps the context and its options as they are, and holds BLAS. Nests.
 * S24_E_MEMORY: this thread must not call BLAS; s24i_leave() has to follow all the same. */
s24_status s24i_enter(s24_ctx *ctx);
void s24i_leave(s24_ctx *ctx);

/* One stage of work over an arena; must do the same takes while it only counts. */
typedef s24_status (*s24i_stage_fn)(void *arg, const s24i_run *run);
/* Run a stage in an arena of exactly its size. */
s24_status s24i_in_arena(s24_ctx *ctx, s24i_stage_fn stage, void *arg);
/* The same on the context's device. */
s24_status s24i_on_device(s24_ctx *ctx, s24i_stage_fn stage, void *arg);

void s24i_log(s24_ctx *ctx, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Log, once a context, that OpenBLAS runs slower kernels than the processor could. */
void s24i_warn_blas(s24_ctx *ctx);

/* ---- Views (mat.c) ---- */

enum { S24I_ANY_TYPE, S24I_FLOAT_TYPE, S24I_MASK_TYPE, S24I_TYPES = 15, S24I_ON_DEVICE = 16 };
/* Floats that may lie on the context's device, if it has one. */
#define S24I_FLOATS_OF(ctx) (S24I_FLOAT_TYPE | ((ctx)->device->host ? 0 : S24I_ON_DEVICE))

/* Everything that can be wrong with a view without reading the data; texts call it `what`. */
s24_status s24i_check_mat(const s24_mat *mat, const char *what, int32_t accept);
s24_status s24i_check_shape(const s24_mat *mat, const char *what, int64_t rows, int64_t cols);
/* S24_E_NONFINITE, or S24_E_ARG for a negative value where none is allowed, names the first
 * place. */
s24_status s24i_check_values(s24_ctx *ctx, const s24_mat *mat, const char *what, bool non_negative);
s24_status s24i_check_dim(int64_t dim, const char *what);
/* A weight sum that someone hands in. */
s24_status s24i_check_sum(double value, const char *what);
/* S24_E_ARG when elements of `out` lie on each other, or on those of `in`; `in_place`: it may be
 * the same matrix. */
s24_status s24i_check_apart(const s24_mat *out, const char *out_name, const s24_mat *in,
                            const char *in_name, bool in_place);
/* Rows [row, row + count) of a view. */
s24_mat s24i_mat_rows(const s24_mat *mat, int64_t row, int64_t count);
/* s24_mat_copy() after the checks of its handle. */
s24_status s24i_copy_mat(s24_ctx *ctx, const s24_mat *src, const s24_mat *dst);
s24_mat s24i_mat_plain(void *data, int64_t rows, int64_t cols, int32_t dtype);

/* ---- Files (file.c) ---- */

/* Either a reader or a writer (lib/io). */
struct s24_file {
    s24i_object object;
    struct s24i_reader *reader;
    struct s24i_writer *writer;
};

s24_status s24i_check_reader(const s24_file *file, const char *name);
s24_status s24i_check_writer(const s24_file *file);

/* ---- Calibration sums (gram.c, cross.c) ---- */

struct s24_gram {
    s24i_object object;
    s24i_lock lock; /* of all below while nobody reads, and of the crosses' place on it */
    int64_t readers;
    uint64_t version; /* grows with every change */
    bool lost;        /* the host's runner failed in the middle of a change */
    int64_t before;   /* rows in the sums when the work at hand began */
    s24i_gram sums;
};

struct s24_cross {
    s24i_object object;
    s24_gram *gram; /* retained; its lock, readers and version are the cross's too */
    s24i_cross sums;
};

#define S24I_MAX_DIM 16777216 /* far beyond memory, and its square is no problem to int64_t */

/* Take the lock to change the sums, as work in the context: S24_E_STATE, and no lock, while someone
 * reads or when they are lost. */
s24_status s24i_gram_change(s24_gram *gram);
/* Drop it; the status of the change, which it gives back. */
s24_status s24i_gram_changed(s24_gram *gram, s24_status status);
/* S24_E_STATE as above; brings all of it to the host, where changes are made. */
s24_status s24i_gram_change_here(s24_gram *gram);
/* Read the sums of both halves, and of the crosses, all rows in, between open and close. Several
 * may at once. Closing NULL is nothing. */
s24_status s24i_gram_open(s24_gram *gram);
/* The same for work on the context's device: the host sees what s24i_device.sums_fetch() brings
 * when it is not asked for all. */
s24_status s24i_gram_open_there(s24_gram *gram);
void s24i_gram_close(s24_gram *gram);
void s24i_gram_release(s24_gram *gram);
void s24i_cross_release(s24_cross *cross);

double s24i_rows_weight(const s24i_rows *rows);
/* Sums of weights that were added in any order. */
bool s24i_same_count(double a, double b);
/* half is 1 or 2, and mat holds floats of that shape. */
s24_status s24i_check_half(int32_t half, const s24_mat *mat, const char *what, int64_t rows,
                           int64_t cols);

/* ---- Problem (problem.c, loss.c, constraints.c) ---- */

#define S24I_CONSTRAINTS_TEXT 160

/* A number that stays true while the gram does not change. */
typedef struct s24i_cached {
    bool valid;
    uint64_t version; /* of the gram */
    double value;
} s24i_cached;

struct s24_problem {
    s24i_object object;
    s24_mat w;
    s24_gram *gram;   /* retained; NULL: H = identity */
    s24_cross *cross; /* retained, or NULL; in use with its own gram only */
    double blend;
    s24i_constraints constraints;     /* its mask is NULL: see below */
    s24_mat mask;                     /* data NULL: none */
    s24_mat importance;               /* data NULL: none */
    s24i_previous previous;           /* its w.data NULL: none */
    _Atomic int32_t solves;           /* that run on it: nothing above changes meanwhile */
    s24i_lock lock;                   /* of the cache and the text */
    s24i_cached norm;                 /* tr(W H W^T) */
    char text[S24I_CONSTRAINTS_TEXT]; /* of the constraints */
    ;
};

void s24i_problem_release(s24_problem *problem);

/* A problem whose sums are open for reading. */
typedef struct s24i_reading {
    const s24_problem *problem;
    s24_gram *gram;
    s24_cross *cross;
} s24i_reading;

/* S24_E_STATE with `target` when the problem has none, or no gram. */
s24_status s24i_reading_open(s24i_reading *reading, const s24_problem *problem, bool target);
/* The same for work on the device (s24i_gram_open_there()). */
s24_status s24i_reading_open_there(s24i_reading *reading, const s24_problem *problem, bool target);
void s24i_reading_close(s24i_reading *reading);
/* S24_E_STATE: no calibration rows yet, or the target saw other rows than the gram. S24_E_NUMERIC:
 * the sums leave the range of double, or are all zero. */
s24_status s24i_reading_check(const s24i_reading *reading);
#define S24I_WARNING_TEXT 192
/* For solvers that look at the inputs: why a layer fitted to these rows may do badly on others,
 * or "". */
void s24i_reading_warn(const s24i_reading *reading, char text[S24I_WARNING_TEXT]);
/* Loss of v against W and the norm it is relative to; the latter is remembered in the problem. A
 * stage of work in ctx. */
s24_status s24i_reading_loss(const s24i_reading *reading, const s24i_run *run, const s24_mat *v,
                             double *loss, double *norm);
s24_status s24i_reading_target_loss(const s24i_reading *reading, const s24i_run *run,
                                    const s24_mat *v, double *loss, double *norm);
/* loss / norm, where nothing wanted and nothing lost is 0. */
double s24i_relative(double loss, double norm);
/* The problem's mask as contiguous bytes, each 0 or 1. */
s24_status s24i_problem_mask(const s24_problem *problem, s24_ctx *ctx, uint8_t *mask);

/* Its type and shape. */
s24_status s24i_check_candidate(const s24_problem *problem, const s24_mat *candidate);

/* A candidate, or all that a solver made, to be held against the constraints (check.c). */
typedef struct s24i_check {
    const s24_problem *problem;
    s24_ctx *ctx;
    const char *name; /* of the weights, in texts */
    const s24_mat *weights;
    const s24_mat
        *mask; /* that must cover them; NULL: a candidate, of which nothing else is known */
    const s24i_part *parts;
    int32_t part_count;
} s24i_check;

/* What the grid and the rank say about the parts. A stage of work in ctx. */
s24_status s24i_check_parts(const s24i_check *check, const s24i_run *run);
/* The part "dense" of a result; NULL: there is none, or nothing is known of a candidate. */
const int32_t *s24i_dense_places(const s24i_check *check);
/* The matrix that support and grid are about: the part "sparse" if there is one, else the weights;
 * NULL when a rank is all there is. */
const s24_mat *s24i_check_subject(const s24i_check *check);

/* Replace everything but the mask; untouched on failure. `cols` must be a multiple of m, of n:mt
 * `rows` too. */
s24_status s24i_constraints_parse(const char *text, int64_t rows, int64_t cols,
                                  s24i_constraints *constraints);
s24_status s24i_check_constraints(int64_t n, int64_t m, int64_t cols);
s24_status s24i_check_sparsity(double sparsity);
s24_status s24i_check_grid(int64_t bits, int64_t group);
s24_status s24i_check_rank(int64_t rank);
/* "asym", "sym", "real", or -1. */
int32_t s24i_grid_scheme(const char *word);
/* What a text that is no constraints was meant to be, as such a text; false: nobody knows. */
bool s24i_constraints_meant(const char *text, char out[S24I_CONSTRAINTS_TEXT]);
/* Canonical text: "2:4", "2:4t", "2:4 dense 68", "70%", "row 70%", "int4 sym g64", "rank 8",
 * "mask", joined by "+"; "" for none. */
void s24i_constraints_text(const s24i_constraints *constraints, bool mask,
                           char out[S24I_CONSTRAINTS_TEXT]);
/* S24I_HAS_... bits of what is asked. */
uint32_t s24i_constraints_bits(const s24i_constraints *constraints, bool mask);
/* Does the solver honour exactly these? If not, S24_E_UNSUPPORTED names one constraint and the
 * solvers that do. No constraint at all is S24_E_STATE. */
s24_status s24i_check_honoured(const s24i_solver_class *class, uint32_t bits);
/* The solver to take when none was chosen. */
const char *s24i_default_solver(uint32_t bits);

/* ---- Solver (solver.c, solve.c) ---- */

#define S24I_VALUES 512 /* room for any solver's options */

struct s24_solver {
    s24i_object object;
    const s24i_solver_class *class;
    s24i_option_set options;
    s24_progress_fn progress;
    void *progress_user;
    _Atomic int32_t cancel;
    _Atomic int32_t busy;
    _Alignas(16) char values[S24I_VALUES];
};

void s24i_solver_release(s24_solver *solver);
/* The value of a number option by this name, or `fallback` when the solver has none. */
double s24i_solver_number(const s24_solver *solver, const char *option, double fallback);

/* ---- Packed matrix (packed.c) ---- */

struct s24_packed {
    s24i_object object; /* retained by its products */
    s24i_packing packing;
    bool borrowed; /* the parts are the caller's */
};

s24i_pack_tools s24i_pack_tools_of(s24_ctx *ctx);
/* "ri16x32:bf16", "window24:4": layout, number (0 for none), and the type that the weights are
 * rounded to, 0 for none. */
s24_status s24i_layout_parse(const char *text, s24i_packing *packing);
void s24i_packed_release(s24_packed *packed);
/* What is multiplied: types, shapes, and that y lies apart from x. */
s24_status s24i_check_product(const s24_packed *packed, const s24_mat *x, const s24_mat *y);

/* ---- Result (result.c) ---- */

struct s24_result {
    s24i_object object;
    s24_mat weights, mask; /* own their data, as parts do */
    s24i_part parts[S24I_MOST_PARTS];
    int32_t part_count;
    int64_t rows, cols, nnz, zeros, iterations, swaps, threads, peak_bytes;
    double loss, relative_loss, target_relative_loss, heldout_relative_loss, damp_used;
    double calibration_rows, residual, flops, seconds;
    const char *solver, *stop, *blas, *isa; /* static storage */
    /* In the arrays and texts below; the first two may be NULL. */
    const char *damp_rule, *warning, *constraints, *options, *record;
    bool has_target;
    s24i_grid_form grid; /* of the codes; 0 bits: there are none */
    char damp_word[S24I_WORD];
    char warning_text[S24I_WARNING_TEXT];
    char constraints_text[S24I_CONSTRAINTS_TEXT];
    s24i_text options_text, record_text;
};

/* All the bytes of the result of this job. */
size_t s24i_result_bytes(const s24i_job *job);
/* With the parts that the job asked for, zeros. */
s24_status s24i_result_create(s24_ctx *ctx, const s24i_job *job, s24_result **out);
/* Write the record from the numbers and texts that are there. */
s24_status s24i_result_record(s24_result *result);

#endif
