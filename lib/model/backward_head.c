#include "backward_scalar.h"

/* ---- Rows of logits ---- */

/* log of the sum of e^(x - top), and the largest of them in *top. */
S24M_LOOPS static double log_sum(const s24m_real *x, int64_t count, s24m_real *top)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    s24m_real largest = x[0];
    int64_t i = 0;
    for (int64_t k = 1; k < count; k++)
        largest = x[k] > largest ? x[k] : largest;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += S24M_EXP(x[i + l] - largest);
    for (; i < count; i++)
        sum += S24M_EXP(x[i] - largest);
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    *top = largest;
    return log(sum);
}

/* x = softmax(x) */
S24M_LOOPS static void normalise(s24m_real *x, int64_t count, s24m_real top, double log_of_sum)
{
    s24m_real shift = top + (s24m_real)log_of_sum;
    for (int64_t i = 0; i < count; i++)
        x[i] = S24M_EXP(x[i] - shift);
}

/* ---- Divergence ---- */

typedef struct head_job {
    s24m_real *logits, *teacher;
    const int32_t *tokens;
    int64_t vocab;
    s24m_real scale;
    double *losses;
} head_job;

/* sum p_t (log p_t - log p_s): differences of logits, so that equal ones give 0. */
static void divergence_row(const head_job *j, int64_t row)
{
    s24m_real *student = j->logits + row * j->vocab, *teacher = j->teacher + row * j->vocab;
    s24m_real top_of[2];
    double sum_of[2] = {log_sum(student, j->vocab, top_of), log_sum(teacher, j->vocab, top_of + 1)};
    double apart = ((double)top_of[0] + sum_of[0]) - ((double)top_of[1] + sum_of[1]), loss = 0;
    s24m_real shift = top_of[1] + (s24m_real)sum_of[1];
    for (int64_t i = 0; i < j->vocab; i++) {
        double p = S24M_EXP(teacher[i] - shift);
        loss += p * ((double)teacher[i] - student[i] + apart);
    }
    normalise(student, j->vocab, top_of[0], sum_of[0]);
    normalise(teacher, j->vocab, top_of[1], sum_of[1]);
    for (int64_t i = 0; i < j->vocab; i++)
        student[i] = (student[i] - teacher[i]) * j->scale;
    j->losses[row] = loss;
}

static void divergence_rows(void *arg, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++)
        divergence_row(arg, row);
}

s24_status s24m_back_divergence(s24_ctx *ctx, s24m_real *logits, s24m_real *teacher, int64_t count,
                                int64_t vocab, double scale, double *losses)
{
    head_job j = {.logits = logits,
                  .teacher = teacher,
                  .vocab = vocab,
                  .scale = (s24m_real)scale,
                  .losses = losses};
    return s24m_back_loop(ctx, divergence_rows, &j, count, 1);
}

/* ---- Cross-entropy ---- */

static void entropy_row(const head_job *j, int64_t row)
{
    s24m_real *x = j->logits + row * j->vocab, top;
    int32_t token = j->tokens[row];
    j->losses[row] = 0;
    if (token >= 0) {
        double sum = log_sum(x, j->vocab, &top);
        j->losses[row] = (double)top + sum - x[token];
        normalise(x, j->vocab, top, sum);
        x[token] -= 1;
    }
    for (int64_t i = 0; i < j->vocab; i++)
        x[i] = token < 0 ? 0 : x[i] * j->scale;
}

static void entropy_rows(void *arg, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++)
        entropy_row(arg, row);
}

s24_status s24m_back_entropy(s24_ctx *ctx, s24m_real *logits, const int32_t *tokens, int64_t count,
                             int64_t vocab, double scale, double *losses)
{
    head_job j = {.logits = logits,
                  .tokens = tokens,
                  .vocab = vocab,
                  .scale = (s24m_real)scale,
                  .losses = losses};
    return s24m_back_loop(ctx, entropy_rows, &j, count, 1);
}
