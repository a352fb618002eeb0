/* Images as the input of an encoder: patches side by side, each multiplied with one matrix, behind
 * one more token. Knows the tensors that make h of pixels. */
#ifndef IMAGE_H
#define IMAGE_H
#include "tensors.h"

struct tokens;

/* config.image from image_size, patch_size and num_channels, and how many tokens that is. */
s24_status s24m_image_config(const s24m_model *model, const int64_t sizes[3], s24m_config *c);
/* Tensors beside the blocks: name and shape of the i-th; false: there are no more. */
bool s24m_image_tensor(const s24m_model *model, int32_t i, char name[S24M_NAME], int64_t shape[4],
                       int32_t *rank);
/* h (images * tokens, hidden) of pixels (images, channels, size, size). */
s24_status s24m_image_embed(const s24m_model *model, const float *pixels, int64_t images, float *h);
/* What that takes beside h for images that are taken at once. */
uint64_t s24m_image_bytes(const s24m_model *model, int64_t images);
/* Copy rows of pixels, images x (channels size size), of any float type. */
bool s24m_pixels_take(struct tokens *t, const s24m_model *model, const s24_mat *pixels,
                      const char *name);
/* The same of a tensor of a file: `tensor`, or NULL: the only one with such rows; the first `rows`,
 * 0: all. */
bool s24m_pixels_read(struct tokens *t, const s24m_model *model, const char *path,
                      const char *tensor, int64_t rows, char **name);

#endif
