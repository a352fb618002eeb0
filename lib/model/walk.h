/*
 * The walk of calibration tokens through a model that is being compressed, one block at a time and
 * each block stage by stage. Two streams of activations go along: the compressed model's, whose
 * inputs each matrix will really see, and the dense model's, whose outputs it is aimed at.
 * docs/model.md. Knows the forward pass and the sums; not files or constraints.
 */
#ifndef WALK_H
#define WALK_H
#include "activations.h"
#include "model.h"
#include "matrix.h"
#include "program.h"
#include "trained.h"

typedef struct walk {
    const settings *settings;
    s24m_model *model;
    int64_t length;        /* of a sequence */
    int64_t all[2];        /* sequences of all ranks: calibration, held out */
    int64_t sequences[2];  /* this rank's; they begin with the calibration's at */
    int64_t first[2], own; /* `first` of all; the last `own` the model wrote */
    int64_t kept; /* rows that judge training, the last of the user's: in no sum (training.h) */
    activations compressed, dense; /* residual streams; dense only with correction */
    activations inputs;       /* of the compressed model's matrices that take what a stage left */
    activations aside;        /* what parallel branches of the compressed model add later */
    activations before;       /* h of the compressed model at the head of the block, to refine it */
    activations wanted_later; /* what dense matrices gave that do not add to h directly */
    s24m_stream stream;       /* the compressed model's chunk */
    float *other, *fresh, *wanted;    /* the dense one's h and inputs; what is wanted of a matrix */
    float *route, *gathered, *shares; /* the dense one's routes; an expert's tokens; their shares */
    float *weights;    /* of tokens in the sums: those of rows that the model wrote less, or more */
    double *scores;    /* of h at the head of the block, chained from block to block; or NULL */
    double *seconds;   /* of the last block's parts; before the first: a guess, in any unit */
    int parts;         /* of a block: passes over the tokens, and solves */
    int16_t program;   /* whose parts those are; -1: none */
    double flops;      /* that were needed so far */
    int blocks, block; /* all of them, the present one */
    /* s24m_matrix_solve(), or what takes its place; a matrix left without v stays as it was. */
    bool (*solve)(matrix *m, const settings *s, const sums *calib, const sums *heldout);
} walk;

/* Bytes of the activations of all tokens, where they are kept in single precision. */
uint64_t s24m_walk_store_bytes(const s24m_model *model, const settings *s,
                               const int64_t sequences[2], int64_t length);
/* Which of all sequences are a rank's. */
void s24m_walk_mine(const settings *s, int32_t rank, const int64_t all[2], s24m_share mine[2]);
/* Memory the walk takes outside the library. */
uint64_t s24m_walk_bytes(const s24m_model *model, const settings *s, const int64_t sequences[2],
                         int64_t length);
/* tokens: all calibration sequences, then those held out; a rank takes its share. `folder` is where
 * activations may be spilled. */
bool s24m_walk_open(walk *w, const settings *s, s24m_model *model, const int32_t *tokens,
                    const int64_t sequences[2], int64_t length, const char *folder);
/* Groups of a routed stage whose sums are gathered in one pass over the tokens. */
int32_t s24m_walk_abreast(const s24m_program *p, const s24m_stage *s);
/* Whether one cross of the dense inputs of a stage, from which those of its compressed matrices are
 * derived, is less work than a cross of each over the calibration's tokens. `outputs` are those of
 * these matrices together. */
bool s24m_walk_shares(const s24m_stage *s, int64_t outputs, int64_t tokens);
/* Take both streams through one block. Matrices with constraints are solved; those whose v is there
 * already (a resumed run) only take part. `vectors` are NULL where nothing is trained. False,
 * perhaps without a message, when a signal stopped it. */
bool s24m_walk_block(walk *w, s24m_block *block, matrix *matrices, trained *vectors);
void s24m_walk_close(walk *w);

#endif
