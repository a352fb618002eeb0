/* One compressed matrix into a file in its form, and out of it again. */
#ifndef STORE_H
#define STORE_H
#include "forms.h"
#include "solved.h"

/* What a description of the whole needs of a matrix. */
typedef struct stored {
    char module[S24M_NAME]; /* its name without ".weight" */
    bool solved;            /* else it is as in the source */
    int32_t bits;           /* as they are stored; 0: floats */
    bool symmetric;
    bool table;    /* of the vocabulary: integers that are not packed */
    int64_t group; /* 0: all columns */
} stored;

/* What goes before ".weight". */
void s24m_module(const char *tensor, char module[S24M_NAME]);
/* It is no slice of a tensor, and does not lie transposed. */
bool s24m_is_whole(const s24m_matrix *m);
/* Some forms hold whole matrices only. */
bool s24m_form_check_whole(const form *f, const s24m_model *model, int64_t layer, int32_t which);
/* Whether a folder can tell loaders of the matrices; `all`: of every one, on one grid. */
bool s24m_form_check_names(const form *f, const s24m_model *model, bool all);
/* Put it, and say what was stored. The matrix is never rounded to codes again: they are those of
 * its parts. */
bool s24m_store(s24_ctx *ctx, const form *f, s24_file *out, const char *tensor, const solved *m,
                stored *told);
/* The values, rows x cols, that a loader of what was put computes. */
bool s24m_store_read(const form *f, const s24_file *file, const char *tensor, s24_mat *values);

#endif
