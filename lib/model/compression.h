/* A compression: what was asked, what it works on, what it has found out. */
#ifndef S24M_COMPRESSION_H
#define S24M_COMPRESSION_H
#include "parts.h"
#include "assemble.h"
#include "evaluate.h"
#include "handle.h"
#include "shrink.h"
#include "identity.h"
#include "student.h"
#include "walk.h"

enum { S24M_EVALUATIONS = 16 };

typedef struct evaluated {
    tokens tokens;
    char *name;
    double before, after; /* perplexities; NaN: not measured */
    double hidden;        /* of an encoder in their place: s24m_hidden_error() */
    float *dense;         /* its hidden states before, until they are compared */
} evaluated;

typedef struct needs {
    uint64_t memory, written;
    uint64_t disk; /* at most while it works, the written model included */
    uint64_t base, own, library, measuring, writing, tuning; /* parts of the memory */
    double flops;
    char first[S24M_NAME]; /* matrix that was looked at, and its grid */
    terms grid;
    int ranks; /* matrices with one */
} needs;

/* Seconds that a run is expected to take; NaN: not estimated. */
typedef struct forecast {
    double passes, solves, refinement, own_rows, evaluations;
} forecast;

struct s24_compression {
    uint64_t magic;
    s24_model *handle;
    s24m_model *model;
    s24m_watch watch;
    /* Options: */
    char *constraints, *solver, *options, *recipe; /* "": not set */
    char *own, *chat_start, *open_start, *importance;
    double correct;
    int64_t store, format, activations, heldout, memory_limit, resume; /* words by index */
    int64_t effort, own_length, seed, permute, refine, refine_epochs, tune_epochs;
    double refine_rate, tune_rate;
    char told[64]; /* of a number that was asked for */
    /* What else was given: */
    settings settings; /* its plan from the first rule, the rest from the options for each run */
    s24m_shrink shrink;
    origin origin;
    tokens calibration;
    evaluated evaluations[S24M_EVALUATIONS];
    int evaluated;
    /* A run: */
    const char *out;
    int32_t *ids; /* of the sequences */
    sequences sequences;
    checkpoint checkpoint;
    walk walk;
    s24m_curve *curves;   /* of each block and of the whole: what training met */
    int64_t limit_before; /* of the context */
    uint64_t eval_memory; /* for an evaluation, and for writing rows; 0: no limit */
    bool complete;        /* an earlier run wrote the output, but not all that was asked about it */
    record *records;      /* of all matrices at most */
    int count;
    double divergence[2]; /* of rows kept back, before and after tuning; NaN: there was none */
    double began, seconds, rate; /* rate: operations a second of a large product */
    double walked;               /* seconds of the walk; NaN: it was done by an earlier run */
    double efficiency;
    needs needs; /* of the last estimate or run */
    forecast forecast;
    uint64_t disk_free; /* where the output goes; UINT64_MAX: not known */
};

/* Nobody else is at work on the model; s24m_leave(c->handle) ends that. */
s24_status s24m_compression_enter(s24_compression *c, const char *function);
/* The defaults. */
bool s24m_compression_reset(s24_compression *c);
/* The words of two options. */
void s24m_compression_words(const s24_compression *c, const char **store, const char **format);
/* Whether an output may appear there, or with `resume` is there already, complete. */
bool s24m_job_check_out(const char *out, bool resume, bool *complete);
/* Whether the model is of the kind that a form wants. */
bool s24m_job_check_holder(const s24m_model *model, const origin *o, const form *f);
/* From the options and tokens to the settings of a run. */
bool s24m_job_settle(s24_compression *c);
/* The same of s24_compression_tune(), which has no constraints. */
bool s24m_job_settle_tuning(s24_compression *c);
/* Nothing came of it yet, and c->out is free, or complete. */
bool s24m_job_begin(s24_compression *c);
/* An output that is there answers for nothing but what it was made with. */
bool s24m_job_check_made(const s24_compression *c, const assembly *made);
/* The constraints of a matrix, NULL to leave it alone; and which it is of its block. */
const char *s24m_job_constraints(s24_compression *c, int64_t index, int32_t which);
/* The type of a matrix to be written, and of its values when codes are written. */
int32_t s24m_job_stored(const s24_compression *c, const char *name, const char *constraints);
/* The type that a matrix is decoded from; NULL: it lies in the file as floats. */
const char *s24m_job_source(const s24_compression *c, const char *name);
assembly s24m_job_assembly(s24_compression *c);
/* Every matrix can be solved as asked; what that takes. */
bool s24m_job_needs(s24_compression *c, needs *n);
/* The limit lets them be. */
bool s24m_job_check_memory(const s24_compression *c, const needs *n);
/* There is room for them where the output goes. */
bool s24m_job_check_disk(const s24_compression *c, const needs *n);
/* Check the memory limit and share it out. */
bool s24m_job_limit_memory(s24_compression *c);
/* Before the work: all that can be wrong. */
bool s24m_job_open(s24_compression *c);
/* Of several ranks: what they cannot do together is refused; */
bool s24m_job_check_ranks(const s24_compression *c);
bool s24m_job_check_alone(const s24_compression *c, const char *what);
/* all are to do the same, `asked` and what else was given; */
bool s24m_job_same(s24_compression *c, const char *asked);
/* all see the folder of rank 0, and later the output. Like functions of ranks.h, of all ranks. */
bool s24m_job_share_folder(s24_compression *c, bool done);
bool s24m_job_see_output(s24_compression *c, bool done);
bool s24m_job_run(s24_compression *c);
/* A block's matrices, not solved yet: as many as it has. */
void s24m_job_matrices(s24_compression *c, const s24m_block *block, matrix *m);
/* ---- job_scores.c ---- */

/* Open the scores that are asked for; the solver ranks by them, and needs none that are not
 * there. */
bool s24m_job_settle_scores(s24_compression *c);
/* Of the block's matrices that are compressed, in the order that their channels are in now. */
bool s24m_job_read_scores(s24_compression *c, const s24m_block *block, matrix *m);
/* They are there, of the shape of such a matrix, where any are asked for. */
bool s24m_job_check_scores(const s24_compression *c, const char *name, int64_t rows, int64_t cols);

/* The type in which a vector of the model `from`, a compression, is written. */
int32_t s24m_job_vector_type(void *from, const char *name);
/* What the model writes for tuning beside the rows of the calibration. */
s24m_self s24m_job_further(const s24_compression *c);
/* Tune a model that came of c->model; *tuned: the tensors that were trained, NULL: none. */
bool s24m_job_tune(s24_compression *c, s24m_model *model, const s24m_school *school,
                   s24_file **tuned);
/* The same of the blocks that the run has compressed, if that was asked. */
bool s24m_job_tune_blocks(s24_compression *c, s24_file **tuned);
/* The perplexities of `model`, before or after the run. `adjust` and `arg` as evaluate.h has
 * them. */
bool s24m_job_measure(s24_compression *c, s24m_model *model, bool after,
                      bool (*adjust)(void *arg, s24m_block *block), void *arg);
void s24m_job_close(s24_compression *c, bool done);
/* Forget what came of a run. */
void s24m_job_forget(s24_compression *c);

#endif
