#include "api.h"
#include <stdio.h>
#include <string.h>

/* Constraints as a text. */

/* In the order of S24I_GRID_... */
static const char *const schemes[] = {"asym", "sym", "real"};

int32_t s24i_grid_scheme(const char *word)
{
    for (int32_t i = 0; i < 3; i++)
        if (!strcmp(word, schemes[i]))
            return i;
    return -1;
}

static int64_t write_dictionary(const s24i_factoring *d, const char *plus, char *at, char *end)
{
    char percent[S24I_NUMBER_SIZE], pattern[S24I_WORD] = "";

    s24i_number_write_percent(percent, d->saved);
    if (d->n)
        snprintf(pattern, sizeof pattern, "+%d:%d", (int)d->n, (int)d->m);
    if (d->atoms)
        return snprintf(at, (size_t)(end - at), "%sdictionary %lld:%lld%s", plus,
                        (long long)d->atoms, (long long)d->nonzeros, pattern);
    return snprintf(at, (size_t)(end - at), "%sdictionary %s%%%s", plus, percent, pattern);
}

void s24i_constraints_text(const s24i_constraints *constraints, bool mask,
                           char out[S24I_CONSTRAINTS_TEXT])
{
    char *at = out, *end = out + S24I_CONSTRAINTS_TEXT, percent[S24I_NUMBER_SIZE];

    *out = 0;
    if (constraints->n)
        at += snprintf(at, (size_t)(end - at), "%d:%d%s", (int)constraints->n, (int)constraints->m,
                       constraints->both ? "t" : "");
    if (constraints->blocks)
        at += snprintf(at, (size_t)(end - at), " blocks %lld", (long long)constraints->blocks);
    if (constraints->dense)
        at += snprintf(at, (size_t)(end - at), " dense %lld", (long long)constraints->dense);
    if (constraints->scope) {
        s24i_number_write_percent(percent, constraints->sparsity);
        at += snprintf(at, (size_t)(end - at), "%s%s%s%%", at > out ? "+" : "",
                       constraints->scope == S24I_SCOPE_ROW ? "row " : "", percent);
    }
    if (constraints->units.kind)
        at += snprintf(at, (size_t)(end - at), "%s%s %lld kept", at > out ? "+" : "",
                       s24i_unit_name(constraints->units.kind), (long long)constraints->units.keep);
    if (constraints->units.kind > S24I_UNIT_COLUMN)
        at += snprintf(at, (size_t)(end - at), " of %lld", (long long)constraints->units.count);
    if (constraints->grid.bits) {
        const s24i_grid_form *grid = &constraints->grid;
        at += snprintf(at, (size_t)(end - at), "%sint%d%s%s", at > out ? "+" : "", (int)grid->bits,
                       grid->scheme ? " " : "", grid->scheme ? schemes[grid->scheme] : "");
        if (grid->group)
            at += snprintf(at, (size_t)(end - at), " g%lld", (long long)grid->group);
    }
    if (constraints->rank)
        at += snprintf(at, (size_t)(end - at), "%srank %lld", at > out ? "+" : "",
                       (long long)constraints->rank);
    if (constraints->dictionary.asked)
        at += write_dictionary(&constraints->dictionary, at > out ? "+" : "", at, end);
    if (mask)
        snprintf(at, (size_t)(end - at), "%smask", at > out ? "+" : "");
}
