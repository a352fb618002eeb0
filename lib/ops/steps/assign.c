#include "permute.h"
#include <math.h>

/*
 * The assignment problem by shortest augmenting paths (Kuhn 1955; Jonker and Volgenant 1987). Costs
 * are -value; potentials u and v keep cost - u_i - v_j >= 0, and 0 for assigned pairs. Each
 * column first takes the row that wants it most, if nobody has that row yet; every row that is left
 * then joins by a shortest path of exchanges to a column that nobody has.
 */
typedef struct {
    const float *value;
    int64_t ld;
    int32_t size;
    double u[S24I_MOST_ASSIGNED], v[S24I_MOST_ASSIGNED];
    double length[S24I_MOST_ASSIGNED];  /* of the shortest path to a column */
    int32_t owner[S24I_MOST_ASSIGNED];  /* of a column: its row, or -1 */
    int32_t before[S24I_MOST_ASSIGNED]; /* on that path: the column before, or -1 */
    int32_t open[S24I_MOST_ASSIGNED];   /* columns whose path may get shorter, then the others */
} assignment;

static bool has_column(const assignment *a, int32_t i)
{
    for (int32_t j = 0; j < a->size; j++)
        if (a->owner[j] == i)
            return true;
    return false;
}

static void take_wanted(assignment *a)
{
    int32_t best[S24I_MOST_ASSIGNED];
    for (int32_t j = 0; j < a->size; j++) {
        best[j] = 0;
        a->v[j] = -(double)a->value[j];
        a->owner[j] = -1;
    }
    for (int32_t i = 1; i < a->size; i++)
        for (int32_t j = 0; j < a->size; j++)
            if (-(double)a->value[i * a->ld + j] < a->v[j]) {
                a->v[j] = -(double)a->value[i * a->ld + j];
                best[j] = i;
            }
    for (int32_t j = 0; j < a->size; j++)
        if (!has_column(a, best[j]))
            a->owner[j] = best[j];
}

/* Paths go on from row i, which lies `base` away by column `by`; the nearest open column goes to
 * place `last` of the open ones, and is returned. */
static int32_t take_nearest(assignment *a, int32_t i, double base, int32_t by, int32_t last)
{
    const float *value = a->value + i * a->ld;
    int32_t nearest = 0;
    for (int32_t k = 0; k <= last; k++) {
        int32_t j = a->open[k];
        double length = base - (double)value[j] - a->u[i] - a->v[j];
        if (length < a->length[j]) {
            a->length[j] = length;
            a->before[j] = by;
        }
        if (a->length[j] < a->length[a->open[nearest]])
            nearest = k;
    }
    int32_t j = a->open[nearest];
    a->open[nearest] = a->open[last];
    a->open[last] = j;
    return j;
}

static void add_row(assignment *a, int32_t root)
{
    int32_t last = a->size - 1, row = root, j = -1;
    double base = 0;
    for (int32_t k = 0; k < a->size; k++) {
        a->length[k] = INFINITY;
        a->open[k] = k;
    }
    for (;; last--) {
        j = take_nearest(a, row, base, j, last);
        base = a->length[j];
        if (a->owner[j] < 0)
            break;
        row = a->owner[j];
    }
    a->u[root] += base;
    for (int32_t k = last + 1; k < a->size; k++) {
        int32_t passed = a->open[k];
        a->u[a->owner[passed]] += base - a->length[passed];
        a->v[passed] -= base - a->length[passed];
    }
    for (; j >= 0; j = a->before[j])
        a->owner[j] = a->before[j] < 0 ? root : a->owner[a->before[j]];
}

void s24i_assign(const float *value, int64_t ld, int32_t size, int32_t *column)
{
    assignment a = {.value = value, .ld = ld, .size = size};
    take_wanted(&a);
    for (int32_t i = 0; i < size; i++)
        if (!has_column(&a, i))
            add_row(&a, i);
    for (int32_t j = 0; j < size; j++)
        column[a.owner[j]] = j;
}
