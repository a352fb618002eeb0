/* What a compression keeps between its start and its end, in the folder OUT.part: one file a
 * finished block. A killed run goes on from there. Knows matrices, not how they are made. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H
#include "matrix.h"

typedef struct checkpoint {
    s24_ctx *ctx;
    char *folder;   /* OUT.part */
    char *settings; /* all that decides the result, as text */
    int lock;       /* held while the folder is ours */
} checkpoint;

/* Make the folder, or with `resume` go on in the one that is there if it was begun with the same
 * settings. A folder that another process works in is refused. */
bool checkpoint_open(checkpoint *c, s24_ctx *ctx, const char *out, const char *asked, bool resume);
/* Keep the solved matrices of a block, all or nothing. */
bool checkpoint_save(const checkpoint *c, int block, const settings *s, const matrix *matrices,
                     int count);
/* Read v and record of each matrix with constraints; *found tells whether the block was there. */
bool checkpoint_load(const checkpoint *c, int block, matrix *matrices, int count, bool *found);
/* The block's file, for its tensors; NULL and a message on failure. */
s24_file *checkpoint_file(const checkpoint *c, int block);
/* `name` inside the folder, to be freed. */
char *checkpoint_path(const checkpoint *c, const char *name);
/* Let the folder go; `remove` when nothing in it is needed any more. */
void checkpoint_close(checkpoint *c, int blocks, bool remove);

#endif
