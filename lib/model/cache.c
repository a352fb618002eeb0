#include "cache.h"
#include <stdlib.h>

static int64_t floats(const s24m_model *model, int64_t rows, int64_t length)
{
    const s24m_config *c = &model->config;
    return c->layers * rows * length * c->kv_heads * c->head_dim;
}

uint64_t s24m_cache_bytes(const s24m_model *model, int64_t rows, int64_t length)
{
    return 2 * (uint64_t)floats(model, rows, length) * sizeof(float);
}

bool s24m_cache_open(s24m_cache *cache, const s24m_model *model, int64_t rows, int64_t length)
{
    const s24m_config *c = &model->config;
    size_t size = (size_t)floats(model, rows, length) * sizeof(float);
    *cache = (s24m_cache){.rows = rows, .length = length, .width = c->kv_heads * c->head_dim};
    cache->keys = s24m_have(malloc(size));
    cache->values = cache->keys ? s24m_have(malloc(size)) : NULL;
    if (!cache->values)
        s24m_cache_close(cache);
    return cache->values;
}

void s24m_cache_close(s24m_cache *cache)
{
    free(cache->keys);
    free(cache->values);
    *cache = (s24m_cache){0};
}

void s24m_cache_rows(const s24m_cache *cache, int64_t layer, float *rows[2])
{
    int64_t at = (layer * cache->rows + cache->first) * cache->length * cache->width;
    rows[0] = cache->keys + at;
    rows[1] = cache->values + at;
}
