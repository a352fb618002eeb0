/* An out-of-tree back end of ggml: an accelerator whose buffers pack weights as they are loaded.
 * docs/howto/llama-cpp.md. Written on ggml-backend-impl.h of the version that it is built for. */
#define _GNU_SOURCE
#include "weights.h"
#include <ggml-backend-impl.h>
#include <ggml-impl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NAME "sparse24"
#ifndef GGML_BUILT_FOR
#error "GGML_BUILT_FOR is the version of ggml whose headers these are"
#endif

enum { ALIGNMENT = 64 };

static pool common;
static struct ggml_backend_device device;
static struct ggml_backend_buffer_type buffer_type;

/* ---- Buffers ---- */

/* Address space of the size that ggml wants. Weights never touch it, once they are packed; what is
 * computed lies in it. */
typedef struct space {
    void *base;
    weights **all;
    int64_t count, room;
} space;

static void free_buffer(ggml_backend_buffer_t buffer)
{
    space *s = buffer->context;
    for (int64_t i = 0; i < s->count; i++) {
        if (common.sharing == s->all[i]->product)
            common.sharing = NULL;
        weights_free(s->all[i]);
    }
    munmap(s->base, buffer->size);
    free(s->all);
    free(s);
}

static void *get_base(ggml_backend_buffer_t buffer)
{
    return ((space *)buffer->context)->base;
}

static bool keep(space *s, weights *w)
{
    if (s->count == s->room) {
        int64_t room = s->room ? 2 * s->room : 64;
        weights **all = realloc(s->all, (size_t)room * sizeof *all);
        if (!all)
            return false;
        s->all = all;
        s->room = room;
    }
    s->all[s->count++] = w;
    return true;
}

static bool is_matrix(const struct ggml_tensor *t)
{
    return weights_type(t->type) && t->ne[2] == 1 && t->ne[3] == 1 && ggml_is_contiguous(t) &&
           t->op == GGML_OP_NONE && !t->view_src;
}

/* What cannot be packed stays as it is, and with ggml. */
static void set_tensor(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, const void *data,
                       size_t offset, size_t size)
{
    space *s = buffer->context;
    bool whole = offset == 0 && size == ggml_nbytes(tensor);
    if (buffer->usage == GGML_BACKEND_BUFFER_USAGE_WEIGHTS && whole && !tensor->extra &&
        is_matrix(tensor)) {
        weights *w = weights_pack(&common, tensor, data);
        if (w && keep(s, w)) {
            tensor->extra = w;
            return;
        }
        GGML_LOG_WARN(NAME ": %s stays as it is: %s\n", tensor->name,
                      w ? "out of memory" : s24_last_error());
        if (w)
            weights_free(w);
    }
    if (tensor->extra)
        GGML_ABORT(NAME ": %s is packed: it can only be set as a whole, once", tensor->name);
    memcpy((char *)tensor->data + offset, data, size);
}

static void get_tensor(ggml_backend_buffer_t buffer, const struct ggml_tensor *tensor, void *data,
                       size_t offset, size_t size)
{
    (void)buffer;
    if (!tensor->extra) {
        memcpy(data, (const char *)tensor->data + offset, size);
        return;
    }
    char *whole = malloc(ggml_nbytes(tensor));
    if (!whole || !weights_unpack(&common, tensor->extra, tensor, whole))
        GGML_ABORT(NAME ": %s: %s", tensor->name, whole ? s24_last_error() : "out of memory");
    memcpy(data, whole + offset, size);
    free(whole);
}

static void memset_tensor(ggml_backend_buffer_t buffer, struct ggml_tensor *tensor, uint8_t value,
                          size_t offset, size_t size)
{
    (void)buffer;
    memset((char *)tensor->data + offset, value, size);
}

static void clear(ggml_backend_buffer_t buffer, uint8_t value)
{
    memset(get_base(buffer), value, buffer->size);
}

static const char *buffer_type_name(ggml_backend_buffer_type_t type)
{
    (void)type;
    return NAME;
}

static ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size)
{
    static const struct ggml_backend_buffer_i calls = {
        .free_buffer = free_buffer,
        .get_base = get_base,
        .memset_tensor = memset_tensor,
        .set_tensor = set_tensor,
        .get_tensor = get_tensor,
        .clear = clear,
    };
    space *s = calloc(1, sizeof *s);
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!s || base == MAP_FAILED) {
        GGML_LOG_ERROR(NAME ": no address space of %zu bytes\n", size);
        free(s);
        return NULL;
    }
    s->base = base;
    return ggml_backend_buffer_init(type, calls, s, size);
}

static size_t alignment(ggml_backend_buffer_type_t type)
{
    (void)type;
    return ALIGNMENT;
}

/* What is computed lies as in any host's buffer; weights that are packed are read by us alone. */
static bool is_host(ggml_backend_buffer_type_t type)
{
    (void)type;
    return true;
}

static struct ggml_backend_buffer_type buffer_type = {
    .iface = {.get_name = buffer_type_name,
              .alloc_buffer = alloc_buffer,
              .get_alignment = alignment,
              .is_host = is_host},
    .device = &device,
};

/* ---- The back end ---- */

static const char *backend_name(ggml_backend_t backend)
{
    (void)backend;
    return NAME;
}

static void free_backend(ggml_backend_t backend)
{
    free(backend);
}

static enum ggml_status compute(ggml_backend_t backend, struct ggml_cgraph *graph)
{
    (void)backend;
    for (int i = 0; i < graph->n_nodes; i++) {
        struct ggml_tensor *node = graph->nodes[i];
        if (node->op != GGML_OP_MUL_MAT || ggml_is_empty(node))
            continue;
        if (!weights_multiply(&common, node->src[0]->extra, node->src[1], node)) {
            GGML_LOG_ERROR(NAME ": %s: %s\n", node->src[0]->name, s24_last_error());
            return GGML_STATUS_FAILED;
        }
    }
    return GGML_STATUS_SUCCESS;
}

