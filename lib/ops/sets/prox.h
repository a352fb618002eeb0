/* The proximal operators of n:m, on the caller's matrices (prox.c). Same conventions as ops.h. */
#ifndef S24I_PROX_H
#define S24I_PROX_H
#include "sets.h"

enum { S24I_PROX_PLAIN, S24I_PROX_RELATIVE, S24I_PROX_FIRM };

typedef struct s24i_prox {
    /* PLAIN and RELATIVE: n is 1 or 2. RELATIVE: lambda is divided by each group's largest
     * magnitude (1:m always) */
    int32_t kind;
    int32_t n, m;    /* groups of m along the columns, a multiple of m */
    double strength; /* lambda >= 0, also infinity; of FIRM 0 .. 1 */
} s24i_prox;

/* w = the operator of docs/operators.md on z; same shape, both S24_F32 or both S24_F64; may be the
 * same matrix. S24_E_NONFINITE names the first place of z and leaves w untouched. */
s24_status s24i_prox_apply(const s24i_device *device, const s24i_prox *prox, const s24_mat *z,
                           const s24_mat *w);
/* mask (bytes) = 1 on the n largest magnitudes of each m, ties to the lower index; f64 is compared
 * in double. As above. */
s24_status s24i_project_nm(const s24i_device *device, int32_t n, int32_t m, const s24_mat *z,
                           const s24_mat *mask);

#endif
