#include "sort.h"

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
