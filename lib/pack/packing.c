#include "pack.h"
#include <string.h>

/* ---- Tables ---- */

s24_status s24i_layout_find(const char *name, const s24i_layout **out)
{
    const char *names[S24I_MAX_LAYOUTS];
    int32_t count = 0;

    for (; s24i_layouts[count]; count++) {
        names[count] = s24i_layouts[count]->name;
        if (strcmp(name, names[count]))
            continue;
        *out = s24i_layouts[count];
        return S24_OK;
    }
    return s24i_fail_near(s24i_fail(S24_E_UNSUPPORTED, "there is no layout \"%.64s\"", name), name,
                          names, count);
}

/* "f16" */
static const char *type_name(int32_t dtype, char name[16])
{
    const s24i_element *element = s24i_element_by_dtype(dtype);
    int i = 0;

    for (; element && element->name[i]; i++)
        name[i] = (char)(element->name[i] |
                         ('A' <= element->name[i] && element->name[i] <= 'Z' ? 32 : 0));
    name[i] = 0;
    return element ? name : "an unknown type";
}

s24_status s24i_layout_check_dtype(const s24i_layout *layout, int32_t dtype)
{
    char known[64] = "", name[16];

    for (const int32_t *t = layout->dtypes; *t; t++) {
        if (*t == dtype)
            return S24_OK;
        strcat(strcat(known, t == layout->dtypes ? "" : ", "), type_name(*t, name));
    }
    return s24i_fail(S24_E_DTYPE, "layout %s holds %s, not %s (0x%04x)", layout->name, known,
                     type_name(dtype, name), (unsigned)dtype);
}

/* ---- Rows ---- */

typedef struct visit {
    s24i_row_fn visit;
    void *arg;
    int64_t rows;
    char *scratch;
    size_t per_worker;
    s24i_failure failure;
} visit;

static void visit_tile(void *arg, int64_t tile, int32_t worker)
{
    visit *v = arg;
    int64_t row = tile * S24I_PACK_ROWS, end = row + S24I_PACK_ROWS;
    s24_status status = S24_OK;

    for (; !status && row < end && row < v->rows; row++)
        status = v->visit(v->arg, row, v->scratch + (size_t)worker * v->per_worker);
    s24i_failure_keep(&v->failure, tile, status);
}

/* Whole lines, so that no two workers share one. */
static size_t of_a_worker(size_t scratch)
{
    return (scratch + S24I_ALIGN - 1) / S24I_ALIGN * S24I_ALIGN;
}

size_t s24i_rows_scratch(int32_t workers, size_t scratch)
{
    return s24i_mul(of_a_worker(scratch), (size_t)workers);
}

s24_status s24i_visit_rows(s24i_threads *threads, int64_t rows, size_t scratch, void *room,
                           s24i_row_fn function, void *arg)
{
    visit v = {.visit = function, .arg = arg, .rows = rows, .scratch = room};
    int64_t tiles = (rows + S24I_PACK_ROWS - 1) / S24I_PACK_ROWS;

    v.per_worker = of_a_worker(scratch);
    s24_status status = s24i_parallel(threads, visit_tile, &v, tiles);
    return status ? status : s24i_failure_raise(&v.failure);
}

s24_status s24i_pack_rows(const s24i_pack_tools *tools, int64_t rows, size_t scratch,
                          s24i_row_fn function, void *arg)
{
    size_t size = s24i_rows_scratch(s24i_workers(tools->threads), scratch);
    void *room = s24i_alloc(tools->memory, size);

    if (!room)
        return S24_E_MEMORY;
    s24_status status = s24i_visit_rows(tools->threads, rows, scratch, room, function, arg);
    s24i_free(tools->memory, room, size);
    return status;
}

size_t s24i_packing_row_scratch(const s24i_packing *p)
{
    return s24i_mul((size_t)p->cols + 64, 8);
}

/* ---- Making and checking ---- */

