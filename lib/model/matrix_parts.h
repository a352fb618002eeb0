/* What a result says beside the weights of a matrix, codes and scales: as the solver's result has
 * it, or put together of the rows that several ranks solved. */
#ifndef S24M_MATRIX_PARTS_H
#define S24M_MATRIX_PARTS_H
#include "fail.h"

enum { S24M_PARTS_MOST = 12, S24M_PART_NAME = 32 };

typedef struct s24m_part {
    char name[S24M_PART_NAME];
    s24_mat values; /* its own, row after row */
} s24m_part;

typedef struct s24m_gathered {
    s24m_part part[S24M_PARTS_MOST];
    int32_t count;
} s24m_gathered;

/* The index-th of a result, but for its weights and their mask; false: there are no more. */
bool s24m_result_part(const s24_result *result, int32_t index, const char **name, s24_mat *values);
/* Of this name, made if it is not there yet: that many rows, of zeros. NULL and the error. */
s24m_part *s24m_gathered_part(s24m_gathered *g, const char *name, int64_t rows, int64_t cols,
                              int32_t dtype);
/* NULL is allowed. */
void s24m_gathered_free(s24m_gathered *g);

#endif
