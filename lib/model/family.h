/* What the architectures have each for itself: one row, all their differences from Llama. To add
 * one, add a row in arch/: docs/howto/add-an-architecture.md. */
#ifndef S24M_FAMILY_H
#define S24M_FAMILY_H
#include "model.h"

typedef enum {
    S24M_NO_WINDOW,
    S24M_ALL_WINDOWS,
    S24M_SOME_WINDOWS,  /* use_sliding_window, max_window_layers, layer_types */
    S24M_LISTED_WINDOWS /* layer_types, or a pattern */
} s24m_windows;

/* Where norms stand around attention and MLP. */
enum {
    S24M_BEFORE_ATTENTION = 1,
    S24M_AFTER_ATTENTION = 2,
    S24M_BEFORE_MLP = 4,
    S24M_AFTER_MLP = 8,
    S24M_OVER_ATTENTION = 16, /* of h, once attention was added to it */
    S24M_OVER_MLP = 32,
    S24M_BEFORE = S24M_BEFORE_ATTENTION | S24M_BEFORE_MLP,
    S24M_AFTER = S24M_AFTER_ATTENTION | S24M_AFTER_MLP,
    S24M_AROUND = S24M_BEFORE | S24M_AFTER,
    S24M_OVER = S24M_OVER_ATTENTION | S24M_OVER_MLP
};

/* What gains are stored as. */
typedef enum { S24M_GAIN, S24M_GAIN_LESS_ONE, S24M_NO_GAIN } s24m_gain;

/* How the rows of a tensor for q, k and v stand. */
typedef enum {
    S24M_SEPARATE, /* three tensors */
    S24M_BLOCKS,   /* all of q, all of k, all of v */
    S24M_BY_HEAD,  /* q, k, v of each head */
    S24M_BY_GROUP, /* the queries of a key's head, the key, the value */
    S24M_SWITCHED  /* three tensors; q of each head is followed by a switch of its output */
} s24m_qkv;

typedef enum { S24M_GATED, S24M_FUSED_GATE, S24M_PLAIN_MLP } s24m_mlp;

/* Norms of q and k. */
typedef enum {
    S24M_NO_HEAD_NORMS,
    S24M_HEAD_NORMS, /* one gain for all heads */
    S24M_OWN_NORMS,  /* a gain for each head */
    S24M_WIDE_NORMS  /* of all heads together */
} s24m_head_norms;

typedef enum { S24M_HALVES, S24M_PAIRS, S24M_UNTURNED } s24m_rotary;

/* Which layers turn. */
typedef enum {
    S24M_TURN_ALL,
    S24M_TURN_LISTED,           /* those that no_rope_layers does not name */
    S24M_TURN_WINDOWED,         /* those with a window */
    S24M_TURN_WINDOWED_IF_THERE /* the same, if the model has windows */
} s24m_turning;

/* What is added to scores with the distance. */
typedef enum {
    S24M_NO_ALIBI,
    S24M_ALIBI,        /* slopes of the nearest power of two of heads, then those between */
    S24M_ALIBI_EVERY,  /* every second slope of the next power of two, then those between */
    S24M_ALIBI_ROUNDED /* the first, as 16-bit floats, and scaled as scores are */
} s24m_alibi;

/* A key of its own for a common one; what a missing key means. */
typedef struct s24m_word {
    const char *key, *is;
} s24m_word;

/* Biases of some roles: always, or if a key says so. */
typedef struct s24m_biases {
    int32_t roles; /* bits */
    const char *key;
} s24m_biases;

typedef enum {
    S24M_SOFTMAX,
    S24M_SIGMOID,
    S24M_SOFTMAX_OF_USED,
    S24M_NEAR_BEST /* one after the other: the best's softmax among those near it */
} s24m_score;
/* Experts as tensors: each its own ones; or all in one of three dimensions. */
typedef enum {
    S24M_EACH,
    S24M_STACKED,       /* (experts, outputs, inputs), gate above up */
    S24M_STACKED_TURNED /* (experts, inputs, outputs), gate and up in turn */
} s24m_stacking;

