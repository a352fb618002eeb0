#include "api.h"

/* What a product works in; several may, one after the other. */
typedef struct scratch {
    _Atomic int32_t references, busy;
    size_t size;
    void *data;
} scratch;

struct s24_product {
    s24i_object object;
    s24_packed *packed; /* retained */
    s24i_product plan;
    scratch *scratch;
};

/* ---- Scratch ---- */

static s24_status take_scratch(scratch *s)
{
    if (!atomic_exchange(&s->busy, 1))
        return S24_OK;
    return s24i_fail(S24_E_STATE, "the product, or one that shares its scratch, is running: "
                                  "prepare another one beside it");
}

static void drop_scratch(scratch *s)
{
    atomic_store(&s->busy, 0);
}

static void release_scratch(s24_ctx *ctx, scratch *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) != 1)
        return;
    s24i_free(&ctx->memory, s->data, s->size);
    s24i_free(&ctx->memory, s, sizeof *s);
}

static s24_status grow_scratch(s24_ctx *ctx, scratch *s, size_t size)
{
    void *data;

    if (size <= s->size)
        return S24_OK;
    data = s24i_alloc(&ctx->memory, size);
    if (!data)
        return S24_E_MEMORY;
    s24i_free(&ctx->memory, s->data, s->size);
    s->data = data;
    s->size = size;
    return S24_OK;
}

/* That of `share`, made as large as `size`, or a new one. */
static s24_status get_scratch(s24_ctx *ctx, s24_product *share, size_t size, scratch **out)
{
    scratch *s = share ? share->scratch : s24i_alloc_zero(&ctx->memory, sizeof *s);

    if (!s)
        return S24_E_MEMORY;
    s24_status status = take_scratch(s);
    if (status)
        return status;
    atomic_fetch_add(&s->references, 1);
    status = grow_scratch(ctx, s, size);
    drop_scratch(s);
    if (status)
        release_scratch(ctx, s);
    else
        *out = s;
    return status;
}

/* ---- Preparing ---- */

static s24_status check_prepare(const s24_packed *packed, int32_t promise, int64_t tokens,
                                s24_product *share, s24_product **out)
{
    s24_status status = s24i_check_handle(packed, S24I_PACKED, "packed");

    if (!status)
        status = s24i_check_pointer(out, "out");
    if (!status && promise != S24_EXACT && promise != S24_FAST)
        status =
            s24i_fail(S24_E_ARG, "promise is %d, but must be S24_EXACT or S24_FAST", (int)promise);
    if (!status)
        status = s24i_check_dim(tokens, "tokens");
    if (!status && share)
        status = s24i_check_handle(share, S24I_PRODUCT, "share");
    if (!status && share && share->object.ctx != packed->object.ctx)
        status = s24i_fail(S24_E_ARG, "share belongs to another context than packed");
    return status;
}

static void touch(void *arg, int64_t index, int32_t worker)
{
    (void)arg, (void)index, (void)worker;
}

static s24_status make_product(s24_packed *packed, const s24i_product *plan, s24_product *share,
                               s24_product **out)
{
    s24_ctx *ctx = packed->object.ctx;
    s24_product *product = s24i_alloc_zero(&ctx->memory, sizeof *product);

    if (!product)
        return S24_E_MEMORY;
    s24_status status = get_scratch(ctx, share, plan->scratch, &product->scratch);
    if (!status) /* the threads are there before the first product */
        status = s24i_parallel(&ctx->threads, touch, NULL, plan->workers);
    if (status) {
        release_scratch(ctx, product->scratch);
        s24i_free(&ctx->memory, product, sizeof *product);
        return status;
    }
    s24i_object_init(&product->object, S24I_PRODUCT, ctx);
    s24i_object_retain(&packed->object);
    product->packed = packed;
    product->plan = *plan;
    *out = product;
    return S24_OK;
}

s24_status s24_packed_prepare(const s24_packed *packed, int32_t promise, int32_t activations,
                              int64_t tokens, s24_product *share, s24_product **out)
{
    s24_status status = check_prepare(packed, promise, tokens, share, out);
    s24i_product plan;

    if (status)
        return s24i_done(__func__, status);
    s24_ctx *ctx = packed->object.ctx;
    s24i_enter(ctx);
    status = s24i_product_plan(&packed->packing, promise == S24_FAST, activations, tokens,
                               s24i_workers(&ctx->threads), &plan);
    if (!status)
        status = make_product((s24_packed *)(uintptr_t)packed, &plan, share, out);
    s24i_leave(ctx);
    return s24i_done(__func__, status);
}

void s24_product_destroy(s24_product *product)
{
    if (!s24i_is(product, S24I_PRODUCT))
        return;
    s24_ctx *ctx = product->object.ctx;
    product->object.handle.magic = S24I_DEAD;
    release_scratch(ctx, product->scratch);
    s24i_packed_release(product->packed);
    s24i_free(&ctx->memory, product, sizeof *product);
    s24i_ctx_release(ctx);
}

/* ---- Using ---- */

s24_status s24_product_info(const s24_product *product, const char **kernel, const char **isa,
                            int32_t *activations, int64_t *scratch_bytes)
{
    s24_status status = s24i_check_handle(product, S24I_PRODUCT, "product");

    if (status)
        return s24i_done(__func__, status);
    const s24i_product *plan = &product->plan;
    if (kernel)
        *kernel = plan->lanes.name;
    if (isa)
        *isa = s24i_product_set(plan, &product->object.ctx->kernels);
    if (activations)
        *activations = plan->lanes.activations;
    if (scratch_bytes)
        *scratch_bytes = (int64_t)product->scratch->size;
    return S24_OK;
}

static s24_status run(s24_product *product, const s24_mat *x, const s24_mat *y)
{
    s24_ctx *ctx = product->object.ctx;
    s24i_pack_tools tools = s24i_pack_tools_of(ctx);
    int32_t workers = s24i_workers(tools.threads);

    if (workers > product->plan.workers)
        return s24i_fail(S24_E_STATE,
                         "the context has %d threads now, but the product was prepared for %d: "
                         "prepare it again",
                         (int)workers, (int)product->plan.workers);
    return s24i_product_run(&product->plan, &tools, x, y, product->scratch->data);
}

s24_status s24_product_run(s24_product *product, const s24_mat *x, const s24_mat *y)
{
    s24_status status = s24i_check_handle(product, S24I_PRODUCT, "product");

    if (!status)
        status = s24i_check_product(product->packed, x, y);
    if (!status)
        status = take_scratch(product->scratch);
    if (status)
        return s24i_done(__func__, status);
    s24i_enter(product->object.ctx);
    status = run(product, x, y);
    s24i_leave(product->object.ctx);
    drop_scratch(product->scratch);
    return s24i_done(__func__, status);
}
