/* The first chunk of calibration through a block before it is walked: what searches over its dense
 * weights look at. */
#ifndef WALK_FIRST_H
#define WALK_FIRST_H
#include "walk.h"

/* A stage's inputs are in c->x. False stops. */
typedef bool (*s24m_visit)(void *arg, const s24m_stream *c, const s24m_stage *stage);
/* What the compressed model gets, through the dense block: as much of it as this rank has. */
bool s24m_walk_first(walk *w, s24m_block *block, s24m_visit visit, void *arg);

#endif
