#include "memory.h"
#include "extents.h"
#include "image.h"
#include "parts.h"
#include <sched.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the kind of layer that takes most. */
uint64_t s24m_memory_block(const s24m_model *model)
{
    uint64_t most = 0;
    for (const s24m_program *p = model->programs; p < model->programs + model->program_count; p++) {
        uint64_t sum = 0, slices = 0;
        for (const s24m_matrix *m = p->matrices; m < p->matrices + p->count; m++) {
            sum += (uint64_t)(m->outputs * m->inputs + m->outputs) * sizeof(float);
            slices = s24m_most_bytes(slices, (uint64_t)(m->slices * m->outputs * m->inputs) *
                                                 sizeof(float));
        }
        for (const s24m_vector *v = p->vector; v < p->vector + S24M_VECTORS; v++)
            sum += 2 * (uint64_t)(v->rows * (v->cols ? v->cols : 1)) * sizeof(float);
        most = s24m_most_bytes(most, sum + 2 * slices); /* while tensors are cut into slices */
    }
    return most;
}

uint64_t s24m_memory_matrix(const s24m_model *model)
{
    uint64_t most = 0;
    for (const s24m_program *p = model->programs; p < model->programs + model->program_count; p++)
        for (const s24m_matrix *m = p->matrices; m < p->matrices + p->count; m++)
            most = s24m_most_bytes(most, (uint64_t)(m->outputs * m->inputs));
    return most;
}

static uint64_t stored_bytes(const s24m_model *model, const char *name)
{
    const void *data;
    size_t size = 0;
    return s24_file_bytes(model->file, name, &data, &size) == S24_OK ? size : 0;
}

uint64_t s24m_memory_block_source(const s24m_model *model)
{
    uint64_t most = 0;
    for (int64_t index = 0; index < model->config.layers; index++) {
        const s24m_program *p = s24m_program_of(model, index);
        uint64_t sum = 0;
        for (int32_t which = 0; which < p->count; which++) {
            char name[S24M_NAME];
            s24m_tensor_name(model, index, which, false, name);
            if (!p->matrices[which].slices || !p->matrices[which].expert)
                sum += stored_bytes(model, name);
        }
        most = s24m_most_bytes(most, sum);
    }
    return most;
}

/* A table that cannot be used where it lies is decoded once. */
uint64_t s24m_memory_table(const s24m_model *model)
{
    static const int32_t tables[] = {S24M_EMBEDDING, S24M_OUTPUT};
    const s24m_config *c = &model->config;
    uint64_t most = 0;
    for (int i = 0; i < 2; i++) {
        char name[S24M_NAME];
        s24_mat view;
        s24m_global(model, tables[i], name);
        uint64_t bytes = stored_bytes(model, name);
        if (bytes && s24_file_get(model->file, name, &view) != S24_OK)
            bytes += (uint64_t)(c->vocab * c->hidden) * sizeof(float);
        most = s24m_most_bytes(most, bytes);
    }
    return most;
}

/* Without it the heap of the C library grows from block to block: SmolLM2, four rows, rtn, took 939
 * MiB instead of 288. */
void s24m_memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* Whole pages of the mapping only. */
void s24m_memory_let_go(const s24_file *file)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const void *data;
        size_t size;
        if (s24_file_bytes(file, s24_file_name(file, i), &data, &size) != S24_OK)
            continue;
        uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
        uintptr_t end = ((uintptr_t)data + size) / page * page;
        if (begin < end)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}

int64_t s24m_threads(const s24_ctx *ctx)
{
    int64_t threads = 0;
    cpu_set_t set;
    if (s24_ctx_get_int(ctx, "threads", &threads) == S24_OK && threads > 0)
        return threads;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

uint64_t s24m_memory_product(const s24m_model *model)
{
    enum { TILE = 128 * 256, OUTPUTS = 256 }; /* lib/ops/linear/gemm.c */
    return (uint64_t)(s24m_threads(model->ctx) * (TILE + OUTPUTS * model->config.hidden)) *
           sizeof(float);
}

uint64_t s24m_memory_adding(const s24_ctx *ctx)
{
    enum { TILE = 256 * 1024 }; /* lib/ops/linear/gram.c */
    return (uint64_t)(s24m_threads(ctx) * TILE) * sizeof(float);
}

uint64_t s24m_memory_attention(const s24m_model *model, int64_t length)
{
    enum { QUERIES = 128 }; /* of a task */
    int64_t scores = s24m_threads(model->ctx) * QUERIES * length;
    return (uint64_t)(scores + length * model->config.head_dim) * sizeof(float);
}

uint64_t s24m_memory_forward(const s24m_model *model, int64_t rows, int64_t length)
{
    enum { LOGITS = 1 << 24 }; /* taken at a time */
    const s24m_config *c = &model->config;
    s24m_widths room = s24m_room(model);
    int64_t each = room.fresh + room.zone + room.aside + room.route;
    int64_t chunk = (rows < s24m_chunk(length) ? rows : s24m_chunk(length)) * length;
    int64_t vocab = s24m_is_encoder(model) ? 0 : c->vocab;
    int64_t predictions = vocab && LOGITS / vocab < chunk ? LOGITS / vocab + 1 : chunk;
    uint64_t block =
        s24m_memory_block(model) +
        s24m_most_bytes((uint64_t)(chunk * each) * sizeof(float), s24m_memory_block_source(model));
    uint64_t head = (uint64_t)(predictions * (vocab + c->hidden)) * sizeof(float);
    head += s24m_image_bytes(model, chunk / length);
    return s24m_most_bytes(block, head + s24m_memory_table(model)) +
           s24m_memory_attention(model, length);
}

/* A line of /proc/self/status, in bytes; 0 where there is none. */
static uint64_t status_bytes(const char *key)
{
    char line[128];
    unsigned long long kibibytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)) &&
            sscanf(line + strlen(key), ": %llu kB", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return 1024 * (uint64_t)kibibytes;
}

uint64_t s24m_memory_base(const s24_ctx *ctx)
{
    enum { BLAS = 4 << 20 }; /* of its buffer of a thread that is touched */
    return status_bytes("VmRSS") + (uint64_t)s24m_threads(ctx) * BLAS;
}
