#include "terms.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has(const char *term, size_t length, const char *word)
{
    const char *at = strstr(term, word);
    return at && (size_t)(at - term) < length;
}

/* "int4 sym g64" */
static void read_grid(const char *term, size_t length, terms *t)
{
    const char *group = memchr(term, 'g', length);
    t->bits = (int32_t)strtol(term + 3, NULL, 10);
    t->group = group ? strtoll(group + 1, NULL, 10) : 0;
    t->scheme = has(term, length, "asym")   ? SCHEME_ASYM
                : has(term, length, "sym")  ? SCHEME_SYM
                : has(term, length, "real") ? SCHEME_REAL
                                            : SCHEME_ASYM;
}

/* "columns 25%", "heads 3 kept of 9", "groups 1 kept" */
static bool read_units(const char *term, size_t length, terms *t)
{
    static const char *const words[] = {"columns ", "heads ", "groups "};
    for (int i = 0; i < 3; i++) {
        size_t skip = strlen(words[i]);
        if (strncmp(term, words[i], skip))
            continue;
        const char *of = strstr(term, " of ");
        t->unit = UNIT_COLUMN + i;
        t->sparsity = memchr(term, '%', length);
        t->share = t->sparsity ? strtod(term + skip, NULL) / 100 : 0;
        t->unit_kept = t->sparsity ? 0 : strtoll(term + skip, NULL, 10);
        t->unit_of = of && (size_t)(of - term) < length ? strtoll(of + 4, NULL, 10) : 0;
        return true;
    }
    return false;
}

static void read_term(const char *term, size_t length, terms *t)
{
    int kept, of;
    if (read_units(term, length, t))
        return;
    if (!strncmp(term, "int", 3))
        read_grid(term, length, t);
    else if (!strncmp(term, "rank", 4))
        t->rank = strtoll(term + 4, NULL, 10);
    else if (memchr(term, '%', length))
        t->sparsity = true;
    else if (sscanf(term, "%d:%d", &kept, &of) == 2)
        t->kept = kept, t->of = of;
}

terms s24m_terms(const char *constraints)
{
    terms t = {0};
    for (const char *term = constraints; *term;) {
        term += strspn(term, " ");
        size_t length = strcspn(term, "+");
        read_term(term, length, &t);
        term += length + (term[length] == '+');
    }
    return t;
}

bool s24m_terms_same_grid(const terms *a, const terms *b)
{
    return a->bits == b->bits && a->scheme == b->scheme && a->group == b->group;
}
