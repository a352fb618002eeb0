#include "list.h"
#include <string.h>

s24_status s24i_list_reserve(s24i_memory *memory, s24i_list *l, size_t size)
{
    if (l->count < l->room)
        return S24_OK;
    int64_t room = l->room ? 2 * l->room : 16;
    void *items = s24i_alloc(memory, s24i_mul((size_t)room, size));
    if (!items)
        return S24_E_MEMORY;
    if (l->count)
        memcpy(items, l->items, (size_t)l->count * size);
    s24i_free(memory, l->items, (size_t)l->room * size);
    l->items = items;
    l->room = room;
    return S24_OK;
}

void s24i_list_insert(s24i_list *l, int64_t at, const void *item, size_t size)
{
    char *place = (char *)l->items + (size_t)at * size;

    memmove(place + size, place, (size_t)(l->count - at) * size);
    memcpy(place, item, size);
    l->count++;
}

void s24i_list_remove(s24i_list *l, int64_t at, size_t size)
{
    char *place = (char *)l->items + (size_t)at * size;

    memmove(place, place + size, (size_t)(--l->count - at) * size);
}

void s24i_list_free(s24i_memory *memory, s24i_list *l, size_t size)
{
    s24i_free(memory, l->items, (size_t)l->room * size);
    *l = (s24i_list){0};
}
