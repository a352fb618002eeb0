/* Levels of effort: options of a compression that are set together. */
#ifndef S24M_EFFORT_H
#define S24M_EFFORT_H
#include "fail.h"
#include <sparse24/model.h>

/* In the order of the option's words. */
enum { S24M_FAST, S24M_DEFAULT, S24M_BEST };

/* Set what the level in force says. */
bool s24m_effort_take(s24_compression *c);
/* The preset that it gives to solvers which have one of that name; NULL: their own. */
const char *s24m_effort_preset(const s24_compression *c);
/* Give it to a solver, unless its options say one. */
bool s24m_effort_give(const char *preset, s24_solver *solver);

#endif
