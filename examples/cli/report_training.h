/* The curves of training in a report. */
#ifndef REPORT_TRAINING_H
#define REPORT_TRAINING_H
#include "job.h"
#include <stdio.h>

/* Nothing where this run has trained nothing. */
void report_training(FILE *out, const job *j);

#endif
