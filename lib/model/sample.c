#include "sample.h"
#include "exponential.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>

/* -1: one is not finite. */
static int64_t find_largest(const float *logits, int64_t count)
{
    int64_t best = 0;
    bool finite = true;
    for (int64_t i = 0; i < count; i++) {
        finite &= isfinite(logits[i]) != 0;
        best = logits[i] > logits[best] ? i : best;
    }
    return finite ? best : -1;
}

/* ---- A heap with the likeliest at the top ---- */

static bool is_likelier(const s24m_candidate *a, const s24m_candidate *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->token < b->token);
}

static void sink(s24m_candidate *heap, int64_t at, int64_t count)
{
    s24m_candidate moving = heap[at];
    for (int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && is_likelier(heap + child + 1, heap + child);
        if (!is_likelier(heap + child, &moving))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static s24m_candidate take_top(s24m_candidate *heap, int64_t *count)
{
    s24m_candidate top = heap[0];
    heap[0] = heap[--*count];
    sink(heap, 0, *count);
    return top;
}

/* Keep what top-k and top-p leave: the likeliest go behind what is left of the heap. Returns how
 * many; *first is the likeliest, the others lie before it. */
static int64_t keep_likeliest(const s24m_sampling *how, s24m_candidate *all, int64_t count,
                              double total, s24m_candidate **first)
{
    int64_t left = count, most = how->top_k && how->top_k < count ? how->top_k : count, kept = 0;
    double sum = 0;
    for (int64_t i = count / 2 - 1; i >= 0; i--)
        sink(all, i, count);
    for (; kept < most && (!kept || sum < how->top_p * total); kept++) {
        s24m_candidate top = take_top(all, &left);
        sum += top.weight;
        all[left] = top;
    }
    *first = all + count - 1;
    return kept;
}

/* ---- The choice ---- */

S24M_VECTOR static void weigh(float *logits, int64_t count, float largest, float scale)
{
    for (int64_t i = 0; i < count; i++)
        logits[i] = exponential((logits[i] - largest) * scale);
}

/* The first place at which the sum passes `share` of all of it; in this order, whoever asks. */
static int64_t choose(const float *weights, int64_t count, double share)
{
    double total = 0, sum = 0;
    int64_t i = 0;
    for (int64_t k = 0; k < count; k++)
        total += weights[k];
    for (; i < count - 1; i++) {
        sum += weights[i];
        if (sum > share * total)
            break;
    }
    return i;
}

static int32_t choose_among(const s24m_sampling *how, const float *weights, int64_t count,
                            double share, s24m_candidate *room)
{
    double total = 0, sum = 0;
    s24m_candidate *likeliest;
    for (int64_t i = 0; i < count; i++) {
        room[i] = (s24m_candidate){weights[i], (int32_t)i};
        total += weights[i];
    }
    int64_t kept = keep_likeliest(how, room, count, total, &likeliest), i = 0;
    for (total = 0; i < kept; i++)
        total += likeliest[-i].weight;
    for (i = 0; i < kept - 1; i++) {
        sum += likeliest[-i].weight;
        if (sum > share * total)
            break;
    }
    return likeliest[-i].token;
}

bool s24m_sample_truncates(const s24m_sampling *how)
{
    return how->temperature > 0 && how->top_k != 1 && (how->top_k > 0 || how->top_p < 1);
}

int32_t s24m_sample(const s24m_sampling *how, float *logits, int64_t count, uint64_t row,
                    int64_t position, s24m_candidate *room)
{
    int64_t best = find_largest(logits, count);
    if (best < 0 || how->temperature <= 0 || how->top_k == 1)
        return (int32_t)best;
    weigh(logits, count, logits[best], (float)(1 / how->temperature));
    double share = s24m_uniform(how->seed, row, (uint64_t)position);
    return s24m_sample_truncates(how) ? choose_among(how, logits, count, share, room)
                                      : (int32_t)choose(logits, count, share);
}

/* ---- Repetition ---- */

enum { GRAM = 4 };

static int by_gram(const void *a, const void *b)
{
    const int32_t *x = *(const int32_t *const *)a, *y = *(const int32_t *const *)b;
    for (int i = 0; i < GRAM; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

double s24m_repetition(const int32_t *ids, int64_t length)
{
    int64_t grams = length - GRAM + 1, again = 0;
    const int32_t **at = grams > 1 ? malloc((size_t)grams * sizeof *at) : NULL;
    if (!at)
        return 0;
    for (int64_t i = 0; i < grams; i++)
        at[i] = ids + i;
    qsort(at, (size_t)grams, sizeof *at, by_gram);
    for (int64_t i = 1; i < grams; i++)
        again += !by_gram(at + i - 1, at + i);
    free(at);
    return (double)again / (double)(grams - 1);
}
