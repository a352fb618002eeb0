/* The forms in which a compressed model is written: what each can hold. Knows constraints as texts
 * and names of layouts; no weights, no files. docs/outputs.md. */
#ifndef FORMS_H
#define FORMS_H
#include "terms.h"
#include <stddef.h>

/* What the tensors lie in. */
enum { HOLDER_SOURCE, HOLDER_GGUF, HOLDER_FOLDER, HOLDER_S24 };
/* What lies beside them of results that have more than weights. */
enum { BESIDE_NOTHING, BESIDE_PARTS, BESIDE_FACTORS };

typedef struct form {
    const char *option; /* "--store q4_0" */
    const char *layout; /* of the compressed matrices; NULL: floats, or of each its own */
    const char *type;   /* that GGUF calls it, or NULL */
    int32_t holder, beside;
    uint32_t bits, schemes; /* of its grids, a bit each; 0: it holds no codes */
    int32_t usual;          /* bits to advise */
    int64_t group;          /* that it has; 0: any */
    bool no_zero;           /* pruned weights have no code */
    bool one_grid;          /* the same for all matrices */
    bool tables;            /* embedding and head are codes as well */
} form;

/* The form of two words, as options have them: `store` a type, `format`. NULL and a message when
 * they do not go together. */
const form *s24m_form_find(const char *store, const char *format);
/* Whether it holds a matrix of such constraints, in the spelling of s24_problem_constraints(). If
 * not, the message has the nearest that it does hold. */
bool s24m_form_check(const form *f, const char *tensor, const char *constraints, int64_t rows,
                     int64_t cols);
/* Whether it has a place for a tensor of this type that stays as it is. */
bool s24m_form_check_type(const form *f, const char *tensor, const char *type);
/* The layout of such a matrix, NULL: floats. */
const char *s24m_form_layout(const form *f, const terms *t);
/* Whether a matrix of such constraints becomes codes, with scales of 16 bits. */
bool s24m_form_has_codes(const form *f, const char *constraints);
/* As records name what a matrix is stored as: "Q4_0", "pack-quantized"; NULL: floats. */
const char *s24m_form_stored(const form *f, const char *constraints);
/* The same of one that may be a part of a tensor, which `.s24` holds as floats. */
const char *s24m_form_stored_as(const form *f, const char *constraints, bool whole);
/* What such a matrix takes in it, nearly; 0: as floats. */
uint64_t s24m_form_bytes(const form *f, const terms *t, int64_t rows, int64_t cols);

#endif
