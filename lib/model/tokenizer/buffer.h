/* Bytes and ids that grow. Know no meaning. */
#ifndef S24M_BUFFER_H
#define S24M_BUFFER_H
#include "../fail.h"

typedef struct buffer {
    char *data;
    size_t size, room;
} buffer;

typedef struct id_list {
    int32_t *ids;
    size_t count, room;
} id_list;

/* Room for `more` items of `size` bytes behind `count` of them; S24_E_MEMORY and false without. */
bool s24m_grow(void **items, size_t *room, size_t count, size_t more, size_t size);
bool s24m_buffer_add(buffer *b, const void *bytes, size_t size);
void s24m_buffer_free(buffer *b);
bool s24m_ids_add(id_list *list, int32_t id);
void s24m_ids_free(id_list *list);

#endif
