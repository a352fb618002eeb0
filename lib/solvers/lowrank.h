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
    const s24i_layer *layer = &job->layer;
    int64_t rank = layer->pattern.rank;
    int32_t dtype = s24i_stored_type(type);
    rank = rank < layer->rows ? rank : layer->rows;
    rank = rank < layer->cols ? rank : layer->cols;
    out->sparse =
        sparse ? s24i_job_part(job, "sparse", layer->rows, layer->cols, S24_F32)->data : NULL;
    out->u = *s24i_job_part(job, "lowrank_u", layer->rows, rank, dtype);
    out->v = *s24i_job_part(job, "lowrank_v", rank, layer->cols, dtype);
}

#endif
