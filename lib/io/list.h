/* An array that grows; the size of an element is passed in. Knows no elements. */
#ifndef S24I_LIST_H
#define S24I_LIST_H
#include "base/memory.h"

typedef struct s24i_list {
    void *items;
    int64_t count, room;
} s24i_list;

/* Room for one more element. */
s24_status s24i_list_reserve(s24i_memory *memory, s24i_list *list, size_t size);
/* Insert at `at`, for which there is room. */
void s24i_list_insert(s24i_list *list, int64_t at, const void *item, size_t size);
void s24i_list_remove(s24i_list *list, int64_t at, size_t size);
void s24i_list_free(s24i_memory *memory, s24i_list *list, size_t size);

#endif
