/* What operations work on: where they run, calibration sums, constraints, and a problem made ready.
 * Knows no operation. */
#ifndef S24I_RUN_H
#define S24I_RUN_H
#include "base/element.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/watch.h"
#include "kernels/kernels.h"
#include "ops/linear/range.h"

#define S24I_BLOCK 128 /* columns of one block of the sweep and of the factorisation */

struct s24i_gram;
struct s24i_addition;

/* Where operations run. Arrays that they work on lie where the device says: only operations look
 * into them. */
typedef struct s24i_device {
    const char *name; /* "cpu" */
    s24i_memory *memory;
    s24i_threads *threads;
    const s24i_kernels *kernels;
    const struct s24i_operations *operations; /* made from ops.def */
    void *state;                              /* the device's own */
    /* Frees what it keeps of sums; NULL: it keeps nothing. */
    void (*forget)(const struct s24i_device *device, void *mirror);
    /* Around all use of it: makes it the calling thread's; what was before comes back. NULL: no
     * need. */
    int32_t (*enter)(const struct s24i_device *device);
    void (*leave)(const struct s24i_device *device, int32_t before);
    /* Sums in single precision that it makes itself; NULL: the host does. Rows join a gram and its
     * crosses as s24i_gram_add() says; all that wait go in; and what the host looks into becomes
     * true again: all of it, or (whole false) diagonals, the row of the largest input, and squares
     * of wanted outputs. */
    s24_status (*sums_add)(const struct s24i_device *device, struct s24i_gram *gram,
                           const struct s24i_addition *addition);
    s24_status (*sums_flush)(const struct s24i_device *device, struct s24i_gram *gram);
    s24_status (*sums_fetch)(const struct s24i_device *device, struct s24i_gram *gram, bool whole);
    bool host; /* its arrays are the host's memory: results need no copy */
} s24i_device;

/* One run of a method: where, in which scratch, watched by whom. With a counting arena (base NULL)
 * an operation only takes its scratch and returns: the same code predicts memory and uses it. */
typedef struct s24i_run {
    const s24i_device *device;
    s24i_arena *arena;
    s24i_watch *watch;
} s24i_run;

/* A contiguous f32 matrix as the caller's kind of view. */
static inline s24_mat s24i_view(const float *data, int64_t rows, int64_t cols)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = S24_F32,
                     .device = S24_CPU};
}

/* Of X S with X rows x dim. */
static inline double s24i_product_flops(int64_t rows, int64_t dim)
{
    return 2 * (double)rows * (double)dim * (double)dim;
}

