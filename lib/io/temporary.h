/* What is being written and has not its own name yet. A file has no name at all where the file
 * system can do that, so that a writer that is killed leaves nothing; else it is
 * ".sparse24-PID-N.tmp" in the target's directory, locked while its writer lives, and whoever next
 * makes one there removes those that nobody has locked. */
#ifndef S24I_TEMPORARY_H
#define S24I_TEMPORARY_H
#include "os.h"

typedef struct s24i_temporary {
    s24i_memory *memory;
    int fd;
    char *name; /* NULL: none */
} s24i_temporary;

/* On success s24i_temporary_drop() it, published or not. It has the mode of what it will
 * replace. */
s24_status s24i_temporary_file(s24i_memory *memory, const char *target, s24i_temporary *out);
s24_status s24i_temporary_folder(s24i_memory *memory, const char *target, s24i_temporary *out);
/* Synced to disk, it takes the place of the target in one step. */
s24_status s24i_temporary_publish(s24i_temporary *t, const char *target);
/* Without a word. A folder is removed with all files in it (and no directory). */
void s24i_temporary_drop(s24i_temporary *t);

/* A file for reading and writing on the file system of `target` that never gets a name: it is gone
 * with its descriptor. */
s24_status s24i_temporary_spool(s24i_memory *memory, const char *target, int *fd);

#endif
