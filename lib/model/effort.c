#include "effort.h"
#include "compression.h"
#include <stdlib.h>
#include <string.h>

typedef struct effort {
    const char *own;
    int64_t refine; /* index of the option's words: none, block, model */
    const char *preset;
} effort;

/* docs/compress.md has what each costs and brings. */
static const effort efforts[] = {[S24M_FAST] = {"0", 0, "fast"},
                                 [S24M_DEFAULT] = {"auto", 0, NULL},
                                 [S24M_BEST] = {"auto", 2, "best"}};

bool s24m_effort_take(s24_compression *c)
{
    const effort *e = efforts + c->effort;
    char *own = s24m_have(strdup(e->own));
    if (!own)
        return false;
    free(c->own);
    c->own = own;
    c->refine = e->refine;
    return true;
}

const char *s24m_effort_preset(const s24_compression *c)
{
    return efforts[c->effort].preset;
}

/* "default|paper|best" */
static bool has_word(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = choices; *at; at += *at == '|') {
        size_t width = strcspn(at, "|");
        if (width == length && !strncmp(at, word, width))
            return true;
        at += width;
    }
    return false;
}

bool s24m_effort_give(const char *preset, s24_solver *solver)
{
    const char *name, *choices;
    int32_t set = 1;
    if (!preset || s24_solver_is_set(solver, "preset", &set) != S24_OK || set)
        return true;
    for (int32_t i = 0; i < s24_solver_option_count(solver); i++)
        if (s24_solver_option_info(solver, i, &name, NULL, &choices, NULL, NULL) == S24_OK &&
            !strcmp(name, "preset") && has_word(choices, preset))
            return s24m_good(s24_solver_set_str(solver, "preset", preset), "preset=%s", preset);
    return true;
}
