/* A matrix whose weights are made of parts that are trained: of codes and scales of a grid, of a
 * sparse part and factors of a rank, or of all of these. Its weights from the parts, the gradients
 * of the parts from that of the weights, and the parts as they are stored.
 *
 * On a grid a weight is s (code - o) + m, with code = round((latent - m) / s + o) within the codes
 * that the matrix has: o a zero that is a code, m one that is a value. Latents begin at the weights
 * and take their gradient where the code is not held back (straight through: Bengio, Leonard,
 * Courville, arXiv 1308.3432). Scales take (code - o), where it is not less (latent - m) / s
 * (learned step sizes: Esser and others, arXiv 1902.08153). */
#ifndef S24M_COMPOSED_H
#define S24M_COMPOSED_H
#include "adam.h"
#include "codes.h"
#include "made.h"

typedef struct s24m_composed {
    s24_ctx *ctx;
    int64_t rows, cols, group,
        rank;              /* group: columns that share a scale, 0: no grid; rank 0: none */
    float *w, *gradient;   /* of the products */
    float *offset, *least; /* (rows, groups): o and m */
    int32_t low, top;      /* codes that there are */
    unsigned char *codes;  /* as they were: those of pruned places stay */
    int32_t scale_type, zero_type;
    s24m_parameter *latent, *scales, *u, *v; /* NULL: there is none */
    float *room;
    char *names;
    bool settled; /* w is what will be stored, whatever the parameters are */
} s24m_composed;

/* Whether a matrix of such constraints and parts can be trained. */
bool s24m_composed_can(const codes *parts);
/* `values`: the matrix. Its parts become parameters; at most 4. */
bool s24m_composed_open(s24m_composed *c, s24m_adam *adam, const char *tensor,
                        const char *constraints, const codes *parts, const s24_mat *values);
/* w from the parameters. */
bool s24m_composed_make(s24m_composed *c);
/* The gradient of w joins those of the parameters, and becomes 0. */
bool s24m_composed_spread(s24m_composed *c);
/* The best parts as they are stored, and w from them; *fits: all are finite, and scales above 0. */
bool s24m_composed_settle(s24m_composed *c, made_parts *made, bool *fits);
void s24m_composed_close(s24m_composed *c);
/* Bytes beside those of Adam, for a matrix of so many weights. */
uint64_t s24m_composed_bytes(int64_t count);

#endif
