#include "buffer.h"
#include <stdlib.h>
#include <string.h>

bool s24m_grow(void **items, size_t *room, size_t count, size_t more, size_t size)
{
    if (count + more <= *room)
        return true;
    size_t wanted = count + more < 2 * *room ? 2 * *room : count + more + 8;
    void *grown = wanted < SIZE_MAX / 2 / size ? realloc(*items, wanted * size) : NULL;
    if (!s24m_have(grown))
        return false;
    *items = grown;
    *room = wanted;
    return true;
}

bool s24m_buffer_add(buffer *b, const void *bytes, size_t size)
{
    void *data = b->data;
    if (!s24m_grow(&data, &b->room, b->size, size, 1))
        return false;
    b->data = data;
    if (size)
        memcpy(b->data + b->size, bytes, size);
    b->size += size;
    return true;
}

void s24m_buffer_free(buffer *b)
{
    free(b->data);
    *b = (buffer){0};
}

bool s24m_ids_add(id_list *list, int32_t id)
{
    void *ids = list->ids;
    if (!s24m_grow(&ids, &list->room, list->count, 1, sizeof id))
        return false;
    list->ids = ids;
    list->ids[list->count++] = id;
    return true;
}

void s24m_ids_free(id_list *list)
{
    free(list->ids);
    *list = (id_list){0};
}
