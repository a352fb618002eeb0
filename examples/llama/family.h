/* What the architectures have each for itself: one row, all their differences. */
#ifndef LLAMA_FAMILY_H
#define LLAMA_FAMILY_H
#include <stdbool.h>
#include <stdint.h>

/* The sizes of a model, in the order of llama_config. */
enum {
    LLAMA_LAYERS,
    LLAMA_HIDDEN,
    LLAMA_FFN,
    LLAMA_HEADS,
    LLAMA_KV_HEADS,
    LLAMA_HEAD_DIM,
    LLAMA_CONTEXT,
    LLAMA_SIZES
};

typedef enum { LLAMA_NO_WINDOW, LLAMA_ALL_WINDOWS, LLAMA_SOME_WINDOWS } llama_windows;

typedef struct llama_family {
    const char *name;
    bool head_norms;             /* of q and k */
    bool qkv_bias;               /* always */
    bool attention_bias;         /* of q, k, v and o, if the key says so */
    bool mlp_bias;               /* the same */
    llama_windows windows;       /* some: use_sliding_window, layer_types, max_window_layers */
    int64_t sizes[LLAMA_SIZES];  /* what a config.json without the key means; 0: see read_sizes() */
    int64_t window, window_from; /* the same */
} llama_family;

/* NULL: not one of these. */
const llama_family *llama_family_find(const char *name);

#endif
