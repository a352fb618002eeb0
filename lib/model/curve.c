#include "curve.h"
#include "fail.h"
#include <stdlib.h>

bool s24m_curve_add(s24m_curve *c, double loss, double met)
{
    if (!c)
        return true;
    void *more = s24m_have(realloc(c->points, (size_t)(c->count + 1) * sizeof *c->points));
    if (!more)
        return false;
    c->points = more;
    c->points[c->count][0] = loss;
    c->points[c->count++][1] = met;
    return true;
}

void s24m_curve_close(s24m_curve *c)
{
    free(c->points);
    *c = (s24m_curve){0};
}
