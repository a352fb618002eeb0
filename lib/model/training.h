/* Training over rows that are known by their numbers: some are kept back, the others come in
 * batches, each epoch in an order of its own. An epoch after which the rows kept back are met worse
 * leads back to the best state and halves the rate. Knows Adam; neither model nor loss. */
#ifndef S24M_TRAINING_H
#define S24M_TRAINING_H
#include "adam.h"
#include "curve.h"

enum { S24M_BATCH = 8 };

typedef struct s24m_training {
    s24m_adam adam;
    int64_t *train, *guard, trains, guards; /* numbers of rows */
    int64_t *order;                         /* room for those of `train` */
    int64_t epochs;
    uint64_t seed, stream; /* of the orders; a number of this training among those of its seed */
    double rate;           /* relative to the size of each parameter */
    void *arg;
    /* At most S24M_BATCH rows forth and back: the gradient of their mean loss joins those of the
     * parameters; *loss is that mean. */
    bool (*learn)(void *arg, const int64_t *rows, int64_t count, double *loss);
    /* The mean loss of the rows kept back. */
    bool (*judge)(void *arg, double *loss);
    bool (*show)(void *arg, double share);            /* false: stop */
    bool (*keep)(void *arg, double loss, double met); /* an epoch is done; NULL: nothing to do */
    s24m_curve *curve; /* gets what each epoch met; NULL: nothing does */
    /* Where it stands, all that is needed to go on: */
    int64_t epoch, halvings;
    double best, last; /* loss of the rows kept back: the best, that of the last epoch */
} s24m_training;

/* Rows that are kept back: one in sixteen of the user's, four if there are so many, at least one.
 * The last `own` rows the model wrote. */
int64_t s24m_training_guard(int64_t rows, int64_t own);
/* Epochs over so many rows; `asked` 0: 6, or 4 over more than 256. */
int64_t s24m_training_epochs(int64_t asked, int64_t rows);
/* Rows to train on and rows kept back: the last of the user's, or of all if the model wrote all. A
 * run keeps them out of its sums too: rows that the solvers fitted would be met worse by whatever
 * is better elsewhere. S24_E_STATE: one row is too few for `what`. */
bool s24m_training_split(s24m_training *t, int64_t rows, int64_t own, const char *what);
/* From `epoch` on until all epochs are done. Before: best = last = the loss at the start. */
bool s24m_training_run(s24m_training *t);
/* The rows; and Adam. */
void s24m_training_close(s24m_training *t);

#endif
