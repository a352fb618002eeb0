/* A block as data: stages, each with one input, the matrices that see it, and what becomes of their
 * outputs. The forward pass, both streams of a compression, operations and memory are all read off
 * the table of the architecture (arch/). */
#ifndef S24M_STAGES_H
#define S24M_STAGES_H
#include "model.h"

enum { S24M_ABREAST = 3 }; /* matrices of a stage, at most */

/* Whole sequences on their way through a block. Room for a token: s24m_room(). */
typedef struct s24m_stream {
    s24m_model *model;
    const s24m_block *block;
    int64_t sequences, length;
    float *h;                 /* (tokens, hidden): the residual stream */
    float *fresh, *zone;      /* room; an input that a stage left for the next one lies at `zone` */
    float *x;                 /* the input of the stage at hand */
    float *out[S24M_ABREAST]; /* its outputs */
} s24m_stream;

struct s24m_stage {
    const char *name; /* of its matrices, for people */
    int32_t count, matrices[S24M_ABREAST];
    /* x, made from h; NULL: it is what the stage before left. */
    s24_status (*input)(const s24m_stream *c, const s24m_stage *s, float *x);
    int32_t gain; /* the part that `input` normalises with */
    /* Add the outputs to h, next NULL; or make of them the next x. */
    s24_status (*finish)(const s24m_stream *c, float *next);
    bool adds;  /* the former */
    bool apart; /* the next x must not lie over the outputs */
    /* Operations of `finish` beside a few for each element; NULL: none. */
    double (*flops)(const s24m_config *config, int64_t sequences, int64_t length);
};

/* ---- The table; a stage without matrices ends it ---- */

extern const s24m_stage s24m_stages_llama[];

/* ---- One stage of a chunk ---- */

/* x, and places for the outputs. */
s24_status s24m_stage_begin(s24m_stream *c, const s24m_stage *s);
/* The outputs of its i-th matrix. */
s24_status s24m_stage_project(const s24m_stream *c, const s24m_stage *s, int32_t i);
s24_status s24m_stage_finish(const s24m_stream *c, const s24m_stage *s);
/* All of that. */
s24_status s24m_stage_run(s24m_stream *c, const s24m_stage *s);

/* ---- Sizes ---- */

int64_t s24m_stage_inputs(const s24m_model *model, const s24m_stage *s);
/* Of all its matrices together. */
int64_t s24m_stage_outputs(const s24m_model *model, const s24m_stage *s);
/* Which stage of the block a matrix belongs to. */
int32_t s24m_stage_of(const s24m_model *model, int32_t matrix);
/* Floats a token of s24m_stream's room. */
typedef struct s24m_widths {
    int64_t fresh, zone;
} s24m_widths;
s24m_widths s24m_room(const s24m_model *model);

#endif
