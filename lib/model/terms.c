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

static void read_term(const char *term, size_t length, terms *t)
{
    int kept, of;
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
