#include "base/sort.h"
#include "sets.h"

/* Columns that stay whole beside n:m: which they seem to be, and whether the others obey. */

typedef struct {
    int64_t filled, index;
    double energy;
} column;

static int fuller(const void *a, const void *b)
{
    const column *x = a, *y = b;
    if (x->filled != y->filled)
        return x->filled > y->filled ? -1 : 1;
    if (x->energy != y->energy)
        return x->energy > y->energy ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

size_t s24i_fullest_scratch(int64_t cols)
{
    return s24i_mul((size_t)cols, sizeof(column) + sizeof(void *));
}

void s24i_fullest(s24i_columns columns, int64_t count, void *scratch, int32_t *at)
{
    int64_t cols = columns.cols, next = 0;
    column *c = scratch;
    const void **order = (const void **)(c + cols);
    for (int64_t j = 0; j < cols; j++) {
        c[j] = (column){0, j, columns.energy ? columns.energy[j] : 0};
        for (int64_t i = 0; i < columns.rows; i++)
            c[j].filled += columns.support[i * cols + j] != 0;
        order[j] = c + j;
    }
    s24i_sort(order, cols, fuller);
    for (int64_t k = 0; k < count; k++)
        ((column *)(uintptr_t)order[k])->filled = -1;
    for (int64_t j = 0; j < cols; j++)
        if (c[j].filled < 0)
            at[next++] = (int32_t)j;
}

/* The row without its columns that stay: the first group that holds too many. */
static s24_status check_row(const s24i_constraints *constraints, const uint8_t *row, int64_t index,
                            int64_t cols, const char *name)
{
    int64_t d = 0, place = 0, kept = 0, first = 0;
    for (int64_t j = 0; j < cols; j++) {
        if (d < constraints->dense && constraints->dense_at[d] == j) {
            d++;
            continue;
        }
        if (place++ % constraints->m == 0) {
            first = j;
            kept = 0;
        }
        kept += row[j] != 0;
        if (kept > constraints->n)
            return s24i_fail(S24_E_STATE,
                             "%s: row %lld, columns %lld to %lld hold %lld nonzeros beside the "
                             "dense columns, %d:%d allows %d",
                             name, (long long)index, (long long)first, (long long)j,
                             (long long)kept, constraints->n, constraints->m, constraints->n);
    }
    return S24_OK;
}

static s24_status check_places(const s24i_constraints *constraints, int64_t cols, const char *name)
{
    const int32_t *at = constraints->dense_at;
    for (int64_t d = 0; d < constraints->dense; d++)
        if (at[d] < (d ? at[d - 1] + 1 : 0) || at[d] >= cols)
            return s24i_fail(
                S24_E_STATE, "%s: dense column %lld of %lld is %d: they must rise, below %lld",
                name, (long long)d, (long long)constraints->dense, (int)at[d], (long long)cols);
    return S24_OK;
}

s24_status s24i_obeys_dense(const s24i_constraints *constraints, const uint8_t *support,
                            int64_t rows, int64_t cols, const char *name)
{
    s24_status status = check_places(constraints, cols, name);
    for (int64_t i = 0; !status && i < rows; i++)
        status = check_row(constraints, support + i * cols, i, cols, name);
    return status;
}

bool s24i_is_dense(const s24i_constraints *constraints, int64_t col)
{
    int64_t low = 0, high = constraints->dense;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (constraints->dense_at[middle] < col)
            low = middle + 1;
        else
            high = middle;
    }
    return low < constraints->dense && constraints->dense_at[low] == col;
}
