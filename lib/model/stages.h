/* A block as data: stages, each with one input, the matrices that see it, and what becomes of their
 * outputs. The forward pass, both streams of a compression, operations and memory are all read off
 * the list that program.c makes. */
#ifndef S24M_STAGES_H
#define S24M_STAGES_H
#include "cache.h"

/* Stages of a block, and matrices of one that is not of experts, at most. */
enum { S24M_STAGES = 4, S24M_ABREAST = 4 };

typedef struct s24m_stage s24m_stage;

/* Whole sequences on their way through a block. Room for a token: s24m_room(). */
typedef struct s24m_stream {
    s24m_model *model;
    const s24m_block *block;
    int64_t sequences, length;
    const s24m_cache *cache;  /* of what stands before these tokens; NULL: nothing does */
    float *h;                 /* (tokens, hidden): the residual stream */
    float *aside;             /* (tokens, hidden): what will be added to it later */
    float *fresh, *zone;      /* room; an input that a stage left for the next one lies at `zone` */
    float *route;             /* which experts each token takes, and their weights */
    float *x;                 /* the input of the stage at hand */
    float *out[S24M_ABREAST]; /* its outputs */
} s24m_stream;

typedef enum {
    S24M_LEAVES,    /* the next x */
    S24M_ADDS,      /* to h */
    S24M_SETS_ASIDE /* what the last stage will add to h with its own */
} s24m_ending;

/* Matrices that see the same rows of a stage's input. */
typedef struct s24m_group {
    int32_t first, count;
    int32_t expert; /* whose tokens they see; -1: all */
    int64_t inputs;
} s24m_group;

struct s24m_stage {
    const char *name;     /* of its matrices, for people */
    int32_t first, count; /* matrices */
    /* x, made from h; NULL: it is what the stage before left. */
    s24_status (*input)(const s24m_stream *c, const s24m_stage *s, float *x);
    int32_t gain; /* the norm in `input`; S24M_NO_PART: h itself */
    /* From the outputs to the next x, or to h or aside, next NULL. */
    s24_status (*finish)(const s24m_stream *c, const s24m_stage *s, float *next);
    int32_t after; /* the norm of outputs before they are added, or S24M_NO_PART */
    int32_t over;  /* the norm of h once they are, or S24M_NO_PART */
    s24m_ending ending;
    bool apart;              /* the next x must not lie over the outputs */
    bool routed;             /* every expert's matrices see its own tokens; `finish` multiplies */
    int64_t inputs, outputs; /* floats a token of x; of the outputs, or what `finish` works in */
    /* Operations of a chunk: products, and what counts of `finish`. */
    double (*flops)(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                    int64_t sequences, int64_t length);
};

/* ---- One stage of a chunk ---- */

/* x, and places for the outputs. */
s24_status s24m_stage_begin(s24m_stream *c, const s24m_stage *s);
/* The outputs of its i-th matrix. */
s24_status s24m_stage_project(const s24m_stream *c, const s24m_stage *s, int32_t i);
s24_status s24m_stage_finish(const s24m_stream *c, const s24m_stage *s);
/* All of that. */
s24_status s24m_stage_run(s24m_stream *c, const s24m_stage *s);
/* What it adds goes to h as it is: neither through a norm nor after another one's. */
bool s24m_stage_is_linear(const s24m_stage *s);

/* ---- Groups ---- */

int32_t s24m_groups(const s24m_program *p, const s24m_stage *s);
s24m_group s24m_group_at(const s24m_program *p, const s24m_stage *s, int32_t index);
/* The rows of x that a group sees: x, or copies in `room`, which has place for all tokens. */
const float *s24m_group_rows(const s24m_stream *c, const s24m_stage *s, const s24m_group *group,
                             float *room, int64_t *count);

/* ---- Sizes ---- */

const s24m_stage *s24m_stages(const s24m_model *model, int64_t layer);
/* Which stage of the block a matrix belongs to. */
int32_t s24m_stage_of(const s24m_program *p, int32_t which);
/* Floats a token of s24m_stream's room, of the widest layer. */
typedef struct s24m_widths {
    int64_t fresh, zone, route, aside;
    int64_t kept;    /* the widest input that a stage leaves for the next one */
    int64_t group;   /* the widest input of a group that is no whole x; 0: none */
    int64_t outputs; /* the widest of the outputs of a stage that is not routed */
    bool wanted;     /* some stage's outputs go through a norm or aside */
} s24m_widths;
s24m_widths s24m_room(const s24m_model *model);

#endif
