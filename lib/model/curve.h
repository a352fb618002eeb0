/* What a training has met, epoch by epoch. Knows numbers only. */
#ifndef S24M_CURVE_H
#define S24M_CURVE_H
#include <stdbool.h>
#include <stdint.h>

typedef struct s24m_curve {
    double (*points)[2]; /* loss while it was trained, NaN before; loss of rows kept back */
    int32_t count;
} s24m_curve;

/* Behind the others; `c` NULL: nothing is kept. */
bool s24m_curve_add(s24m_curve *c, double loss, double met);
void s24m_curve_close(s24m_curve *c);

#endif
