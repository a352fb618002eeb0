/* Distillation of a whole compressed model (Hinton, Vinyals, Dean: Distilling the knowledge in a
 * neural network; arXiv 1503.02531): the mean over all tokens of KL(dense || compressed), over kept
 * weights, codes and scales of grids, factors, norms and biases. The embedding and the head stay.
 * Accepted only if rows that were kept back are met better. */
#ifndef S24M_TUNE_H
#define S24M_TUNE_H
#include "checkpoint.h"
#include "student.h"

/* What comes of it, in the checkpoint's folder: the tensors that were trained. */
#define TUNED_FILE "tuned.safetensors"

typedef struct s24m_tuning {
    s24m_watch *watch;
    s24m_model *model, *dense;
    s24m_school school;
    const checkpoint *c;       /* where it goes on from, and keeps each epoch */
    const int32_t *ids;        /* (rows, length) */
    int64_t rows, own, length; /* own: the last of them, which the dense model wrote */
    double rate;               /* relative to the size of each parameter */
    int64_t epochs;            /* 0: by the number of rows */
    uint64_t seed;             /* of the orders of rows */
    s24m_curve *curve;         /* gets what each epoch met */
    int keep;                  /* KEEP_... of activations.h: what the dense model gives */
    /* What came of it: mean KL of a token of the rows that were kept back. */
    double before, after;
    int64_t halvings; /* of the rate, because they were met worse */
    int32_t trained, left;
    bool taken; /* TUNED_FILE is there */
} s24m_tuning;

bool s24m_tune(s24m_tuning *t);
/* What it takes outside the library for so many rows; `parts`: some matrices have some. Its
 * operations. */
uint64_t s24m_tune_bytes(const s24m_model *model, bool parts, int keep, int64_t rows,
                         int64_t length);
double s24m_tune_flops(const s24m_model *model, int64_t epochs, int64_t rows, int64_t length);
/* Bytes on disk: its state beside the one before, and what comes of it. */
uint64_t s24m_tune_disk(const s24m_model *model);

#endif