/* Products are prepared for a number of threads: more want them anew. */
static void set_threads(ggml_backend_t backend, int threads)
{
    int64_t now = 0;
    (void)backend;
    s24_ctx_get_int(common.ctx, "threads", &now);
    if (now == threads)
        return;
    s24_ctx_set_int(common.ctx, "threads", threads);
    common.sharing = NULL;
    common.round++;
}

static ggml_guid_t guid(void)
{
    static ggml_guid id = {0x5a, 0x24, 0x11, 0x9e, 0x3c, 0x70, 0x42, 0xd1,
                           0x88, 0x0b, 0x6f, 0x24, 0x24, 0x93, 0xe7, 0x15};
    return &id;
}

static ggml_backend_t init_backend(ggml_backend_dev_t dev, const char *params)
{
    struct ggml_backend *backend = calloc(1, sizeof *backend);
    (void)params;
    if (!backend)
        return NULL;
    *backend = (struct ggml_backend){
        .guid = guid(),
        .iface = {.get_name = backend_name, .free = free_backend, .graph_compute = compute},
        .device = dev,
    };
    if (common.packed)
        GGML_LOG_INFO(NAME ": %lld matrices packed, %lld of them 2:4, %.1f MiB\n",
                      (long long)common.packed, (long long)common.half,
                      (double)common.bytes / (1 << 20));
    return backend;
}

/* ---- The device ---- */

static const char *device_name(ggml_backend_dev_t dev)
{
    (void)dev;
    return NAME;
}

static const char *device_description(ggml_backend_dev_t dev)
{
    (void)dev;
    return "libsparse24: packed weights on the CPU";
}

static void device_memory(ggml_backend_dev_t dev, size_t *free_bytes, size_t *total)
{
    (void)dev;
    *free_bytes = *total = 0;
}

static enum ggml_backend_dev_type device_type(ggml_backend_dev_t dev)
{
    (void)dev;
    return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

static void device_props(ggml_backend_dev_t dev, struct ggml_backend_dev_props *props)
{
    props->name = device_name(dev);
    props->description = device_description(dev);
    props->type = device_type(dev);
    device_memory(dev, &props->memory_free, &props->memory_total);
}

static ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t dev)
{
    (void)dev;
    return &buffer_type;
}

/* While a model is opened the question is asked of a tensor without data. */
static bool is_ours(const struct ggml_tensor *w)
{
    return w->extra ? w->buffer && w->buffer->buft == &buffer_type
                    : !w->data && w->buffer && w->buffer->buft == &buffer_type && is_matrix(w);
}

static bool supports_op(ggml_backend_dev_t dev, const struct ggml_tensor *op)
{
    const struct ggml_tensor *x = op->src[1];
    (void)dev;
    switch (op->op) {
    case GGML_OP_NONE:
    case GGML_OP_RESHAPE:
    case GGML_OP_VIEW:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
        return true;
    case GGML_OP_MUL_MAT:
        return is_ours(op->src[0]) && x->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32 &&
               x->ne[2] == 1 && x->ne[3] == 1 && x->nb[0] == sizeof(float) &&
               x->nb[1] % sizeof(float) == 0;
    default:
        return false;
    }
}

static bool supports_buft(ggml_backend_dev_t dev, ggml_backend_buffer_type_t type)
{
    (void)dev;
    return type == &buffer_type || ggml_backend_buft_is_host(type);
}

/* ---- The registry ---- */

static const char *registry_name(ggml_backend_reg_t registry)
{
    (void)registry;
    return NAME;
}

static size_t device_count(ggml_backend_reg_t registry)
{
    (void)registry;
    return 1;
}

static ggml_backend_dev_t get_device(ggml_backend_reg_t registry, size_t index)
{
    (void)registry, (void)index;
    return &device;
}

static void *get_address(ggml_backend_reg_t registry, const char *name)
{
    (void)registry;
    return strcmp(name, "ggml_backend_set_n_threads") ? NULL : (void *)(uintptr_t)set_threads;
}

static struct ggml_backend_reg registry = {
    .api_version = GGML_BACKEND_API_VERSION,
    .iface = {.get_name = registry_name,
              .get_device_count = device_count,
              .get_device = get_device,
              .get_proc_address = get_address},
};

static struct ggml_backend_device device = {
    .iface = {.get_name = device_name,
              .get_description = device_description,
              .get_memory = device_memory,
              .get_type = device_type,
              .get_props = device_props,
              .init_backend = init_backend,
              .get_buffer_type = device_buffer_type,
              .supports_op = supports_op,
              .supports_buft = supports_buft},
    .reg = &registry,
};

/* The structs above are not the same in every version: NULL refuses. */
GGML_BACKEND_API ggml_backend_reg_t ggml_backend_init(void);
GGML_BACKEND_API ggml_backend_reg_t ggml_backend_init(void)
{
    if (strcmp(ggml_version(), GGML_BUILT_FOR)) {
        GGML_LOG_ERROR(NAME ": this is ggml %s, but the back end was built for %s: build it with "
                            "-Dggml=PATH of these sources\n",
                       ggml_version(), GGML_BUILT_FOR);
        return NULL;
    }
    if (!common.ctx && s24_ctx_create(&common.ctx) != S24_OK) {
        GGML_LOG_ERROR(NAME ": %s\n", s24_last_error());
        return NULL;
    }
    return &registry;
}
