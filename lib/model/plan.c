#include "plan.h"
#include "fail.h"
#include "terms.h"
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "mlp" and "attention" are all of its matrices, but of whole columns the one that loses them. */
static char *pattern_of(const char *pattern, size_t length, const char *constraints)
{
    static const char *const words[][3] = {{"mlp", "*.mlp.*", "*.mlp.down_proj"},
                                           {"attention", "*.self_attn.*", "*.self_attn.o_proj"}};
    bool units = constraints && s24m_terms(constraints).unit;
    for (int i = 0; i < 2; i++)
        if (strlen(words[i][0]) == length && !strncmp(words[i][0], pattern, length))
            return strdup(words[i][units ? 2 : 1]);
    return strndup(pattern, length);
}

static bool add(plan *p, const char *pattern, size_t length, const char *constraints)
{
    if (p->count == PLAN_RULES)
        return s24m_wrong(S24_E_OPTION, "more than %d rules", (int)PLAN_RULES);
    rule *r = &p->rules[p->count++];
    *r = (rule){.pattern = s24m_have(pattern_of(pattern, length, constraints))};
    return r->pattern && (!constraints || (r->constraints = s24m_have(strdup(constraints))));
}

bool s24m_plan_add_rule(plan *p, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return s24m_wrong(S24_E_OPTION,
                          "--rule %s: expected PATTERN=CONSTRAINTS, e.g. \"*.down_proj=50%%\"",
                          text);
    if (!strcmp(equals + 1, "dense") || !strcmp(equals + 1, "none"))
        return s24m_wrong(S24_E_OPTION, "--rule %s: what stays dense is named by --skip \"%.*s\"",
                          text, (int)(equals - text), text);
    return add(p, text, (size_t)(equals - text), equals + 1);
}

bool s24m_plan_add_skip(plan *p, const char *pattern)
{
    return add(p, pattern, strlen(pattern), NULL);
}

bool s24m_plan_has_rules(const plan *p)
{
    bool any = false;
    for (int i = 0; i < p->count; i++)
        any = any || p->rules[i].constraints;
    return any;
}

static bool matches(const char *pattern, const char *name)
{
    static const char suffix[] = ".weight";
    char bare[512];
    size_t length = strlen(name), cut = sizeof suffix - 1;
    if (!fnmatch(pattern, name, 0))
        return true;
    if (length <= cut || length >= sizeof bare || strcmp(name + length - cut, suffix))
        return false;
    snprintf(bare, sizeof bare, "%.*s", (int)(length - cut), name);
    return !fnmatch(pattern, bare, 0);
}

const char *s24m_plan_constraints(plan *p, const char *const *names)
{
    const char *constraints = p->constraints;
    for (rule *r = p->rules; r < p->rules + p->count; r++)
        for (const char *const *name = names; *name; name++)
            if (matches(r->pattern, *name)) {
                constraints = r->constraints;
                r->used = true;
                break;
            }
    return constraints;
}

bool s24m_plan_has_parts(const char *constraints)
{
    return strstr(constraints, "int") || strstr(constraints, "rank");
}

bool s24m_plan_asks_parts(const plan *p)
{
    bool any = p->constraints && s24m_plan_has_parts(p->constraints);
    for (const rule *r = p->rules; r < p->rules + p->count; r++)
        any = any || (r->constraints && s24m_plan_has_parts(r->constraints));
    return any;
}

bool s24m_plan_keeps_result(const char *constraints)
{
    return s24m_plan_has_parts(constraints) || s24m_terms(constraints).unit;
}

bool s24m_plan_check_used(const plan *p)
{
    for (const rule *r = p->rules; r < p->rules + p->count; r++)
        if (!r->used)
            return s24m_wrong(S24_E_OPTION, "--%s %s matches no matrix of the model's blocks",
                              r->constraints ? "rule" : "skip", r->pattern);
    return true;
}

void s24m_plan_close(plan *p)
{
    for (rule *r = p->rules; r < p->rules + p->count; r++) {
        free(r->pattern);
        free(r->constraints);
    }
    p->count = 0;
}
