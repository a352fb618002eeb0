/* Which tensors of a file are the weights of linear layers, and how their matrices lie. Knows names, shapes and types, no
 * constraints. */
#ifndef WEIGHTS_H
#define WEIGHTS_H
#include "source.h"

/* What a file is, learned from all of its tensors. */
typedef struct survey {
    bool experts;      /* it has experts, and so routers */
    bool model;        /* it has numbered blocks, and what lies outside is no weight of a layer */
    bool conv1d;       /* its c_attn, c_fc, c_proj are GPT-2's: inputs x outputs */
    bool experts_turn; /* so are its experts */
} survey;

enum {
    WEIGHTS,         /* of a linear layer, or of one a expert */
    WEIGHTS_NONE,    /* a bias, a norm, a scale: nothing that constraints are about */
    WEIGHTS_OUTSIDE, /* embeddings, head */
    WEIGHTS_LEFT,    /* a matrix that is left as it is, which is said */
    WEIGHTS_CLOSED   /* weights that cannot be read */
};

/* One tensor: a row of matrices outputs x inputs. */
typedef struct weights {
    int kind;
    const char *why; /* WEIGHTS_LEFT and WEIGHTS_CLOSED: the reason */
    int64_t count;   /* of matrices: more than one if the rank is 3 */
    bool turned;     /* they lie inputs x outputs */
} weights;

survey weights_survey(const s24_file *file);
weights weights_of(const s24_file *file, const survey *s, const char *name);
/* Matrix `index` of the tensor that `whole` shows, outputs x inputs. */
s24_mat weights_matrix(const weights *w, const s24_mat *whole, int64_t index);

#endif
