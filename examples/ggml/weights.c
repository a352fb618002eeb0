#include "weights.h"
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 512 }; /* of a product, at most: llama.cpp's batch */

/* How a type of ggml is packed. */
typedef struct kind {
    enum ggml_type type;
    const char *blocks; /* the layout of its blocks; NULL: floats */
    int32_t dtype;
    const char *half, *dense;
} kind;

static const kind kinds[] = {
    {GGML_TYPE_F32, NULL, S24_F32, "ri16x32", "ri16"},
    {GGML_TYPE_F16, NULL, S24_F16, "ri16x32-f16", "ri16"},
    {GGML_TYPE_BF16, NULL, S24_BF16, "ri16x32", "ri16"},
    {GGML_TYPE_Q8_0, "q8_0", S24_F32, "ri16x32-int8", "ri16-int8"},
    {GGML_TYPE_Q4_0, "q4_0", S24_F32, "ri16x32-int4", "ri16-int4"},
};

static const kind *kind_of(enum ggml_type type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].type == type)
            return kinds + i;
    return NULL;
}

bool weights_type(enum ggml_type type)
{
    return kind_of(type) != NULL;
}

static s24_mat floats(const kind *k, const struct ggml_tensor *tensor, const void *data)
{
    s24_mat view = {0};
    s24_mat_rowmajor(&view, (void *)(uintptr_t)data, tensor->ne[1], tensor->ne[0], k->dtype);
    return view;
}

/* ---- Packing ---- */

static s24_status pack(pool *p, const kind *k, const struct ggml_tensor *tensor, const void *data,
                       const char *layout, s24_packed **out)
{
    size_t size = ggml_nbytes(tensor);
    s24_packed *blocks = NULL;
    if (!k->blocks) {
        s24_mat view = floats(k, tensor, data);
        return s24_pack(p->ctx, &view, NULL, layout, out);
    }
    s24_status status = s24_packed_wrap(p->ctx, k->blocks, tensor->ne[1], tensor->ne[0], S24_F32,
                                        &data, &size, 1, &blocks);
    if (!status)
        status = s24_packed_convert(blocks, layout, out);
    s24_packed_destroy(blocks);
    return status;
}

static void count(pool *p, const s24_packed *packed, bool half)
{
    const char *name;
    size_t size = 0;
    s24_packed_part(packed, 0, &name, NULL, &size);
    p->packed++;
    p->half += half;
    p->bytes += (int64_t)size;
}

weights *weights_pack(pool *p, const struct ggml_tensor *tensor, const void *data)
{
    const kind *k = kind_of(tensor->type);
    weights *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    bool half = pack(p, k, tensor, data, k->half, &w->packed) == S24_OK;
    if (!half && pack(p, k, tensor, data, k->dense, &w->packed) != S24_OK) {
        free(w);
        return NULL;
    }
    w->round = -1;
    count(p, w->packed, half);
    return w;
}

void weights_free(weights *w)
{
    s24_product_destroy(w->product);
    s24_packed_destroy(w->packed);
    free(w);
}

bool weights_unpack(pool *p, const weights *w, const struct ggml_tensor *tensor, void *data)
{
    const kind *k = kind_of(tensor->type);
    s24_packed *blocks = NULL;
    const char *name;
    const void *bytes;
    size_t size = 0;
    if (!k->blocks) {
        s24_mat view = floats(k, tensor, data);
        return s24_unpack(w->packed, &view) == S24_OK;
    }
    (void)p;
    if (s24_packed_convert(w->packed, k->blocks, &blocks) != S24_OK)
        return false;
    s24_packed_part(blocks, 0, &name, &bytes, &size);
    memcpy(data, bytes, size);
    s24_packed_destroy(blocks);
    return true;
}

/* ---- Products ---- */

static bool prepare(pool *p, weights *w)
{
    s24_product *share = p->sharing;
    if (w->round == p->round)
        return true;
    s24_product_destroy(w->product);
    w->product = NULL;
    if (s24_packed_prepare(w->packed, S24_FAST, 0, TOKENS, share, &w->product) != S24_OK)
        return false;
    w->round = p->round;
    p->sharing = w->product;
    return true;
}

bool weights_multiply(pool *p, weights *w, const struct ggml_tensor *x, struct ggml_tensor *dst)
{
    s24_mat in = {0}, out = {0};
    s24_mat_rowmajor(&in, x->data, x->ne[1], x->ne[0], S24_F32);
    s24_mat_rowmajor(&out, dst->data, dst->ne[1], dst->ne[0], S24_F32);
    in.row_stride = (int64_t)(x->nb[1] / sizeof(float));
    out.row_stride = (int64_t)(dst->nb[1] / sizeof(float));
    return prepare(p, w) && s24_product_run(w->product, &in, &out) == S24_OK;
}
