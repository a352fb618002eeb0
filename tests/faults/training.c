/* Masks in training, one call after the other: a step of the stories. */
#include "stories.h"

static s24_mat view(void *data, int32_t dtype)
{
    return plain(data, ROWS, COLS, dtype);
}

s24_status train_masks(void)
{
    static float grad[ROWS * COLS];
    static uint8_t bytes[ROWS * COLS];
    s24_mat w = view(scene.w, S24_F32), g = view(grad, S24_F32), mask = view(bytes, S24_U8);
    int64_t changed;
    s24_status status = s24_nm_mask(scene.ctx, &w, 2, 4, S24_ALONG_INPUTS, &mask);

    for (int i = 0; i < ROWS * COLS; i++)
        grad[i] = (float)(i * 13 % 29 - 14);
    if (!status)
        status = s24_srste_add(scene.ctx, &w, &mask, 0.1, &g);
    if (!status)
        status = s24_nm_regrow(scene.ctx, &w, &g, 4, 0.3, &mask, &changed);
    w.rows = mask.rows = ROWS / 4 * 4;
    if (!status)
        status = s24_nm_mask(scene.ctx, &w, 2, 4, S24_ALONG_BOTH, &mask);
    if (!status)
        status = s24_nm_mask_tsenor(scene.ctx, &w, 2, 4, 100, 100, &mask);
    g.rows = w.rows;
    if (!status)
        status = s24_mask_decay(scene.ctx, &w, &mask, 0.5, &g);
    if (!status) {
        digest_bytes(grad, sizeof grad);
        digest_bytes(bytes, sizeof bytes);
    }
    return status;
}
