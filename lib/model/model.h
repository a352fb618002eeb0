/* A forward pass of language models on the public interface alone, cut into the stages between
 * which the inputs of the linear layers can be watched. What an architecture is stands in a row of
 * a table (family.h, arch/); this is what comes of the row and the configuration. docs/model.md
 * explains it. */
#ifndef S24M_MODEL_H
#define S24M_MODEL_H
#include "fail.h"

/*
 * Every function returns S24_OK, or a status whose text s24_last_error() gives; then outputs are
 * unspecified. Activations are f32, row-major, one row a token; a chunk is `sequences` whole
 * sequences of `length` tokens each, position 0 first. Results have equal bits for every number of
 * threads. A model serves one thread at a time; the work itself runs on the context's threads.
 */

/* How positions turn into angles; docs/model.md has the formulas. */
typedef enum s24m_rope_type {
    S24M_ROPE_DEFAULT,
    S24M_ROPE_LINEAR,
    S24M_ROPE_DYNAMIC,
    S24M_ROPE_YARN,
    S24M_ROPE_LONGROPE,
    S24M_ROPE_LLAMA3,
    S24M_ROPE_TYPES
} s24m_rope_type;

typedef struct s24m_rope {
    s24m_rope_type type;
    int64_t size; /* the first `size` elements of a head are turned */
    double base, factor;
    double trained;   /* tokens of the training, before any stretching */
    double attention; /* cosines and sines are multiplied by it */
    double low, high; /* yarn: pairs, llama3: turns, between which is interpolated */
    double beta;      /* q grows by 1 + beta ln(1 + floor(position / trained)) */
    /* Of size / 2 frequencies, in rows up to `trained` and in longer ones, or NULL. */
    double *divisor[2];
} s24m_rope;

/* Layers may turn differently with a window and without; or not at all. */
enum { S24M_ROPE_FULL, S24M_ROPE_WINDOWED, S24M_ROPES, S24M_NO_ROPE = -1 };

typedef enum s24m_activation {
    S24M_SILU,
    S24M_GELU,
    S24M_GELU_TANH,
    S24M_RELU,
    S24M_RELU2,
    S24M_ACTIVATIONS
} s24m_activation;

typedef enum s24m_norm_kind {
    S24M_RMS,  /* h / rms(h) * gain + shift */
    S24M_LAYER /* the same of h - mean(h) */
} s24m_norm_kind;

/* Mixture of experts: how many, how many of them a token takes. */
typedef struct s24m_experts {
    int64_t count, used, ffn, shared; /* shared: width of those that every token takes; 0: none */
    int64_t groups, best;             /* experts stand in groups, of which the best are open */
    bool renormalise;                 /* weights of the used ones add up to 1 */
    double factor;                    /* of the weights */
    double limit, alpha;              /* of gpt-oss's gate */
    double near;                      /* how far below the best, relatively, a rival may be */
} s24m_experts;

typedef struct s24m_delta {
    int64_t key_heads, value_heads, key_size, value_size, kernel;
} s24m_delta;

/* What an image encoder sees; size 0: the model takes tokens. */
typedef struct s24m_image {
    int64_t size, patch, channels; /* pixels of a side; of a patch's */
    int64_t tokens, values;        /* of an image: patches and one more; channels size size */
} s24m_image;

typedef struct s24m_config {
    char architecture[32];
    bool gguf;        /* tensor names, and for llama the order of the rows of q and k */
    bool interleaved; /* rotary pairs are rows (2i, 2i + 1) of a head, else (i, i + size / 2) */
    bool tied;        /* the output head is the embedding */
    bool parallel;    /* attention and MLP start from the same h */
    int qkv;          /* s24m_qkv: how the rows of q, k and v stand in this kind of file */
    int32_t biased;   /* bit i: role i has a bias; of a GGUF file: if it is there */
    int64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocab;
    int64_t width;   /* of the vocabulary's tables: hidden, or less where h is projected */
    int64_t types;   /* rows of the table of kinds of tokens; 0: there is none */
    int64_t trained; /* positions that the file says, else what its architecture has */
    int64_t context; /* longest sequence, INT64_MAX if the file does not say */
    int64_t window;  /* what windowed layers see, INT64_MAX: all */
    double eps;      /* of norms */
    double scale;    /* of scores, 1 / sqrt(head_dim) if nothing is said */
    double soft_cap, final_soft_cap; /* 0: none */
    double embedding_scale, residual_scale, logit_scale;
    s24m_activation activation;
    s24m_experts experts;
    s24m_delta delta;
    s24m_image image;
    s24m_rope rope[S24M_ROPES];
} s24m_config;

