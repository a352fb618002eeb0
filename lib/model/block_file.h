/* The file of a finished block: the solved matrices, their further parts and records, and a
 * checksum over all of it. Knows nothing of folders. */
#ifndef BLOCK_FILE_H
#define BLOCK_FILE_H
#include "trained.h"

/* All or nothing. `asked`: the settings, as text. */
bool s24m_block_file_write(s24_ctx *ctx, const char *path, const char *asked,
                           const matrix *matrices, int count, const trained *vectors);
/* Open one that was written with these settings in the folder that `where` names, and is as it was
 * written. */
bool s24m_block_file_open(s24_ctx *ctx, const char *path, const char *where, const char *asked,
                          s24_file **file);
/* Read v, which must obey the constraints, and the record of each matrix that has some. */
bool s24m_block_file_read(s24_ctx *ctx, const s24_file *file, matrix *matrices, int count,
                          trained *vectors);

#endif
