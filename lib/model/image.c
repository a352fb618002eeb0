#include "image.h"
#include "family.h"
#include "parts.h"
#include "tokens.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sizes ---- */

s24_status s24m_image_config(const s24m_model *model, const int64_t sizes[3], s24m_config *c)
{
    s24m_image *image = &c->image;
    (void)model;
    *image = (s24m_image){.size = sizes[0], .patch = sizes[1], .channels = sizes[2]};
    if (image->size % image->patch)
        return s24m_fail(S24_E_FORMAT,
                         "images of %" PRId64 " pixels have no whole patches of %" PRId64,
                         image->size, image->patch);
    int64_t across = image->size / image->patch;
    image->tokens = across * across + 1;
    image->values = image->channels * image->size * image->size;
    return S24_OK;
}

enum { PATCHES, PATCH_BIAS, FIRST_TOKEN, PLACES, TENSORS };

bool s24m_image_tensor(const s24m_model *model, int32_t i, char name[S24M_NAME], int64_t shape[4],
                       int32_t *rank)
{
    static const char *const ends[TENSORS] = {"patch_embeddings.projection.weight",
                                              "patch_embeddings.projection.bias", "cls_token",
                                              "position_embeddings"};
    const s24m_config *c = &model->config;
    const s24m_image *image = &c->image;
    const int64_t shapes[TENSORS][4] = {{c->hidden, image->channels, image->patch, image->patch},
                                        {c->hidden},
                                        {1, 1, c->hidden},
                                        {1, image->tokens, c->hidden}};
    static const int32_t ranks[TENSORS] = {4, 1, 3, 3};
    char whole[S24M_NAME];
    if (!model->family->image || i >= TENSORS)
        return false;
    s24m_global(model, S24M_EMBEDDING, whole);
    char *at = strstr(whole, ends[PATCHES]);
    snprintf(name, S24M_NAME, "%.*s%s", at ? (int)(at - whole) : 0, whole, ends[i]);
    memcpy(shape, shapes[i], sizeof shapes[i]);
    *rank = ranks[i];
    return true;
}

static s24_status read_tensor(const s24m_model *model, int32_t i, float **out)
{
    char name[S24M_NAME];
    int64_t shape[4];
    int32_t rank = 0;
    s24m_image_tensor(model, i, name, shape, &rank);
    return s24m_read_shape(model, name, shape, rank, out);
}

/* ---- From pixels to h ---- */

typedef struct patch_job {
    const s24m_image *image;
    const float *pixels;
    float *rows; /* patches x (channels patch patch) */
} patch_job;

/* Channels, then lines, then columns of a patch: as the matrix has its inputs. */
static void cut_patches(void *arg, int64_t first, int64_t last)
{
    const patch_job *j = arg;
    const s24m_image *m = j->image;
    int64_t across = m->size / m->patch, each = across * across, p = m->patch;
    for (int64_t r = first; r < last; r++) {
        const float *image = j->pixels + r / each * m->values;
        int64_t line = r % each / across * p, column = r % across * p;
        float *to = j->rows + r * m->channels * p * p;
        for (int64_t c = 0; c < m->channels; c++)
            for (int64_t y = 0; y < p; y++, to += p)
                memcpy(to, image + (c * m->size + line + y) * m->size + column,
                       (size_t)p * sizeof *to);
    }
}

typedef struct place_job {
    const s24m_model *model;
    const float *patches, *bias, *first, *places;
    float *h;
} place_job;

static void place_rows(void *arg, int64_t begin, int64_t end)
{
    const place_job *j = arg;
    int64_t hidden = j->model->config.hidden, each = j->model->config.image.tokens;
    for (int64_t r = begin; r < end; r++) {
        int64_t token = r % each;
        const float *patch = j->patches + (r / each * (each - 1) + token - 1) * hidden;
        const float *place = j->places + token * hidden;
        for (int64_t i = 0; i < hidden; i++)
            j->h[r * hidden + i] = (token ? patch[i] + j->bias[i] : j->first[i]) + place[i];
    }
}

/* The patches of some images, then their rows of h. */
static s24_status embed_some(patch_job *j, const float *by, place_job *k, int64_t images)
{
    const s24m_image *m = j->image;
    const s24m_model *model = k->model;
    int64_t count = images * (m->tokens - 1), cols = m->channels * m->patch * m->patch;
    s24_mat in = s24m_mat(j->rows, count, cols), w = s24m_mat(by, model->config.hidden, cols);
    s24_mat to = s24m_mat(k->patches, count, model->config.hidden);
    s24_status status = s24m_rows(model, cut_patches, j, count);
    if (!status)
        status = s24m_library(s24_mat_multiply(model->ctx, &in, &w, &to), "patches");
    return status ? status : s24m_rows(model, place_rows, k, images * m->tokens);
}

uint64_t s24m_image_bytes(const s24m_model *model, int64_t images)
{
    const s24m_config *c = &model->config;
    int64_t cols = c->image.channels * c->image.patch * c->image.patch;
    return (uint64_t)(images * c->image.tokens * (cols + c->hidden)) * sizeof(float);
}

