#include "hidden.h"
#include "fail.h"
#include <math.h>
#include <stdlib.h>

uint64_t s24m_hidden_bytes(const s24m_model *model, const tokens *t)
{
    return (uint64_t)(t->rows * t->length * model->config.hidden) * sizeof(float);
}

bool s24m_hidden_take(s24m_model *model, const tokens *t, const evaluating *how, float **h)
{
    *h = s24m_have(malloc((size_t)s24m_hidden_bytes(model, t)));
    if (*h && s24m_evaluate_blocks(model, t, how, *h) &&
        s24m_done(s24m_last_norm(model, *h, t->rows * t->length)))
        return true;
    free(*h);
    *h = NULL;
    return false;
}

double s24m_hidden_error(const float *dense, const float *found, int64_t count)
{
    double apart = 0, all = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)found[i] - dense[i];
        apart += d * d;
        all += (double)dense[i] * dense[i];
    }
    return apart / all;
}
