/* All weights of a model, packed and in memory, with their products prepared: what makes a forward
 * pass run at the speed of memory. docs/engine.md. */
#ifndef S24M_ENGINE_H
#define S24M_ENGINE_H
#include "pack_weights.h"
#include "program.h"
#include "watch.h"

typedef struct s24m_engine {
    s24m_block *blocks;    /* of all layers, whose weights are packed */
    s24m_head head;        /* the same */
    s24_mat table;         /* the embedding where it lies in the file; or */
    s24_packed *rows;      /* packed: the head's if they are tied; or NULL */
    s24_product *sharing;  /* one whose scratch all products share, borrowed */
    uint64_t bytes, token; /* of all packed matrices; of what a token is multiplied with */
} s24m_engine;

typedef struct s24m_engine_plan {
    s24m_as as, head; /* of the blocks, and of the tables */
    int64_t tokens;   /* of a product, at most: more are taken in slices */
    s24m_watch *watch;
} s24m_engine_plan;

enum { S24M_PANEL = 128 }; /* tokens of a prompt that are taken at a time */

bool s24m_engine_open(const s24m_model *model, const s24m_engine_plan *plan, s24m_engine **out);
/* NULL is allowed. */
void s24m_engine_close(s24m_engine *engine);
/* As s24m_embedding_load(), of the engine's table. */
s24_status s24m_engine_embedding(const s24m_engine *engine, const s24m_model *model, int64_t length,
                                 s24m_embedding *e);
/* The share of tokens that a matrix is multiplied with: experts see those that take them. */
double s24m_share_of_tokens(const s24m_model *model, const s24m_matrix *m);
/* The output head as it is multiplied with when nothing is packed. */
int64_t s24m_head_bytes(const s24m_model *model);

#endif
