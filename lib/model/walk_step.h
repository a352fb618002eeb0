/* What the parts of the walk share: one block's way, stage by stage. */
#ifndef WALK_STEP_H
#define WALK_STEP_H
#include "walk.h"

/* Rows of a matrix that one rank solves. */
typedef struct portion {
    int32_t i; /* of the group's matrices */
    int64_t first, count;
} portion;

/* The sums of a group of matrices. */
typedef struct bundle {
    s24m_group group;
    bool watching;     /* it has something to solve */
    s24_gram *gram[2]; /* calibration, held out */
    s24_cross *cross[2][S24M_ABREAST];
    bool sharing; /* crosses are derived, one matrix after the other, from those of the inputs: */
    s24_gram *dense[2]; /* of the dense model's inputs */
    s24_cross *shared[2];
    int64_t tokens[2]; /* that it saw */
    int64_t
        unit[S24M_ABREAST]; /* s24m_rows_apart() of each; then, of several ranks, the sums are */
    portion mine[S24M_ABREAST]; /* those of all tokens, and crosses those of these rows */
    int32_t portions;
} bundle;

/* The walk of one block. */
typedef struct step {
    walk *w;
    const s24m_program *program;
    const s24m_block *dense; /* as the file has it */
    s24m_block *compressed;  /* the same with the solved weights so far */
    matrix *matrices;
    const s24m_stage *stage; /* at hand; the one without matrices: behind the last */
    bundle *bundles;         /* at hand */
    int32_t count_bundles;
    s24_gram *pool; /* of a routed stage: the tokens of all experts */
    bool pooling;   /* it is being filled */
    bool resumed;   /* the block is there as an earlier run left it */
    bool again;     /* the streams went through this stage already */
    int part;       /* of the block, for the progress */
    /* The chunk at hand: */
    int held;             /* 1: of the held-out sequences */
    float weight;         /* of its tokens in the sums */
    int64_t first, count; /* tokens */
} step;

static inline bool corrects(const walk *w)
{
    return w->settings->correct > 0;
}

/* A row-major view of floats. */
static inline s24_mat walk_view(const float *data, int64_t rows, int64_t cols)
{
    s24_mat mat = {0};
    s24_mat_rowmajor(&mat, (void *)(uintptr_t)data, rows, cols, S24_F32);
    return mat;
}

/* ---- walk_sums.c: sums of the groups of a stage ---- */

/* Those from group `first` on that are gathered in one pass. */
bool s24m_bundles_open(step *s, int32_t first);
void s24m_bundles_close(step *s);
/* Before they are used: an expert's sums with those of all tokens. */
bool s24m_bundles_merge(step *s);
bool s24m_wants(const step *s, int32_t which);
/* The crosses of the i-th matrix, or of the rows `w` of it, where they are derived, until it is
 * solved. */
bool s24m_bundle_aim(step *s, bundle *b, int i, const s24_mat *w);
void s24m_bundle_aimed(bundle *b, int i);
/* The sums of the i-th matrix. */
void s24m_bundle_sums(const bundle *b, int i, sums *calib, sums *held);
/* A chunk's inputs x of the stage at hand, and what each matrix should give for them, as outputs
 * of the dense model, whose inputs are `dense` (NULL: something else is wanted than those); outputs
 * NULL: nothing is corrected. */
bool s24m_watch_inputs(step *s, const float *x, const float *dense, float *const *outputs);
/* The same of a matrix that writes to the residual stream. */
bool s24m_watch_kept_inputs(step *s, const float *x);
/* Of experts: each sees its own tokens. */
bool s24m_watch_routed_inputs(step *s);

/* ---- walk_ranks.c: the sums of all ranks, and who solves what ---- */

/* Put the sums of all ranks in the place of this one's. Nothing where it is alone. */
bool s24m_bundles_join(step *s);
/* Which rows of a bundle's matrices a rank solves; returns how many portions. */
int32_t s24m_portions_of(const step *s, const bundle *b, int32_t rank, portion to[S24M_ABREAST]);

/* ---- walk_portions.c: a bundle solved by several ranks ---- */

/* Solve this rank's portions and take those of the others: each matrix is whole everywhere. */
bool s24m_portions_solve(step *s, bundle *b);

/* ---- walk_refine.c: a block once it is solved ---- */

/* Keep h as it is at the head of the block. */
bool s24m_walk_keep(step *s);
/* Train the block's matrices and vectors. */
bool s24m_walk_refine(step *s, trained *vectors);
/* All tokens through the block as it has become. */
bool s24m_walk_again(step *s);
/* Of this part of the block; its time. */
void s24m_walk_part(const step *s);
bool s24m_walk_show(const step *s, const char *phase, double share);

/* ---- walk_room.c: stores, room, the guess of time ---- */

/* Tokens that are taken at once, at most. */
int64_t s24m_chunk_tokens(const int64_t sequences[2], int64_t length);
/* What tokens weigh from now on. */
void s24m_walk_weigh(walk *w, float weight);
/* Of this kind of block, before anything is measured. */
void s24m_walk_guess(walk *w, const s24m_program *p);

#endif