/* Number `place` of the random bits that belong to a seed (Steele, Lea, Flood 2014: SplitMix64). */
static inline uint64_t s24i_mixed(uint64_t seed, uint64_t place)
{
    uint64_t x = seed + (place + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline bool s24i_counting(const s24i_run *run)
{
    return run->arena->base == NULL;
}

/* ---- Calibration sums ---- */

#define S24I_RUN 128 /* consecutive rows that go to the same half */
/* Rows of one half whose products are summed in the accumulator's type before they join the double
 * sums. */
#define S24I_BATCH_ROWS 2048
#define S24I_STRIP 256 /* rows of one stored strip of H */

enum { S24I_FIRST = 1, S24I_SECOND = 2, S24I_BOTH = 3 };

/* One array of rows on its way into sums: the inputs x of a gram, or the outputs t that are wanted
 * of one cross. */
typedef struct s24i_stream {
    int64_t cols;
    int32_t type;               /* S24_F32 or S24_F64 */
    void *batch[2];             /* S24I_BATCH_ROWS x cols */
    double weight[2];           /* sums of the weights of its rows */
    _Atomic int64_t largest[2]; /* of a batch's magnitudes: the bits of a float */
    double unit;                /* what the batch at hand was multiplied with */
    int32_t target;             /* which of an addition's targets it takes; -1: none yet, or x */
    struct s24i_stream *next;
} s24i_stream;

/* Rows on their way into sums: converted, weighted, dealt to two halves, and kept until a half has
 * a full batch, so that sums do not depend on how the caller cuts its batches. */
typedef struct s24i_rows {
    int32_t type; /* S24_F32 or S24_F64 */
    int64_t next; /* running index of the next row */
    int64_t filled[2];
    double count[2]; /* rows of weight above 0 */
    s24i_stream x;   /* those of crosses follow it */
} s24i_rows;

/* Sum of x x^T in two halves: lower triangle in strips of S24I_STRIP rows, strip i of width
 * min(dim, (i + 1) S24I_STRIP), double, zero above the diagonal. */
typedef struct s24i_gram {
    int64_t dim;
    double *half[2];
    uint64_t changes; /* of the sums */
    /* What a device keeps of them beside: set, read and freed by it alone. */
    void *mirror;
    s24i_rows rows;
} s24i_gram;

/* Sum of t x^T (out x in, row-major, double) and of the squares of each output (out) in two halves,
 * over the rows of a gram. */
typedef struct s24i_cross {
    s24i_stream t; /* first: a gram finds its crosses by it */
    int64_t out, in;
    void *mirror; /* as of a gram, whose changes count for it too */
    double *half[2];
    double *norm2[2];
} s24i_cross;

/* ---- What is wanted ---- */

enum { S24I_SCOPE_NONE, S24I_SCOPE_LAYER, S24I_SCOPE_ROW };

enum { S24I_GRID_ASYM, S24I_GRID_SYM, S24I_GRID_REAL };

/* Which values are allowed: see grid.c. */
typedef struct s24i_grid_form {
    int32_t bits; /* 2^bits levels; 0: any value */
    int32_t scheme;
    int64_t group; /* consecutive columns under one scale; 0: all */
} s24i_grid_form;

enum { S24I_UNIT_NONE, S24I_UNIT_COLUMN, S24I_UNIT_HEAD, S24I_UNIT_GROUP };

/* Whole inputs are kept or not: `count` units of equally many consecutive columns. */
typedef struct s24i_units {
    int32_t kind; /* NONE: nothing is asked */
    int64_t count, keep;
} s24i_units;

static inline const char *s24i_unit_name(int32_t kind)
{
    static const char *const names[] = {"", "columns", "heads", "groups"};
    return names[kind];
}

/* The matrix is a product: sparse codes (rows x atoms) times a dictionary (atoms x cols), the rows
 * of codes with so many nonzeros, or n:m. Of 16-bit numbers, and a bit a code for its place. */
typedef struct s24i_factoring {
    bool asked;
    double saved;            /* share of the bytes, where atoms is 0 */
    int64_t atoms, nonzeros; /* atoms 0: the solver's choice */
    int32_t n, m;            /* of the codes; n == 0: none */
} s24i_factoring;

/* What is asked of a solution: first of its support, then of its values, then of what may be added
 * to it. */
typedef struct s24i_constraints {
    int32_t n, m; /* keep n of m; n == 0: none */
    bool both;    /* also down the columns: the transpose obeys n:m too */
    /* So many columns stay whole, n:m holds on the others as if they lay side by side; which,
     * rising, in memory of the host: of what is checked, NULL else. */
    int64_t dense;
    const int32_t *dense_at;
    int64_t blocks; /* n:m is that of a core between block-diagonal matrices; 0: none */
    int32_t scope;  /* of the sparsity */
    double sparsity;
    s24i_units units;
    const uint8_t *mask; /* fixed support, rows x cols, or NULL */
    s24i_grid_form grid;
    /* a product U V of at most this rank comes on top; 0: none. Alone: the product is all there
     * is */
    int64_t rank;
    s24i_factoring dictionary;
} s24i_constraints;

/* Some weights have to be zero. */
static inline bool s24i_has_support(const s24i_constraints *constraints)
{
    return constraints->n || constraints->scope || constraints->units.kind || constraints->mask;
}

/* Zeros are chosen over the whole layer, so that rows depend on each other. */
static inline bool s24i_over_layer(const s24i_constraints *constraints)
{
    return !constraints->mask && !constraints->n && constraints->scope == S24I_SCOPE_LAYER;
}

/* So many rows at a time depend on each other, unless zeros are chosen over the whole layer. */
static inline int64_t s24i_tied_rows(const s24i_constraints *constraints)
{
    return constraints->both && !constraints->mask ? constraints->m : 1;
}

/* ---- The problem made ready ---- */

/* TRANSFER: relative, by what travels to other text than the rows' (docs/model.md): 0.1 of a
 * support, 0.2 of a grid or a rank. */
enum { S24I_DAMP_AUTO, S24I_DAMP_RELATIVE, S24I_DAMP_MEAN, S24I_DAMP_TRANSFER, S24I_DAMP_MIXED };

typedef struct s24i_damping {
    int32_t rule;
    /* relative to each diagonal entry, to the mean of the diagonal, or (MIXED) to their sum */
    double value;
    double divisor; /* of AUTO's winner (docs/numerics.md); 0 is 1 */
} s24i_damping;

/* A matrix as prepare() reads it. */
typedef struct s24i_matrix {
    int64_t rows, cols;
    const s24i_gram *gram;   /* NULL: H = identity */
    const s24i_cross *cross; /* NULL: aim at W */
    double blend;
    s24i_constraints constraints;
} s24i_matrix;

/*
 * The matrix in unit-diagonal coordinates: S = diag(inverse) (H + Delta) diag(inverse) with unit
 * diagonal, S = R R^T, and W diag(scale), whose common unit keeps the largest of it (and of wanted
 * outputs) in the range of single precision. Dead inputs (H_jj <= 1e-12 of the largest) have S_jj =
 * 1, nothing beside it, scale 1 in that unit.
 */
typedef struct s24i_prepared {
    int64_t dim;
    double unit;     /* a power of two, 1 unless numbers are far from it */
    double plain;    /* another: plain scale_j is near 1 where unit scale_j need not be */
    double *scale;   /* dim: unit sqrt(H_jj + Delta_j), its digits those of a float */
    double *inverse; /* dim: 1 / sqrt(H_jj + Delta_j), 0 for dead inputs */
    float *share;    /* dim: Delta_j / (H_jj + Delta_j) */
    uint8_t *dead;   /* dim */
    float *s;        /* dim x dim */
    float *r;        /* dim x dim, upper */
    float *inv_diag; /* dim x S24I_BLOCK */
    double damp;     /* what was used after the ladder */
    int32_t climbs;  /* times the damping was multiplied by ten */
    double heldout; /* relative error on the other half where the two-halves rule chose, else NAN */
    double largest, wanted; /* of |W|, and |T| of one output: what the unit is chosen by */
} s24i_prepared;

/* What a step is to come near to: rows of the aim in unit-diagonal coordinates, under the
 * constraints. */
typedef struct s24i_target {
    const s24i_prepared *prepared;
    const s24i_constraints *constraints;
    const float *w; /* rows x dim */
    int64_t rows;
} s24i_target;

#endif
