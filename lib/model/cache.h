/* The keys and values of the tokens that rows have so far, of every layer: what makes the next
 * token cheap. Knows attention's layout, no sampling. */
#ifndef S24M_CACHE_H
#define S24M_CACHE_H
#include "model.h"

typedef struct s24m_cache {
    int64_t rows, length; /* of each row, at most: its angles are those of a row of this length */
    int64_t past;         /* tokens that are in it */
    int64_t first;        /* the row that the stream at hand begins with */
    int64_t width;        /* kv_heads * head_dim */
    float *keys, *values; /* layers x rows x length x width, keys after their rotation */
} s24m_cache;

uint64_t s24m_cache_bytes(const s24m_model *model, int64_t rows, int64_t length);
bool s24m_cache_open(s24m_cache *cache, const s24m_model *model, int64_t rows, int64_t length);
void s24m_cache_close(s24m_cache *cache);
/* Where the keys and values of `first` and the rows behind it stand in a layer: (rows, length,
 * width). */
void s24m_cache_rows(const s24m_cache *cache, int64_t layer, float *rows[2]);

#endif
