/* What a compression was asked to do, the same for every matrix. */
#ifndef SETTINGS_H
#define SETTINGS_H
#include "curve.h"
#include "forms.h"
#include "plan.h"
#include "ranks.h"
#include "scores.h"
#include "self.h"
#include "watch.h"

typedef struct settings {
    s24_ctx *ctx;
    s24m_watch *watch;
    s24m_ranks *ranks;  /* that share the work; NULL: this process alone */
    const char *solver; /* NULL: of each matrix by its constraints */
    const char *options;
    const char *preset; /* of solvers that have it, unless options name one; NULL: their own */
    int32_t store; /* type of the written matrices: S24_F32, S24_F16, S24_BF16; 0: each its own */
    const form *form; /* in which it is written */
    double correct;   /* share of the dense model's outputs in what is aimed at; 0: none */
    int keep;         /* KEEP_... of activations.h */
    int blocks;       /* of the model */
    plan plan;
    bool permute; /* inner channels, so that n:m loses less */
    int64_t rows; /* of the calibration, those that can differ from each other; 1: one token only */
    bool refine;  /* blocks, once they are solved */
    double refine_rate;    /* relative to the root mean square of each parameter */
    int64_t refine_epochs; /* 0: by the number of rows */
    bool tune;             /* the whole model, behind all blocks */
    double tune_rate;      /* the same of that */
    int64_t tune_epochs;
    s24m_scores scores; /* by which a solver ranks weights */
    double samples;     /* rows of the calibration, by their weights */
    s24m_curve *curves; /* of each block and of the whole: what training met; NULL: not kept */
    s24m_self self;     /* its rows are the last of the calibration */
} settings;

#endif
