/* Parts of a matrix that training made anew, to be stored in the place of a result's. */
#ifndef S24M_MADE_H
#define S24M_MADE_H
#include <sparse24/sparse24.h>

/* The parts that training changes, in memory of their own; data NULL: there is none such. */
typedef struct made_parts {
    s24_mat codes, scales, zeros, sparse, u, v;
} made_parts;
/* By its name in files; NULL: it is not one of these, or not there. */
const s24_mat *s24m_made_part(const made_parts *made, const char *part);
void s24m_made_close(made_parts *made);

#endif
