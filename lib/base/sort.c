#include "sort.h"
#include <string.h>

static void sift_down(const void **items, int64_t root, int64_t count, s24i_order_fn order)
{
    const void *moved = items[root];

    for (int64_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && order(items[child], items[child + 1]) < 0)
            child++;
        if (order(moved, items[child]) >= 0)
            break;
        items[root] = items[child];
    }
    items[root] = moved;
}

void s24i_sort(const void **items, int64_t count, s24i_order_fn order)
{
    for (int64_t root = count / 2 - 1; root >= 0; root--)
        sift_down(items, root, count, order);
    for (int64_t last = count - 1; last > 0; last--) {
        const void *largest = items[0];
        items[0] = items[last];
        items[last] = largest;
        sift_down(items, 0, last, order);
    }
}

int64_t s24i_search(const void *sorted, int64_t count, s24i_name_fn name_at, const char *name,
                    bool *found)
{
    int64_t low = 0, high = count;

    *found = false;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(name_at(sorted, middle), name);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *found |= order == 0;
        }
    }
    return low;
}
