/* The state of a training behind an epoch, as a file: parameters, moments, and where it stands. */
#ifndef S24M_TUNE_STATE_H
#define S24M_TUNE_STATE_H
#include "checkpoint.h"
#include "training.h"

/* Write it in the folder of the checkpoint, for a job of its settings; all or nothing. `before`:
 * the loss at the start. */
bool s24m_tune_state_keep(const checkpoint *c, const s24m_training *t, double before);
/* Go on from what is there; *found tells whether it is. S24_E_FORMAT: it is damaged. */
bool s24m_tune_state_find(const checkpoint *c, s24m_training *t, double *before, bool *found);

#endif
