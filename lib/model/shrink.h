/* A model with fewer inner channels of its MLPs, or fewer heads, than its source: what constraints
 * of whole columns on down and o mean for the whole model, which files must be able to say. Knows
 * configurations; weights are cut in cut.c. docs/compress.md. */
#ifndef S24M_SHRINK_H
#define S24M_SHRINK_H
#include "model.h"
#include "forms.h"
#include "plan.h"

/* The sizes that the written model has, and the constraints of down and o that lead to them; "":
 * that one keeps its columns. */
typedef struct s24m_shrink {
    int64_t ffn, heads, kv_heads;
    char down[64], o[64];
} s24m_shrink;

/* From the rules. One width serves all blocks of a file, and heads leave with all that share a key:
 * what cannot be is refused with the nearest that can. */
bool s24m_shrink_settle(s24m_shrink *s, const s24m_model *model, plan *p, const form *f);
/* Whether that matrix loses columns, and the constraints that it is solved under. */
const char *s24m_shrink_constraints(const s24m_shrink *s, const s24m_model *model, int64_t layer,
                                    int32_t which);
static inline bool s24m_shrinks(const s24m_shrink *s)
{
    return *s->down || *s->o;
}
/* The configuration of the written model says its sizes. */
bool s24m_shrink_put(const s24m_shrink *s, const s24m_model *model, s24_file *out);

#endif
