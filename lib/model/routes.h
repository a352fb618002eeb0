/* Which experts the tokens of a chunk take. */
#ifndef S24M_ROUTES_H
#define S24M_ROUTES_H
#include "steps.h"

/* Of each token the numbers of its experts, then their weights: in a stage's input behind the rest,
 * or in the stream. */
typedef struct routes {
    const float *at;
    int64_t stride, used, tokens;
} routes;
routes s24m_routes(const s24m_stream *c, const s24m_stage *s);
/* Where the token takes this expert, -1: it does not. */
int64_t s24m_slot(const routes *r, int64_t token, int32_t expert);

#endif
