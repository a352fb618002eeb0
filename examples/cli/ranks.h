/* One program of many processes, sparse24-mpi: none goes on to common work before all can. */
#ifndef RANKS_H
#define RANKS_H
#include "args.h"

/* Whether all ranks have come here with `done`. If not, the first that has not has its say on
 * stderr. Without a group it is `done`. */
bool ranks_ready(const args *a, bool done);
/* What a rank that is not the first would print goes nowhere, or is kept for ranks_ready(). */
void ranks_quiet(void);

#endif
