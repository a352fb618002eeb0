/* Loops over rows on the context's threads. */
#include "tensors.h"
#include "extents.h"

enum { ROWS = 16 };

typedef struct row_loop {
    s24m_rows_fn rows;
    void *arg;
    int64_t count;
} row_loop;

static void run_rows(void *arg, int64_t tile, int32_t worker)
{
    const row_loop *loop = arg;
    (void)worker;
    loop->rows(loop->arg, tile * ROWS, s24m_least((tile + 1) * ROWS, loop->count));
}

s24_status s24m_rows(const s24m_model *model, s24m_rows_fn rows, void *arg, int64_t count)
{
    row_loop loop = {rows, arg, count};
    return s24m_library(s24_ctx_parallel(model->ctx, run_rows, &loop, (count + ROWS - 1) / ROWS),
                        "forward pass");
}
