/* A small forward pass of Llama-family language models on the public interface alone, cut into the
 * stages between which the inputs of the linear layers can be watched. Knows the architectures
 * llama (Llama 1 to 3, SmolLM2), mistral, qwen2 and qwen3, and the tensor names of Hugging Face and
 * GGUF files. docs/model.md explains it. */
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
    /* Of size / 2 frequencies, in rows up to `trained` and in longer ones, or NULL. */
    double *divisor[2];
} s24m_rope;

typedef struct s24m_config {
    char architecture[16];
    bool gguf;        /* tensor names, and for llama the order of the rows of q and k */
    bool interleaved; /* rotary pairs are rows (2i, 2i + 1) of a head, else (i, i + size / 2) */
    bool tied;        /* the output head is the embedding */
    bool head_norms;  /* of q and k */
    int32_t biased;   /* bit i: linear layer i has a bias; of a GGUF file: if it is there */
    int64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocab;
    int64_t trained; /* positions that the file says, else what its architecture has */
    int64_t context; /* longest sequence, INT64_MAX if the file does not say */
    int64_t window;  /* what windowed layers see, INT64_MAX: all */
    double eps;      /* of the root mean square */
    s24m_rope rope;
} s24m_config;

typedef struct s24m_stage s24m_stage; /* stages.h */

typedef struct s24m_model {
    s24_ctx *ctx;
    s24_file *file;
    s24m_config config;
    const s24m_stage *stages; /* of a block; one without matrices ends them */
    bool *windowed;           /* layers */
    float *cosine, *sine;     /* rope_length x rope.size / 2, made when first needed */
    int64_t rope_length;
} s24m_model;

/* * Open a file or folder as s24_file_open() does, read its configuration and look at all tensors'
 *   names, types and shapes; no weights.
 * S24_E_UNSUPPORTED names what the file says and this pass does not do. The context must outlive
 * the model. */
s24_status s24m_open(s24_ctx *ctx, const char *path, s24m_model **out);
/** NULL is allowed. */
void s24m_close(s24m_model *model);

/* ---- Weights ---- */

/* The linear layers of a block in the order of the forward pass, and what the tensors are
 * called. */
enum { S24M_Q, S24M_K, S24M_V, S24M_O, S24M_GATE, S24M_UP, S24M_DOWN, S24M_LINEARS };
/* Then its norms. */
enum { S24M_ATTENTION_NORM = S24M_LINEARS, S24M_MLP_NORM, S24M_Q_NORM, S24M_K_NORM, S24M_PARTS };
enum { S24M_NORMS = S24M_PARTS - S24M_LINEARS, S24M_NAME = 64 };

typedef struct s24m_linear {
    char name[S24M_NAME]; /* of the weights in the file */
    s24_mat weights;      /* f32, (outputs, inputs) */
    float *bias;          /* outputs, or NULL */
} s24m_linear;

typedef struct s24m_block {
    int64_t layer;
    s24m_linear linear[S24M_LINEARS];
    float *norm[S24M_NORMS]; /* hidden, hidden, head_dim, head_dim; NULL where there is none */
} s24m_block;

/** Extents of a linear layer: outputs and inputs. */
void s24m_shape(const s24m_model *model, int32_t which, int64_t *outputs, int64_t *inputs);
/** Its tensor's name, without loading anything. */
void s24m_name(const s24m_model *model, int64_t layer, int32_t which, char name[S24M_NAME]);
/* * Read one block as f32. The weights may be changed in place. S24_E_NONFINITE names tensor,
 *   row and column of one that is not finite. */
s24_status s24m_block_load(const s24m_model *model, int64_t layer, s24m_block *block);
void s24m_block_free(s24m_block *block);

/* ---- The forward pass, stage by stage ---- */

/* * Sequences of this length that are best taken as one chunk: enough for fast products, little
 *   memory. At least 1. */
int64_t s24m_chunk(int64_t length);
/* * h (count, hidden) = rows of the embedding. Reads the whole table: call it once for all
 *   tokens. */
s24_status s24m_embed(const s24m_model *model, const int32_t *tokens, int64_t count, float *h);
/** x = h / rms(h) * gain, (count, hidden): x may be h. */
s24_status s24m_norm(const s24m_model *model, const float *gain, const float *h, int64_t count,
                     float *x);
/** y (count, outputs) = x (count, inputs) W^T + bias. */
s24_status s24m_project(const s24m_model *model, const s24m_block *block, int32_t which,
                        const float *x, int64_t count, float *y);
/* * The input of o, (tokens, heads * head_dim): norms of q and k, rotary embedding, causal
 *   softmax attention. q and k are changed. */
s24_status s24m_attention(s24m_model *model, const s24m_block *block, float *q, float *k,
                          const float *v, int64_t sequences, int64_t length, float *out);
/** The input of down: x = silu(gate) * up, (count, ffn). x may be gate or up. */
s24_status s24m_gate(const s24m_model *model, const float *gate, const float *up, int64_t count,
                     float *x);
/** h += y, (count, hidden). */
s24_status s24m_add(const s24m_model *model, const float *y, int64_t count, float *h);
/** h = block(h): all of the above, chunk by chunk. */
s24_status s24m_forward_block(s24m_model *model, const s24m_block *block, float *h,
                              int64_t sequences, int64_t length);

/* ---- The output head ---- */

typedef struct s24m_head {
    float *norm;   /* hidden */
    s24_mat table; /* (vocab, hidden), of any float type */
    void *storage; /* of the table if it does not lie in the file */
} s24m_head;

s24_status s24m_head_load(const s24m_model *model, s24m_head *head);
void s24m_head_free(s24m_head *head);
/** logits (count, vocab) of `count` rows of h. */
s24_status s24m_logits(const s24m_model *model, const s24m_head *head, const float *h,
                       int64_t count, float *logits);
/* * nll (sequences, length - 1): -log p of each token after the first of its sequence, given those
 *   before. Logits are made for a few rows at a
 *  time; sums are in double. */
s24_status s24m_head_loss(const s24m_model *model, const s24m_head *head, const float *h,
                          const int32_t *tokens, int64_t sequences, int64_t length, double *nll);

/* * Operations of a forward pass over a chunk, two for each multiplication: `block` of one block,
 *   `head` of the output head; masked
 *  attention counts for nothing. */
void s24m_flops(const s24m_model *model, int64_t sequences, int64_t length, double *block,
                double *head);

#endif
