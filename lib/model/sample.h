/* Which token comes next: from logits by temperature, top-k and top-p, or the likeliest. Knows no
 * model. */
#ifndef S24M_SAMPLE_H
#define S24M_SAMPLE_H
#include <stdbool.h>
#include <stdint.h>

typedef struct s24m_sampling {
    double temperature; /* 0: always the likeliest */
    int64_t top_k;      /* of so many likeliest; 0: of all */
    double top_p;       /* of the likeliest that have this probability together; 1: of all */
    uint64_t seed;
} s24m_sampling;

typedef struct s24m_candidate {
    float weight; /* e^((logit - largest) / temperature) */
    int32_t token;
} s24m_candidate;

/* Whether s24m_sample() needs room. */
bool s24m_sample_truncates(const s24m_sampling *how);

/* The token at `position` of `row`, a function of these, the logits and the seed alone. Of equal
 * logits the lower token counts as the likelier. The logits are lost. `room` is for `count`
 * candidates, if any. -1: a logit is no number, or infinite. */
int32_t s24m_sample(const s24m_sampling *how, float *logits, int64_t count, uint64_t row,
                    int64_t position, s24m_candidate *room);
/* The share of the places from the fifth on whose last four tokens stand earlier in the row in this
 * order: 0.02 to 0.15 in text of 512 tokens, near 1 in a loop. */
double s24m_repetition(const int32_t *ids, int64_t length);

#endif
