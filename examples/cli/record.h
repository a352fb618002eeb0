/* Edits a result's record, one flat JSON object as text. Each call takes the malloc'd text and
 * returns the new one. */
#ifndef RECORD_H
#define RECORD_H

/* Without what differs from run to run, so that equal runs give equal files. */
char *record_drop_volatile(char *record);
/* Set a member, replacing one of that name. NaN and infinity become null. */
char *record_put_number(char *record, const char *key, double value);
char *record_put_text(char *record, const char *key, const char *value);
/* A member that is a text, to be freed; NULL if there is none. */
char *record_text(const char *record, const char *key);

#endif
