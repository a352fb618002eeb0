/* Which job a run does: all that decides the result, one thing a line. */
#ifndef IDENTITY_H
#define IDENTITY_H
#include "origin.h"
#include "settings.h"

/* Calibration sequences, then those held out. */
typedef struct sequences {
    const int32_t *ids;
    int64_t count[2], length;
    int64_t width; /* values of a sequence: length, or an image's */
} sequences;

/* To be freed. The origin is hashed already. */
char *s24m_identity_text(const settings *s, const origin *o, const sequences *t);
/* Name the first line in which what `what` was begun with differs from ours. */
bool s24m_identity_same(const char *what, const char *theirs, const char *ours);
/* The same but for what decides measurements only, not what is made. */
bool s24m_identity_made_same(const char *what, const char *theirs, const char *ours);
/* Rows of the calibration that can differ from each other: of equal sequences one counts, and of
 * one token repeated one row. The last `own` sequences, not written yet, will differ. */
int64_t s24m_identity_rows(const sequences *t, int64_t own);

#endif
