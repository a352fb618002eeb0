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
    const char *constraints; /* NULL: what no rule names is left alone */
    rule rules[PLAN_RULES];  /* the last that matches counts */
    int count;
} plan;

/* "PATTERN=CONSTRAINTS"; the patterns "mlp" and "attention" stand for what they say. */
bool s24m_plan_add_rule(plan *p, const char *text);
bool s24m_plan_add_skip(plan *p, const char *pattern);
/* Whether it asks for anything by a rule. */
bool s24m_plan_has_rules(const plan *p);
/* The constraints of a matrix known by several names, ended by NULL; the result is NULL if it is to
 * be left alone. A pattern may match any of them, with or without ".weight". */
const char *s24m_plan_constraints(plan *p, const char *const *names);
/* Whether constraints have a grid or a rank, whose parts say more than the values. */
bool s24m_plan_has_parts(const char *constraints);
/* Whether any that it asks for have. */
bool s24m_plan_asks_parts(const plan *p);
/* Whether a result says more than its values: such parts, or which columns were kept. */
bool s24m_plan_keeps_result(const char *constraints);
/* Says which pattern matched nothing. */
bool s24m_plan_check_used(const plan *p);
void s24m_plan_close(plan *p);

#endif
