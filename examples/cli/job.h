/* One run of sparse24 compress or tune as the command line asked for it, and what is told of it. */
#ifndef JOB_H
#define JOB_H
#include "args.h"
#include <sparse24/model.h>
#include <sparse24/sparse24.h>

enum { JOB_SOURCES = 120 };

typedef struct job {
    const args *a;
    s24_ctx *ctx;
    s24_model *model;
    s24_compression *work;
    double began;
} job;

/* The context, the model that the rows are for, a compression of it that is watched. */
bool job_open(job *j, const char *model);
void job_close(job *j);
/* A number as it was typed, NULL: none; the library reads and judges it. */
s24_status job_set_number(s24_compression *c, const char *name, const char *value);
/* Do it, while signals can stop it. */
bool job_run(const job *j, s24_status (*work)(const job *j));
/* A number that came of the run, NaN if there is none; and of a matrix. */
double job_number(const job *j, const char *name, int index);
double job_matrix_number(const job *j, int matrix, const char *name);
/* "" if there is none. */
const char *job_matrix_text(const job *j, int matrix, const char *name);
/* The types that matrices were decoded from, in their order; "" if all were of floats. */
void job_sources(const job *j, char out[JOB_SOURCES]);
/* The page that --report names is no input of this run, and can be written. */
bool job_check_report(const job *j);
/* The rows that it is calibrated and measured on. */
bool job_add_tokens(job *j);
/* Print what came out and write the page: also what was measured before something failed. */
bool job_tell(const job *j);
/* Print what s24_compression_estimate() found. */
void job_tell_plan(const job *j);

#endif