typedef struct s24m_layer {
    bool windowed;
    bool recurrent; /* the delta rule instead of attention */
    bool experts;   /* instead of one MLP */
    int8_t rope;    /* S24M_NO_ROPE, or which */
    int16_t program;
} s24m_layer;

typedef struct s24m_family s24m_family;   /* family.h */
typedef struct s24m_program s24m_program; /* program.h */

typedef struct s24m_angles {
    float *cosine, *sine; /* length x rope.size / 2, made when first needed */
    int64_t length;
} s24m_angles;

typedef struct s24m_model {
    s24_ctx *ctx;
    s24_file *file;
    const s24m_family *family;
    const char *root, *outer; /* before names of tensors, instead of the family's; or NULL */
    s24m_config config;
    s24m_layer *layer;      /* layers */
    s24m_program *programs; /* of blocks, one for each kind of layer */
    int32_t program_count;
    int64_t matrix_count; /* of all layers */
    s24m_angles angles[S24M_ROPES];
} s24m_model;

/* * Open a file or folder as s24_file_open() does, read its configuration and look at all tensors'
 *   names, types and shapes; no weights.
 * S24_E_UNSUPPORTED names what the file says and this pass does not do. The context must outlive
 * the model. */
s24_status s24m_open(s24_ctx *ctx, const char *path, s24m_model **out);
/** NULL is allowed. */
void s24m_close(s24m_model *model);

/* ---- Weights ---- */

/* What the tensors of a block are for. First those that are multiplied with: */
enum {
    S24M_Q, /* of a fused tensor: q, k and v */
    S24M_K,
    S24M_V,
    S24M_O,
    S24M_GATE, /* of a fused tensor: gate and up */
    S24M_UP,
    S24M_DOWN,
    S24M_DELTA_QKV,
    S24M_DELTA_Z,
    S24M_DELTA_B,
    S24M_DELTA_A,
    S24M_DELTA_OUT,
    S24M_ROUTER,
    S24M_EXPERT_GATE,
    S24M_EXPERT_UP,
    S24M_EXPERT_DOWN,
    S24M_SHARED_GATE,
    S24M_SHARED_UP,
    S24M_SHARED_DOWN,
    S24M_SHARED_SWITCH,
    S24M_ROLES
};
/* Then vectors: */
enum {
    S24M_ATTENTION_NORM = S24M_ROLES,
    S24M_ATTENTION_OUT_NORM,
    S24M_MLP_NORM,
    S24M_MLP_OUT_NORM,
    S24M_Q_NORM,
    S24M_K_NORM,
    S24M_SINKS,       /* scores of nothing */
    S24M_CONVOLUTION, /* of the delta rule */
    S24M_DECAY,
    S24M_STEP,
    S24M_DELTA_NORM,
    S24M_CORRECTION, /* of the router's choice */
    S24M_PARTS,
    S24M_NO_PART = -1
};
enum { S24M_VECTORS = S24M_PARTS - S24M_ROLES, S24M_NAME = 160 };

/* A matrix of a block: numbered as its program lists them. */
typedef struct s24m_linear {
    char name[S24M_NAME]; /* of the weights in the file; a slice of a tensor ends in [i] */
    s24_mat weights;      /* f32, (outputs, inputs); data NULL: they are packed */
    float *bias;          /* outputs, or NULL */
    s24_packed *packed;   /* engine.h; or NULL */
    s24_product *product; /* with it */
} s24m_linear;

typedef struct s24m_block {
    int64_t layer;
    const s24m_program *program;
    s24m_linear *linear;
    float *gain[S24M_VECTORS];  /* NULL where there is none */
    float *shift[S24M_VECTORS]; /* of norms, or NULL */
} s24m_block;

const s24m_program *s24m_program_of(const s24m_model *model, int64_t layer);
/** Matrices of a block. */
int32_t s24m_matrices(const s24m_model *model, int64_t layer);
/** Extents of one: outputs and inputs. */
void s24m_shape(const s24m_model *model, int64_t layer, int32_t which, int64_t *outputs,
                int64_t *inputs);
/** Its tensor's name, without loading anything. */
void s24m_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME]);
/* * Read one block as f32. The weights may be changed in place. S24_E_NONFINITE names tensor,
 *   row and column of one that is not finite. */
