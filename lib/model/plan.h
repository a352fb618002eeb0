/* What to do with each matrix of a model: constraints for all, overridden by rules for some, and
 * matrices to leave alone. Knows names, not weights. */
#ifndef PLAN_H
#define PLAN_H
#include <stdbool.h>

enum { PLAN_RULES = 64 };

typedef struct rule {
    char *pattern;     /* as for a shell's file names */
    char *constraints; /* NULL: leave it alone */
    bool used;
} rule;

typedef struct plan {
    const char *constraints;
    rule rules[PLAN_RULES]; /* the last that matches counts */
    int count;
} plan;

/* "PATTERN=CONSTRAINTS" */
bool s24m_plan_add_rule(plan *p, const char *text);
bool s24m_plan_add_skip(plan *p, const char *pattern);
/* The constraints of a matrix known by several names, ended by NULL; the result is NULL if it is to
 * be left alone. A pattern may match any of them, with or without ".weight". */
const char *s24m_plan_constraints(plan *p, const char *const *names);
/* Whether constraints have a grid or a rank, whose parts say more than the values. */
bool s24m_plan_has_parts(const char *constraints);
/* Says which pattern matched nothing. */
bool s24m_plan_check_used(const plan *p);
void s24m_plan_close(plan *p);

#endif
