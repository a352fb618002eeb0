#include "names.h"
#include "base/sort.h"
#include <string.h>

static const char *name_at(const void *sorted, int64_t index)
{
    return ((const char *const *)sorted)[index];
}

bool s24i_names_hold(const s24i_names *names, const char *name)
{
    const char *const *run = names->list.items;
    bool found = false;

    for (int64_t left = names->list.count, length; left && !found; left -= length, run += length) {
        length = (int64_t)1 << (63 - __builtin_clzll((unsigned long long)left));
        s24i_search(run, length, name_at, name, &found);
    }
    return found;
}

s24_status s24i_names_reserve(s24i_memory *memory, s24i_names *names)
{
    return s24i_list_reserve(memory, &names->list, sizeof(char *));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* As a binary counter carries: the last runs of equal length become one. */
void s24i_names_add(s24i_names *names, const char *name)
{
    s24i_list_insert(&names->list, names->list.count, &name, sizeof name);
    int64_t length = names->list.count & -names->list.count;
    s24i_sort((const void **)names->list.items + names->list.count - length, length, by_text);
}

void s24i_names_free(s24i_memory *memory, s24i_names *names)
{
    s24i_list_free(memory, &names->list, sizeof(char *));
}