s24_status s24m_block_load(const s24m_model *model, int64_t layer, s24m_block *block);
void s24m_block_free(s24m_block *block);
/* The same, but `take` sees each matrix twice: before its weights are read, which they are not if
 * linear->packed is there afterwards, and when they are. */
typedef s24_status (*s24m_take_fn)(void *arg, const s24m_block *block, int32_t which);
s24_status s24m_block_take(const s24m_model *model, int64_t layer, s24m_take_fn take, void *arg,
                           s24m_block *block);

/* ---- The forward pass ---- */

/* * Sequences of this length that are best taken as one chunk: enough for fast products, little
 *   memory. At least 1. */
int64_t s24m_chunk(int64_t length);
/** Values of 32 bits that a row of the input holds: token ids, or an image's pixels as floats. */
int64_t s24m_row_values(const s24m_model *model, int64_t length);
/* * h (sequences * length, hidden): rows of the embedding, scaled, with positions and normalised
 *   where the architecture does. Reads the whole table: call it once for all tokens. */
s24_status s24m_embed(const s24m_model *model, const int32_t *tokens, int64_t sequences,
                      int64_t length, float *h);
/* * What that reads, kept: for rows of at most `length` tokens. `table`: the embedding, if it is
 *   there already; NULL: it is read. */
typedef struct s24m_embedding {
    s24_mat table;
    void *storage;                   /* of the table if it does not lie in the file */
    float *positions, *gain, *shift; /* NULL where there is none */
    float *types, *project;          /* kinds of tokens; from rows of the table to h; or NULL */
    const s24_packed *packed;        /* the table instead, borrowed; or NULL */
} s24m_embedding;
s24_status s24m_embedding_load(const s24m_model *model, int64_t length, const s24_mat *table,
                               s24m_embedding *e);
void s24m_embedding_free(s24m_embedding *e);
/* * Rows of it: `length` tokens of each sequence, which stand behind `past` others. */
typedef struct s24m_places {
    int64_t sequences, length, past;
} s24m_places;
s24_status s24m_embedding_rows(const s24m_model *model, const s24m_embedding *e,
                               const int32_t *tokens, const s24m_places *at, float *h);
/** h = block(h), chunk by chunk. */
s24_status s24m_forward_block(s24m_model *model, const s24m_block *block, float *h,
                              int64_t sequences, int64_t length);

/* ---- The output head ---- */

typedef struct s24m_head {
    float *norm, *shift;  /* hidden; NULL: none */
    s24_mat table;        /* (vocab, hidden), of any float type */
    float *bias;          /* vocab, or NULL */
    float *project;       /* from h to the table's width, or NULL */
    void *storage;        /* of the table if it does not lie in the file */
    s24_packed *packed;   /* the table instead, which then has no data; or NULL */
    s24_product *product; /* with it */
} s24m_head;

/** An encoder: hidden states are what comes out. */
bool s24m_is_encoder(const s24m_model *model);
/** Its hidden states from what the last block left, in place: the last norm, if there is one. */
s24_status s24m_last_norm(const s24m_model *model, float *h, int64_t count);
/** S24_E_UNSUPPORTED: it has none. */
s24_status s24m_head_check(const s24m_model *model);
s24_status s24m_head_load(const s24m_model *model, s24m_head *head);
/** All of it but the table, whose data are NULL. */
s24_status s24m_head_load_rest(const s24m_model *model, s24m_head *head);
void s24m_head_free(s24m_head *head);
/** logits (count, vocab) of `count` rows of h. */
s24_status s24m_logits(const s24m_model *model, const s24m_head *head, const float *h,
                       int64_t count, float *logits);
/* * nll (sequences, length - 1): -log p of each token after the first of its sequence, given those
 *   before. Logits are made for a few rows at a
 *  time; sums are in double. */
s24_status s24m_head_loss(const s24m_model *model, const s24m_head *head, const float *h,
                          const int32_t *tokens, int64_t sequences, int64_t length, double *nll);

/* * Operations of a forward pass over a chunk, two for each multiplication: `blocks` of all blocks
 *   from `first` on that are `count`, `head` of the output head; masked
 *  attention counts for nothing. */
double s24m_flops(const s24m_model *model, int64_t layer, int64_t sequences, int64_t length);
double s24m_flops_blocks(const s24m_model *model, int64_t sequences, int64_t length);
double s24m_flops_head(const s24m_model *model, int64_t sequences, int64_t length);

#endif