void s24i_packing_part(s24i_packing *p, const char *name, int32_t dtype, int64_t rows, int64_t cols)
{
    s24i_packed_part *part = &p->part[p->count++];

    part->name = name;
    part->dtype = dtype;
    part->rank = 2;
    part->rows = rows;
    part->cols = cols;
    part->size = s24i_mul(s24i_mul((size_t)rows, (size_t)cols), (size_t)s24i_dtype_size(dtype));
}

void s24i_packing_vector(s24i_packing *p, const char *name, int32_t dtype, int64_t count)
{
    s24i_packing_part(p, name, dtype, 1, count);
    p->part[p->count - 1].rank = 1;
}

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    s24_status status = s24i_layout_check_dtype(p->layout, p->dtype);

    return status ? status : p->layout->plan(p, source);
}

void s24i_packing_free(s24i_memory *memory, s24i_packing *p)
{
    for (int32_t i = 0; i < p->count; i++)
        s24i_free(memory, p->part[i].data, p->part[i].size);
}

s24_status s24i_packing_make(const s24i_pack_tools *tools, s24i_packing *p,
                             const s24i_pack_source *source)
{
    s24_status status = plan(p, source);

    if (status)
        return status;
    for (int32_t i = 0; i < p->count; i++)
        if (!(p->part[i].data = s24i_alloc_zero(tools->memory, p->part[i].size)))
            status = S24_E_MEMORY;
    if (!status)
        status = p->layout->pack(p, source, tools);
    if (status)
        s24i_packing_free(tools->memory, p);
    return status;
}

s24_status s24i_packing_wrap(const s24i_pack_tools *tools, s24i_packing *p, int32_t count,
                             const void *const *parts, const size_t *sizes)
{
    for (int32_t i = 0; i < count && i < S24I_MAX_PARTS; i++)
        p->part[i].size = sizes[i];
    s24_status status = plan(p, NULL);
    if (status)
        return status;
    if (count != p->count)
        return s24i_fail(S24_E_ARG, "count is %d, but layout %s has %d parts", (int)count,
                         p->layout->name, (int)p->count);
    for (int32_t i = 0; i < count; i++) {
        if (sizes[i] != p->part[i].size)
            return s24i_fail(S24_E_SHAPE,
                             "part %d, \"%s\", has %zu bytes, but layout %s of %lld x %lld has %zu",
                             (int)i, p->part[i].name, sizes[i], p->layout->name, (long long)p->rows,
                             (long long)p->cols, p->part[i].size);
        if (!parts[i] && sizes[i])
            return s24i_fail(S24_E_ARG, "part %d, \"%s\", is NULL", (int)i, p->part[i].name);
        p->part[i].data = (void *)(uintptr_t)parts[i];
    }
    return p->layout->check(p, tools);
}

/* ---- Using ---- */

typedef struct unpacking {
    const s24i_packing *p;
    const s24_mat *w;
} unpacking;

static s24_status unpack_row(void *arg, int64_t row, void *scratch)
{
    const unpacking *u = arg;
    size_t size = (size_t)s24i_dtype_size(u->p->dtype);
    int64_t across = u->w->cols > 1 ? u->w->col_stride : 0;
    char *dense = (char *)scratch + s24i_packing_row_scratch(u->p);
    char *to = u->w->data;

    u->p->layout->unpack_row(u->p, row, dense, scratch);
    if (u->w->rows > 1)
        to += (size_t)(row * u->w->row_stride) * size;
    for (int64_t j = 0; j < u->w->cols; j++)
        memcpy(to + (size_t)(j * across) * size, dense + (size_t)j * size, size);
    return S24_OK;
}

s24_status s24i_packing_unpack(const s24i_pack_tools *tools, const s24i_packing *p,
                               const s24_mat *w)
{
    unpacking u = {p, w};

    return s24i_pack_rows(tools, p->rows, s24i_mul(2, s24i_packing_row_scratch(p)), unpack_row, &u);
}
