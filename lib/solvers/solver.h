/*
 * What a solver is: facts, options, and one function over a job. Knows ops; not handles, files or threads. Each solver is one file that
 * defines `const s24i_solver_class s24i_solver_<name>` and one word in meson.build.
 */
#ifndef S24I_SOLVER_H
#define S24I_SOLVER_H
#include "base/options.h"
#include "ops/ops.h"

/* Constraints, as bits: what a problem asks, what a solver honours. */
enum {
    S24I_HAS_PATTERN = 1, /* n:m */
    S24I_HAS_SPARSITY = 2,
    S24I_HAS_MASK = 4,
    S24I_HAS_GRID = 8,
    S24I_HAS_RANK = 16,
    S24I_HAS_SUPPORT = S24I_HAS_PATTERN | S24I_HAS_SPARSITY | S24I_HAS_MASK,
};

/* A matrix of the result beside weights and mask. */
typedef struct s24i_part {
    const char *name; /* static storage */
    s24_mat mat;      /* contiguous, owned by the result */
} s24i_part;

enum { S24I_MOST_PARTS = 8 };

/* One solve. With a counting arena (memory prediction) solve() only runs its layout: w, v, mask and importance are not to be looked into,
 * but are NULL only where they will be. */
typedef struct s24i_job {
    const s24i_ops *ops;
    s24i_arena *arena;
    s24i_watch *watch;
    s24i_layer layer; /* shape, gram, target, constraints; layer.pattern.mask is contiguous */
    float *w;         /* rows x cols: the weights; the solver may overwrite it */
    const s24_mat *importance; /* rows x cols, or NULL */
    int64_t row_block; /* where rows do not see each other, take so many at once: memory is short */
    float *v;          /* out: rows x cols, the solution */
    uint8_t *mask;     /* out: rows x cols, 1 = kept */
    /* For the record: */
    const char
        *damp_rule; /* "auto", "relative", "mean"; stays NULL when the solver has no damping */
    double damp_used, heldout; /* NAN until set */
    double residual;           /* the solver's own measure of being done; NAN if it has none */
    int64_t iterations;
    int64_t swaps;  /* exchanges of kept for pruned weights at the end */
    bool converged; /* false: max_iter ended it */
    /* By s24i_job_part(); `mat.data` is there from the start of the real run on. */
    s24i_part parts[S24I_MOST_PARTS];
    int32_t part_count;
} s24i_job;

/*
 * The next part of the result, zeros to be filled in: a solver asks for the same ones, in the same order, in both runs. Names that the
 * library knows and checks (docs/formats.md): "codes", "scales" and "zeros" of a grid; "sparse", "lowrank_u" and "lowrank_v" of a rank.
 */
static inline void *s24i_job_part(s24i_job *job, const char *name, int64_t rows, int64_t cols,
                                  int32_t dtype)
{
    s24i_part *part = &job->parts[job->part_count++];
    if (s24i_counting(job->arena)) {
        part->name = name;
        part->mat = s24i_view((const float *)job->v, rows, cols);
        part->mat.dtype = dtype;
    }
    return part->mat.data;
}

typedef struct s24i_solver_class {
    const char *name;
    const char *title, *constraints, *paper, *cost; /* s24_solver_fact() */
    uint32_t honours;
    uint32_t needs;             /* at least one of these must be set; 0: any that it honours */
    bool blind;                 /* never looks at the inputs */
    bool unconstrained;         /* may run without any: the support of w is what is kept */
    bool combines;              /* may a pattern or a sparsity come with a mask */
    const s24i_option *options; /* ended by name == NULL */
    const s24i_preset *presets; /* or NULL */
    size_t values_size;         /* of the options struct */
    /* `values` is the options struct in force. Cancelled before anything feasible exists: S24_E_CANCELLED. */
    s24_status (*solve)(s24i_job *job, const void *values);
} s24i_solver_class;

/* Ended by NULL; made from the list in meson.build. */
extern const s24i_solver_class *const s24i_solvers[];

#endif
