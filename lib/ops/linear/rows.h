/* Calibration rows on their way into sums (rows.c). Knows batches, weights and halves; not what is
 * summed. */
#ifndef S24I_ROWS_H
#define S24I_ROWS_H
#include "linear.h"

s24_status s24i_stream_init(const s24i_device *device, s24i_stream *stream, int64_t cols,
                            int32_t type);
void s24i_stream_fini(const s24i_device *device, s24i_stream *stream);

/* Adds the batch of half 0 or 1 (rows->filled[half] rows) to the sums. Fails only when the host's
 * runner does; the sums are lost then. */
typedef s24_status (*s24i_add_batch_fn)(void *sums, int half);
/* Add the rows that wait for half 0 or 1, whose batch is empty then. */
s24_status s24i_rows_flush(s24i_rows *rows, int half, s24i_add_batch_fn add, void *sums);
/*
 * Check all of x and the targets, then take every row, calling add() whenever a half is full.
 * S24_E_NONFINITE names the place and takes nothing.
 */
s24_status s24i_rows_add(const s24i_device *device, s24i_rows *rows, const s24i_addition *addition,
                         s24i_add_batch_fn add, void *sums);

#endif
