/* One run of sparse24 compress: what was asked, what it works on, what it has found out. */
#ifndef JOB_H
#define JOB_H
#include "args.h"
#include "assemble.h"
#include "evaluate.h"
#include "identity.h"
#include "walk.h"

typedef struct job {
    const args *a;
    settings settings;
    origin origin;
    s24m_model *model;
    tokens calib, eval[ARGS_LIST];
    sequences sequences;
    int32_t *ids; /* of the sequences */
    double before[ARGS_LIST], after[ARGS_LIST];
    checkpoint checkpoint;
    walk walk;
    char **records; /* layers * S24M_LINEARS at most */
    int count;
    uint64_t eval_memory; /* for an evaluation; 0: no limit */
    double began, rate;   /* rate: operations a second of a large product */
    double walked;        /* seconds of the walk; NaN: it was done by an earlier run */
    double efficiency;
    bool complete; /* an earlier run wrote the output, but not all that was asked about it */
} job;

/* Before the work: all that can be wrong. */
bool job_open(job *j);
assembly job_assembly(const job *j);
/* The constraints of a matrix, NULL to leave it alone; and which it is of its block. */
const char *job_constraints(job *j, int64_t index, int32_t which);
const char *job_kind(int32_t which);
/* Every matrix can be solved as asked; check --memory-limit and share it out. */
bool job_limit_memory(job *j);
/* Print what came out and write the page: also what was measured before something failed. */
bool job_tell(const job *j);
void job_close(job *j, bool done);

#endif
