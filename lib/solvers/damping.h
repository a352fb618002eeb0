/*
 * The two damping options that every solver with H has, under the same names. Knows option rows
 * only.
 */
#ifndef S24I_DAMPING_H
#define S24I_DAMPING_H
#include "solver.h"

/*
 * Rows for the fields `s24i_word damp_rule; double damp;` of struct values. The choices are in the
 * order of S24I_DAMP_AUTO and on.
 */
#define S24I_DAMPING_OPTIONS(type)                                                                \
    S24I_OPTION_STR(type, damp_rule, "auto|relative|mean|transfer", "auto",                       \
                    "how the damping is chosen; auto: on two halves of the rows; relative: damp " \
                    "times each diagonal entry; mean: damp times their mean; transfer: 0.1, or "  \
                    "0.2 with a grid or a rank, relative, for use on other text"),                \
        S24I_OPTION_FLOAT(type, damp, 0, 100, "0.01", "damping of damp_rule=relative and mean")

/* What the record says about it. */
static inline void s24i_report_damping(s24i_job *job, const char *rule,
                                       const s24i_prepared *prepared)
{
    job->damp_rule = rule;
    job->damp_used = prepared->damp;
    job->heldout = prepared->heldout;
}

#endif
