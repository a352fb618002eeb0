/* What a solver does to hand out a sum S + U V: the parts of the result. Knows no method. */
#ifndef S24I_SOLVERS_LOWRANK_H
#define S24I_SOLVERS_LOWRANK_H
#include "solver.h"

typedef struct s24i_factors {
    float *sparse; /* rows x cols: the part, or NULL */
    s24_mat u, v;  /* the parts: rows x rank, rank x cols */
} s24i_factors;

/* Take all of it; `sparse`: there is an S. */
static inline void s24i_factors_take(s24i_job *job, bool sparse, s24i_word type, s24i_factors *out)
{
    const s24i_matrix *matrix = &job->matrix;
    int64_t rank = matrix->constraints.rank;
    int32_t dtype = s24i_stored_type(type);
    rank = rank < matrix->rows ? rank : matrix->rows;
    rank = rank < matrix->cols ? rank : matrix->cols;
    out->sparse =
        sparse ? s24i_job_part(job, "sparse", matrix->rows, matrix->cols, S24_F32)->data : NULL;
    out->u = *s24i_job_part(job, "lowrank_u", matrix->rows, rank, dtype);
    out->v = *s24i_job_part(job, "lowrank_v", rank, matrix->cols, dtype);
}

#endif