s24_status s24m_image_embed(const s24m_model *model, const float *pixels, int64_t images, float *h)
{
    const s24m_image *m = &model->config.image;
    int64_t most = s24m_chunk(m->tokens), cols = m->channels * m->patch * m->patch;
    int64_t at_once = most < images ? most : images, count = at_once * (m->tokens - 1);
    float *part[TENSORS] = {NULL}, *patches = s24m_floats(count * model->config.hidden);
    patch_job j = {m, pixels, s24m_floats(count * cols)};
    s24_status status = patches && j.rows ? S24_OK : S24_E_MEMORY;
    for (int32_t i = 0; !status && i < TENSORS; i++)
        status = read_tensor(model, i, &part[i]);
    place_job k = {model, patches, part[PATCH_BIAS], part[FIRST_TOKEN], part[PLACES], h};
    for (int64_t some; !status && images; images -= some) {
        some = at_once < images ? at_once : images;
        status = embed_some(&j, part[PATCHES], &k, some);
        j.pixels += some * m->values;
        k.h += some * m->tokens * model->config.hidden;
    }
    for (int i = 0; i < TENSORS; i++)
        free(part[i]);
    free(patches);
    free(j.rows);
    return status;
}

/* ---- Rows of pixels ---- */

static bool check(const s24m_model *model, const s24_mat *pixels, const char *name)
{
    const s24m_image *m = &model->config.image;
    if (!pixels || !pixels->data || pixels->device != S24_CPU)
        return s24m_wrong(S24_E_ARG, "%s: no matrix in memory", name);
    if (pixels->dtype != S24_F32 && pixels->dtype != S24_F16 && pixels->dtype != S24_BF16 &&
        pixels->dtype != S24_F64)
        return s24m_wrong(S24_E_DTYPE,
                          "%s: %s takes pixels: expected floats as its image processor gives them",
                          name, model->config.architecture);
    return (pixels->rows > 0 && pixels->cols == m->values) ||
           s24m_wrong(S24_E_SHAPE,
                      "%s: %" PRId64 " rows of %" PRId64 " values, but an image of %s has %" PRId64
                      " x %" PRId64 " x %" PRId64,
                      name, pixels->rows, pixels->cols, model->config.architecture, m->channels,
                      m->size, m->size);
}

bool s24m_pixels_take(tokens *t, const s24m_model *model, const s24_mat *pixels, const char *name)
{
    const s24m_image *m = &model->config.image;
    s24m_fault fault;
    if (!check(model, pixels, name))
        return false;
    *t = (tokens){.rows = pixels->rows, .length = m->tokens, .pixels = m->values};
    float *values = s24m_have(malloc((size_t)(t->rows * t->pixels) * sizeof *values));
    s24_mat to = s24m_mat(values, t->rows, t->pixels);
    t->ids = (int32_t *)(void *)values;
    bool done = values && s24m_good(s24_mat_copy(model->ctx, pixels, &to), "%s", name) &&
                s24m_done(s24m_find_fault(model, &to, &fault)) &&
                (fault.row < 0 ||
                 s24m_wrong(S24_E_NONFINITE, "%s: row %" PRId64 ", value %" PRId64 " is %g", name,
                            fault.row, fault.col, fault.value));
    if (!done)
        s24m_tokens_close(t);
    return done;
}

/* Rows of such a tensor; 0: it does not hold images of this size. */
static int64_t images_in(const s24m_model *model, const s24_file *file, const char *name)
{
    int64_t shape[8], values = 1;
    int32_t rank = 0;
    if (s24_file_info(file, name, shape, &rank, NULL) != S24_OK || rank < 2)
        return 0;
    for (int32_t i = 1; i < rank; i++)
        values *= shape[i];
    return values == model->config.image.values ? shape[0] : 0;
}

static const char *find_images(const s24m_model *model, const s24_file *file, const char *path,
                               const char *tensor)
{
    const s24m_image *m = &model->config.image;
    const char *found = NULL;
    int count = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        if (tensor ? !strcmp(name, tensor) : images_in(model, file, name) > 0) {
            found = name;
            count++;
        }
    }
    if (count == 1 && images_in(model, file, found) > 0)
        return found;
    s24m_wrong(S24_E_SHAPE,
               "%s: %s takes images: expected %s of images x %" PRId64 " x %" PRId64 " x %" PRId64
               "%s",
               path, model->config.architecture, tensor ? tensor : "one tensor", m->channels,
               m->size, m->size, count > 1 ? ", name one as FILE:TENSOR" : "");
    return NULL;
}

bool s24m_pixels_read(tokens *t, const s24m_model *model, const char *path, const char *tensor,
                      int64_t rows, char **name)
{
    s24_file *file = NULL;
    s24_mat view;
    const char *found = NULL;
    bool done = s24m_good(s24_file_open(model->ctx, path, &file), "%s", path) &&
                (found = find_images(model, file, path, tensor)) &&
                s24m_good(s24_file_get(file, found, &view), "%s", path);
    int64_t there = done ? images_in(model, file, found) : 0;
    done = done && (asprintf(name, "%s:%s", path, found) >= 0 || s24m_have(*name = NULL)) &&
           (rows <= there ||
            s24m_wrong(S24_E_SHAPE, "--rows %" PRId64 ": %s has %" PRId64, rows, *name, there));
    if (done) { /* as the file has it: row-major */
        s24_mat folded;
        done = s24m_good(s24_mat_rowmajor(&folded, view.data, rows ? rows : there,
                                          model->config.image.values, view.dtype),
                         "%s", path) &&
               s24m_pixels_take(t, model, &folded, *name);
    }
    s24_file_destroy(file);
    return done;
}
