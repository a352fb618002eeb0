/* What the architectures have each for itself: one row, all their differences. */
#ifndef S24M_FAMILY_H
#define S24M_FAMILY_H
#include "model.h"

/* The sizes of a model, in the order of s24m_config. */
enum {
    S24M_LAYERS,
    S24M_HIDDEN,
    S24M_FFN,
    S24M_HEADS,
    S24M_KV_HEADS,
    S24M_HEAD_DIM,
    S24M_CONTEXT,
    S24M_SIZES
};

typedef enum { S24M_NO_WINDOW, S24M_ALL_WINDOWS, S24M_SOME_WINDOWS } s24m_windows;

typedef struct s24m_family {
    const char *name;
    const s24m_stage *stages;    /* of a block */
    bool head_norms;             /* of q and k */
    bool qkv_bias;               /* always */
    bool attention_bias;         /* of q, k, v and o, if the key says so */
    bool mlp_bias;               /* the same */
    s24m_windows windows;        /* some: use_sliding_window, layer_types, max_window_layers */
    int64_t sizes[S24M_SIZES];   /* what a config.json without the key means; 0: see read_sizes() */
    int64_t window, window_from; /* the same */
} s24m_family;

/* NULL: not one of these. */
const s24m_family *s24m_family_find(const char *name);

#endif
