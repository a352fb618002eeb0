/* What a compression keeps between its start and its end, in the folder OUT.part: one file a
 * finished block, with a checksum. A killed run goes on from there. Knows matrices, not how they
 * are made. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H
#include "trained.h"

/* The state of a tuning in that folder. */
#define TUNE_STATE_FILE "tune-state.safetensors"

typedef struct checkpoint {
    s24_ctx *ctx;
    char *folder;   /* OUT.part */
    char *settings; /* all that decides the result, as text */
    bool begun;     /* blocks were there */
    int lock;       /* held while the folder is ours */
} checkpoint;

/* OUT.part, to be freed. */
char *s24m_checkpoint_folder(const char *out);
/* Make the folder, or with `resume` go on in the one that is there. One with blocks is refused
 * without `resume`, and one that another process works in. What killed writers left is removed. */
bool s24m_checkpoint_open(checkpoint *c, s24_ctx *ctx, const char *out, bool resume);
/* The same for a rank that reads there only: nothing is made or locked. */
bool s24m_checkpoint_visit(checkpoint *c, s24_ctx *ctx, const char *out);
/* What was asked, as text; blocks that are there must have been made with the same. */
bool s24m_checkpoint_settings(checkpoint *c, const char *asked);
/* Keep the solved matrices of a block, and the vectors that were trained, NULL: none; all or
 * nothing. */
bool s24m_checkpoint_save(const checkpoint *c, int block, const matrix *matrices, int count,
                          const trained *vectors);
/* Read v and record of each matrix with constraints, which v must obey, and v of the vectors that
 * were trained; *found tells whether the block was there. */
bool s24m_checkpoint_load(const checkpoint *c, int block, matrix *matrices, int count,
                          trained *vectors, bool *found);
/* All blocks up to so many are there. */
bool s24m_checkpoint_has_all(const checkpoint *c, int blocks);
/* The block's file, verified, for its tensors; NULL and a message on failure. */
s24_file *s24m_checkpoint_file(const checkpoint *c, int block);
/* `name` inside the folder, to be freed. */
char *s24m_checkpoint_path(const checkpoint *c, const char *name);
/* Remove a folder with all that is in it, or a file, or nothing if there is none; errno tells why
 * it cannot be. */
bool s24m_checkpoint_remove(const char *path);
/* Let the folder go; `remove` when nothing in it is needed any more. One without blocks goes
 * anyway. */
void s24m_checkpoint_close(checkpoint *c, s24m_watch *w, bool remove);

#endif
