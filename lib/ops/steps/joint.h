/* One row of coordinate descent over the supports of n:m and codes at once. Knows nothing of
 * matrices. */
#ifndef S24I_JOINT_H
#define S24I_JOINT_H
#include "steps.h"

typedef struct s24i_joint {
    const s24i_kernels *kernels;
    int64_t cols;
    int32_t n, m;
    const float *s;                     /* cols x cols, unit diagonal */
    const float *step, *inverse, *zero; /* of all columns, inverse = 1 / step */
    float top;
    float *code, *g;                 /* in, out, as for descend_row */
    float *kept_step, *kept_inverse; /* in, out: of what is kept, else 0 */
    uint8_t *mask;                   /* in, out */
} s24i_joint;

/* One sweep over the groups; how many changed. The loss never rises. */
int64_t s24i_joint_sweep(const s24i_joint *row);

#endif
