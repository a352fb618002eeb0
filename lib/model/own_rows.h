/* The rows that a model writes for its own calibration, behind the user's; kept in the folder of
 * the checkpoint. */
#ifndef S24M_OWN_ROWS_H
#define S24M_OWN_ROWS_H
#include "checkpoint.h"
#include "generate.h"
#include "self.h"

/* Half of the rows begin as conversations do, half as texts do. Where the model knows no start they
 * go on from the beginnings of the user's `given` rows in turn, as those behind them always do. ids
 * (given + rows + continued, length). */
bool s24m_own_rows_write(const s24m_self *self, s24m_model *model, const s24m_generating *how,
                         int64_t given, int64_t length, int32_t *ids);
/* The same, or read what an earlier run has written so; and say how they repeat themselves. */
bool s24m_own_rows_make(const s24m_self *self, s24m_model *model, const s24m_generating *how,
                        const checkpoint *c, int64_t given, int64_t length, int32_t *ids);
/* What that takes: the least that it can do with, or all that it takes if it may. */
uint64_t s24m_own_rows_bytes(const s24m_self *self, const s24m_model *model, int64_t length,
                             bool least);

#endif
