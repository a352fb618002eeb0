/*
 * What a solver is: facts, options, and one function over a job. Knows ops; not handles, files or
 * threads. Each solver is one file that defines `const s24i_solver_class s24i_solver_<name>` and
 * one word in meson.build.
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
    S24I_HAS_BOTH = 32,   /* n:m along both sides; comes with S24I_HAS_PATTERN */
    S24I_HAS_UNITS = 64,  /* whole columns */
    S24I_HAS_DENSE = 128, /* columns that stay whole; comes with S24I_HAS_PATTERN */
    S24I_HAS_DICTIONARY = 256,
    S24I_HAS_BLOCKS = 512, /* around n:m; comes with S24I_HAS_PATTERN */
    S24I_HAS_SUPPORT = S24I_HAS_PATTERN | S24I_HAS_SPARSITY | S24I_HAS_MASK,
};

/* A matrix of the result beside weights and mask. */
typedef struct s24i_part {
    const char *name; /* static storage */
    s24_mat mat;      /* contiguous, owned by the result */
} s24i_part;

/* The matrix whose outputs are the inputs of this one, as the caller lends it. */
typedef struct s24i_previous {
    s24_mat w;            /* cols x its own inputs; data NULL: not known */
    const double *scores; /* of its inputs, or NULL */
    const double *norms;  /* of its outputs, or NULL */
} s24i_previous;

enum { S24I_MOST_PARTS = 8 };

/* One solve. Arrays lie on the device of the run: a solver hands them to operations and looks into
 * none. While memory is predicted every operation only takes its scratch and every phase stops
 * after its first step, so the same code runs both ways. */
typedef struct s24i_job {
    const s24i_run *run;
    s24i_matrix
        matrix; /* shape, gram, target, constraints; matrix.constraints.mask is contiguous */
    float *w;   /* rows x cols: the weights; the solver may overwrite it */
    const s24_mat *importance;     /* rows x cols, or NULL */
    const s24i_previous *previous; /* or NULL */
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
 * The next part of the result, to be filled in wholly: a solver asks for the same ones, in the same
 * order, in both runs. Names that the library knows and checks (docs/formats.md): "codes", "scales"
 * and "zeros" of a grid; "sparse", "lowrank_u" and "lowrank_v" of a rank; "dense" of n:m beside
 * dense columns; "coefficients" and "dictionary".
 */
static inline const s24_mat *s24i_job_part(s24i_job *job, const char *name, int64_t rows,
                                           int64_t cols, int32_t dtype)
{
    s24i_part *part = &job->parts[job->part_count++];
    if (s24i_counting(job->run)) {
        part->name = name;
        part->mat = s24i_view((const float *)job->v, rows, cols);
        part->mat.dtype = dtype;
    }
    if (!job->run->device->host) { /* the result's own array gets a copy in the end */
        void *array =
            s24i_arena_take(job->run->arena, (size_t)(rows * cols), (size_t)s24i_dtype_size(dtype));
        part->mat.data = array ? array : job->v;
    }
    return &part->mat;
}

/* The aim under the problem's constraints. */
static inline s24i_target s24i_job_target(const s24i_job *job, const s24i_prepared *prepared)
{
    return (s24i_target){prepared, &job->matrix.constraints, job->w, job->matrix.rows};
}

static inline int64_t s24i_job_size(const s24i_job *job)
{
    return job->matrix.rows * job->matrix.cols;
}

/* job->mask: the problem's, or all ones. */
static inline s24_status s24i_keep_given(s24i_job *job)
{
    return s24i_support_of(job->run, job->matrix.constraints.mask, NULL, s24i_job_size(job),
                           job->mask);
}

/* What the options scales and factors choose: "f32|f16|bf16". */
static inline int32_t s24i_stored_type(s24i_word word)
{
    static const int32_t types[] = {S24_F32, S24_F16, S24_BF16};
    return types[word.index];
}

typedef struct s24i_solver_class {
    const char *name;
    const char *title, *constraints, *paper, *cost; /* s24_solver_fact() */
    uint32_t honours;
    uint32_t needs;             /* at least one of these must be set; 0: any that it honours */
    bool blind;                 /* never looks at the inputs */
    bool still;                 /* what is kept keeps its value: columns that stay whole do too */
    bool unconstrained;         /* may run without any: the support of w is what is kept */
    bool combines;              /* may a pattern or a sparsity come with a mask */
    const s24i_option *options; /* ended by name == NULL */
    const s24i_preset *presets; /* or NULL */
    size_t values_size;         /* of the options struct */
    /* `values` is the options struct in force. Cancelled before anything feasible exists:
     * S24_E_CANCELLED. */
    s24_status (*solve)(s24i_job *job, const void *values);
} s24i_solver_class;

/* The class on a problem with columns that stay whole (dense.c): they are chosen, and the others
 * are a problem of n:m of their own. */
s24_status s24i_solve_dense(const s24i_solver_class *class, s24i_job *job, const void *values);

/* Ended by NULL; made from the list in meson.build. */
extern const s24i_solver_class *const s24i_solvers[];

#endif
