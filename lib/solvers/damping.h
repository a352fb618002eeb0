/* The two damping options that every solver with H has, under the same names. Knows option rows only. */
#ifndef S24I_DAMPING_H
#define S24I_DAMPING_H
#include "solver.h"
#include <string.h>

/* Rows for the fields `char damp_rule[S24I_WORD]; double damp;` of struct values. */
#define S24I_DAMPING_OPTIONS(type)                                                                 \
    S24I_OPTION_STR(type, damp_rule, "auto|relative|mean", "auto",                                 \
                    "damping: chosen on two halves of the rows, relative to each diagonal entry, " \
                    "or to their mean"),                                                           \
        S24I_OPTION_FLOAT(type, damp, 0, 100, "0.01", "damping of damp_rule=relative and mean")

static inline s24i_damping s24i_damping_of(const char *rule, double value)
{
    int32_t kind = strcmp(rule, "auto") == 0    ? S24I_DAMP_AUTO
                   : strcmp(rule, "mean") == 0  ? S24I_DAMP_MEAN
                   : strcmp(rule, "mixed") == 0 ? S24I_DAMP_MIXED
                                                : S24I_DAMP_RELATIVE;
    return (s24i_damping){.rule = kind, .value = value};
}

static inline int32_t s24i_refit_method(const char *method)
{
    return strcmp(method, "exact") == 0 ? S24I_REFIT_EXACT
           : strcmp(method, "cg") == 0  ? S24I_REFIT_CG
                                        : S24I_REFIT_AUTO;
}

/* What the record says about it. */
static inline void s24i_report_damping(s24i_job *job, const char *rule,
                                       const s24i_prepared *prepared)
{
    job->damp_rule = rule;
    job->damp_used = prepared->damp;
    job->heldout = prepared->heldout;
}

#endif