typedef struct s24m_routing {
    s24m_score score;
    s24m_stacking stacking;
    bool renormalised;      /* always; else norm_topk_prob says it */
    bool renormalised_gguf; /* where a GGUF file does not say it */
    bool correction;        /* of the choice, a tensor */
    bool correction_row;    /* of one row */
    bool shared, switched;  /* experts for all; with a switch */
} s24m_routing;

struct s24m_family {
    const char *name;  /* config.model_type */
    s24m_word when[3]; /* of several rows of a name: keys, and what they are for this one */
    const char *gguf;  /* general.architecture; NULL: the same word */
    bool only_json;    /* no GGUF file has it, or it is another model there */
    bool permuted;     /* in GGUF files rows of q and k stand so that pairs are neighbours */
    /* Names of tensors in Hugging Face files, NULL: Llama's; an empty last_norm: none. */
    const char *blocks, *embedding, *last_norm, *output;
    bool encoder;          /* every token sees all others; hidden states are what comes out */
    bool image;            /* it sees patches of images */
    const char *types;     /* table of kinds of tokens, of which all are the first; NULL: none */
    const char *project;   /* before "in" and "out": tables narrower than h; NULL: never */
    const char *carried;   /* names, in a row, that stand below the first word and play no part */
    const char *positions; /* learned; NULL: none */
    int64_t position_offset;
    bool offset_inside;         /* max_position_embeddings counts the rows before it */
    const char *embedding_norm; /* NULL: none */
    const char *part[S24M_PARTS];
    const char *gguf_mlp_norm; /* its name in GGUF files, where it is not ffn_norm */
    /* Keys, each list ended by a NULL. */
    const s24m_word *keys, *defaults;
    const char *applies; /* keys of multipliers.c that are no others' */
    /* The block. */
    s24m_norm_kind norm;
    s24m_gain gain;
    bool shifts;   /* norms have biases */
    int32_t norms; /* bits; 0: S24M_BEFORE */
    bool parallel; /* attention and MLP start from the same h */
    s24m_qkv qkv;
    bool transposed; /* weights are (inputs, outputs) */
    s24m_head_norms head_norms;
    bool norms_after_rotation;
    s24m_rotary rotary;
    s24m_turning turning;
    s24m_windows windows;
    int64_t pattern; /* listed windows: every so many layers one has none */
    s24m_alibi alibi;
    bool sinks, delta, head_bias;
    int64_t wide_from;     /* a GGUF file of so many layers scales scores by hidden / heads */
    bool unscaled;         /* scores are not divided by the root of the head's size */
    bool scaled_embedding; /* by sqrt(hidden) */
    int64_t kv_heads;      /* whatever keys say; 0: as they say */
    bool divided;          /* loaders take hidden / heads for the size of a head, whatever it is */
    bool divided_gguf;     /* those of its GGUF files do */
    s24m_mlp mlp;
    int64_t ffn_times;          /* hidden, where no key says how wide it is */
    s24m_activation activation; /* where no key says it */
    s24m_biases biases[3];
    const s24m_routing *experts;
};

/* The row of a file's architecture. S24_E_UNSUPPORTED names the nearest, or the key that no row of
 * this name has. */
s24_status s24m_family_find(const s24_file *file, const char *prefix, const char *name, bool gguf,
                            const s24m_family **out);
/* All of them, in the order of the tables; NULL behind the last. */
const s24m_family *s24m_family_at(int32_t index);

/* The word of a list that goes with a key; NULL: it is not there. */
const char *s24m_word_of(const s24m_word *words, const char *key);
/* One of the keys that the row applies. */
bool s24m_family_applies(const s24m_family *family, const char *key);

/* Tables of arch/, each ended by a row without a name. */
extern const s24m_family s24m_rms_families[], s24m_layer_families[], s24m_expert_families[],
    s24m_delta_families[], s24m_encoder_families[];

#endif
