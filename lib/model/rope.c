#include "rope.h"
#include "tensors.h"
#include <math.h>

static double pi(void)
{
    return acos(-1.0);
}

static double clamp(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

s24m_rope s24m_rope_plain(int64_t size)
{
    return (s24m_rope){.size = size, .base = 10000, .factor = 1, .attention = 1};
}

/* Pair that turns this often within the trained context, as a real number. */
static double pair_of(const s24m_rope *rope, double turns)
{
    return (double)rope->size * log(rope->trained / (2 * pi() * turns)) / (2 * log(rope->base));
}

s24_status s24m_rope_yarn(s24m_rope *rope, double fast, double slow, bool whole)
{
    if (rope->base <= 1 || fast <= slow)
        return s24m_fail(S24_E_FORMAT, "yarn with base %g, beta_fast %g and beta_slow %g",
                         rope->base, fast, slow);
    double low = pair_of(rope, fast), high = pair_of(rope, slow);
    rope->low = fmax(whole ? floor(low) : low, 0);
    rope->high = fmin(whole ? ceil(high) : high, (double)rope->size - 1);
    if (rope->low == rope->high)
        rope->high += 0.001;
    return S24_OK;
}

double s24m_rope_strength(double factor, double weight)
{
    return factor > 1 ? 1 + 0.1 * weight * log(factor) : 1;
}

/* Longer rows than those of the training stretch all waves: the last one by as much as the row is
 * longer, the first not at all. */
static double dynamic_base(const s24m_rope *rope, int64_t length)
{
    double size = (double)rope->size, stretch = (double)length / rope->trained;
    return stretch <= 1
               ? rope->base
               : rope->base * pow(rope->factor * stretch - (rope->factor - 1), size / (size - 2));
}

double s24m_rope_frequency(const s24m_rope *rope, int64_t i, int64_t length)
{
    double base = rope->type == S24M_ROPE_DYNAMIC ? dynamic_base(rope, length) : rope->base;
    const double *divisor = rope->divisor[(double)length > rope->trained];
    double frequency = pow(base, -2.0 * (double)i / (double)rope->size), keep = 0;
    if (divisor)
        frequency /= divisor[i];
    if (rope->type == S24M_ROPE_YARN)
        keep = 1 - clamp(((double)i - rope->low) / (rope->high - rope->low));
    else if (rope->type == S24M_ROPE_LLAMA3)
        keep =
            clamp((rope->trained * frequency / (2 * pi()) - rope->low) / (rope->high - rope->low));
    else
        return rope->type == S24M_ROPE_DYNAMIC ? frequency : frequency / rope->factor;
    return frequency * (keep + (1 - keep) / rope->factor);
}

s24_status s24m_rope_check(const s24m_rope *rope, int64_t head_dim)
{
    bool finite = isfinite(rope->attention);
    if (rope->type > S24M_ROPE_LINEAR && rope->trained >= (double)INT64_MAX)
        return s24m_fail(S24_E_FORMAT, "rope scaling needs the context of the training");
    if (rope->size < 2 || rope->size % 2 || rope->size > head_dim)
        return s24m_fail(S24_E_FORMAT,
                         "%lld elements of each head of %lld are turned, but it must be an even "
                         "number of them",
                         (long long)rope->size, (long long)head_dim);
    for (int64_t i = 0; i < rope->size / 2; i++)
        finite = finite && isfinite(s24m_rope_frequency(rope, i, 1));
    return finite ? S24_OK : s24m_fail(S24_E_FORMAT, "rope scaling gives angles without a number");
}

void s24m_rope_reach(const s24m_rope *rope, int64_t *context)
{
    double longest = fmin(rope->trained * rope->factor, 0x1p62);
    if (rope->type == S24M_ROPE_DYNAMIC)
        *context = INT64_MAX;
    else if (longest > (double)*context)
        *context = (int64_t)longest;
}
