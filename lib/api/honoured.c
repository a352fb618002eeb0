#include "api.h"
#include <stdio.h>
#include <string.h>

/* Which solver honours which constraints. */

uint32_t s24i_constraints_bits(const s24i_constraints *constraints, bool mask)
{
    return (constraints->n ? S24I_HAS_PATTERN : 0) | (constraints->scope ? S24I_HAS_SPARSITY : 0) |
           (mask ? S24I_HAS_MASK : 0) | (constraints->grid.bits ? S24I_HAS_GRID : 0) |
           (constraints->rank ? S24I_HAS_RANK : 0) | (constraints->both ? S24I_HAS_BOTH : 0) |
           (constraints->units.kind ? S24I_HAS_UNITS : 0) |
           (constraints->dense ? S24I_HAS_DENSE : 0) |
           (constraints->dictionary.asked ? S24I_HAS_DICTIONARY : 0) |
           (constraints->blocks ? S24I_HAS_BLOCKS : 0);
}

static const char *bit_name(uint32_t bit)
{
    return bit == S24I_HAS_PATTERN      ? "an n:m pattern"
           : bit == S24I_HAS_SPARSITY   ? "a sparsity"
           : bit == S24I_HAS_MASK       ? "a fixed mask"
           : bit == S24I_HAS_GRID       ? "a grid"
           : bit == S24I_HAS_RANK       ? "a rank"
           : bit == S24I_HAS_UNITS      ? "whole columns"
           : bit == S24I_HAS_DENSE      ? "dense columns"
           : bit == S24I_HAS_DICTIONARY ? "a dictionary"
           : bit == S24I_HAS_BLOCKS     ? "blocks around n:m"
                                        : "an n:m pattern along both sides";
}

/* "a grid, a rank", joined by `word`. */
static void name_bits(uint32_t bits, const char *word, char out[128])
{
    size_t used = 0;

    for (uint32_t bit = 1; bit <= bits; bit <<= 1)
        if (bits & bit)
            used +=
                (size_t)snprintf(out + used, 128 - used, "%s%s", used ? word : "", bit_name(bit));
}

static const uint32_t choices = S24I_HAS_PATTERN | S24I_HAS_SPARSITY | S24I_HAS_UNITS;

/* A mask says which weights are kept, and so does each of the others. */
static bool has_two_supports(uint32_t bits)
{
    return bits & S24I_HAS_MASK && bits & choices;
}

/* What there is besides n:m and dense columns. */
static uint32_t beside_dense(uint32_t bits)
{
    return bits & S24I_HAS_DENSE
               ? bits & ~(uint32_t)(S24I_HAS_DENSE | S24I_HAS_PATTERN | S24I_HAS_BOTH)
               : 0;
}

/* Whether the solver takes a problem with all of these constraints. */
static bool takes(const s24i_solver_class *class, uint32_t bits)
{
    return !(bits & ~class->honours) && !beside_dense(bits) &&
           (!class->needs || bits & class->needs) && (class->combines || !has_two_supports(bits));
}

/* The way out: the solvers that take the whole problem, not a part of it. */
static s24_status refuse(const s24i_solver_class *class, uint32_t bits, const char *reason)
{
    char names[256] = "";
    size_t used = 0;

    for (int i = 0; s24i_solvers[i] && used < sizeof names; i++)
        if (takes(s24i_solvers[i], bits))
            used += (size_t)snprintf(names + used, sizeof names - used, used ? ", %s" : "%s",
                                     s24i_solvers[i]->name);
    return s24i_fail(S24_E_UNSUPPORTED, "solver %s %s; these can: %s", class->name, reason,
                     *names ? names : "none of this build");
}

s24_status s24i_check_honoured(const s24i_solver_class *class, uint32_t bits)
{
    uint32_t lacks = bits & ~class->honours;
    char names[128], reason[192];

    if (!bits && !class->unconstrained)
        return s24i_fail(S24_E_STATE, "the problem has no constraint: set a pattern, a sparsity, "
                                      "a mask, a grid or a rank");
    if (bits & choices & ((bits & choices) - 1)) {
        name_bits(bits & choices, " and ", names);
        return s24i_fail(S24_E_UNSUPPORTED, "%s at once: no solver of this version honours both",
                         names);
    }
    if (beside_dense(bits)) {
        name_bits(beside_dense(bits), " and ", names);
        return s24i_fail(S24_E_UNSUPPORTED,
                         "dense columns and %s at once: no solver of this version honours both; "
                         "ask for n:m with dense columns alone",
                         names);
    }
    if (takes(class, bits))
        return S24_OK;
    if (lacks) {
        name_bits(lacks & (~lacks + 1), "", names);
        snprintf(reason, sizeof reason, "cannot honour %s", names);
    } else if (class->needs && !(bits & class->needs)) {
        name_bits(class->needs, " or ", names);
        snprintf(reason, sizeof reason, "requires %s", names);
    } else {
        name_bits(bits & S24I_HAS_SUPPORT, " and ", names);
        snprintf(reason, sizeof reason, "honours one support at a time, and the problem has %s",
                 names);
    }
    return refuse(class, bits, reason);
}

const char *s24i_default_solver(uint32_t bits)
{
    static const char *const best[] = {"alps",      "quantease", "hassle", "osscar",
                                       "sparsegpt", "cospadi",   "armor"};

    for (size_t i = 0; i < sizeof best / sizeof *best; i++)
        for (int j = 0; s24i_solvers[j]; j++)
            if (!strcmp(s24i_solvers[j]->name, best[i]) && takes(s24i_solvers[j], bits))
                return best[i];
    return *best;
}
