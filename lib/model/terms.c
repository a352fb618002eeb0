#include "terms.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "int4 sym g64" */
static void read_grid(const char *term, size_t length, terms *t)
{
    char words[64], *rest = NULL;
    snprintf(words, sizeof words, "%.*s", (int)length, term);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (!strncmp(word, "int", 3))
            t->bits = (int32_t)strtol(word + 3, NULL, 10);
        else if (!strcmp(word, "sym"))
            t->scheme = SCHEME_SYM;
        else if (!strcmp(word, "real"))
            t->scheme = SCHEME_REAL;
        else if (*word == 'g')
            t->group = strtoll(word + 1, NULL, 10);
    }
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
        size_t length = strcspn(term, "+");
        read_term(term, length, &t);
        term += length + (term[length] == '+');
    }
    return t;
}
