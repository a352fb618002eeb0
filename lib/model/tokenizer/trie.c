#include "trie.h"
#include <stdlib.h>

static uint64_t key_of(int32_t node, char byte)
{
    return ((uint64_t)(uint32_t)node << 8 | (unsigned char)byte) + 1;
}

static trie_edge *slot_of(const trie *t, uint64_t key)
{
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 24) & t->mask;
    while (t->edges[i].key && t->edges[i].key != key)
        i = (i + 1) & t->mask;
    return t->edges + i;
}

static bool add_node(trie *t)
{
    void *values = t->values;
    if (!s24m_grow(&values, &t->room, t->nodes, 1, sizeof *t->values))
        return false;
    t->values = values;
    t->values[t->nodes++] = -1;
    return true;
}

static bool enlarge(trie *t)
{
    trie old = *t;
    size_t slots = old.edges ? 2 * (old.mask + 1) : 64;
    t->edges = s24m_have(calloc(slots, sizeof *t->edges));
    if (!t->edges) {
        t->edges = old.edges;
        return false;
    }
    t->mask = slots - 1;
    for (size_t i = 0; old.edges && i <= old.mask; i++)
        if (old.edges[i].key)
            *slot_of(t, old.edges[i].key) = old.edges[i];
    free(old.edges);
    return true;
}

static int32_t make_step(trie *t, int32_t node, char byte)
{
    if (2 * t->used >= t->mask && !enlarge(t))
        return -1;
    trie_edge *edge = slot_of(t, key_of(node, byte));
    if (edge->key)
        return edge->node;
    if (!add_node(t))
        return -1;
    *edge = (trie_edge){key_of(node, byte), (int32_t)t->nodes - 1};
    t->used++;
    return edge->node;
}

bool s24m_trie_add(trie *t, const char *text, size_t size, int32_t value)
{
    int32_t node = 0;
    if ((!t->edges && !enlarge(t)) || (!t->nodes && !add_node(t)))
        return false;
    for (size_t i = 0; node >= 0 && i < size; i++)
        node = make_step(t, node, text[i]);
    if (node >= 0)
        t->values[node] = value;
    return node >= 0;
}

void s24m_trie_free(trie *t)
{
    free(t->edges);
    free(t->values);
    *t = (trie){0};
}

int32_t s24m_trie_step(const trie *t, int32_t node, char byte)
{
    if (!t->edges)
        return -1;
    const trie_edge *edge = slot_of(t, key_of(node, byte));
    return edge->key ? edge->node : -1;
}
