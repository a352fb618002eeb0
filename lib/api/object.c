#include "api.h"

static const char *const kinds[] = {"context", "gram", "cross",         "problem", "solver",
                                    "result",  "file", "packed matrix", "product"};

static const char *kind_name(uint32_t magic)
{
    return magic >= S24I_CTX && magic <= S24I_PRODUCT ? kinds[magic - S24I_CTX] : NULL;
}

void s24i_ctx_retain(s24_ctx *ctx)
{
    atomic_fetch_add(&ctx->references, 1);
}

void s24i_object_init(s24i_object *object, uint32_t magic, s24_ctx *ctx)
{
    s24i_ctx_retain(ctx);
    object->handle.magic = magic;
    object->ctx = ctx;
    atomic_init(&object->references, 1);
}

void s24i_object_retain(s24i_object *object)
{
    atomic_fetch_add(&object->references, 1);
}

bool s24i_object_drop(s24i_object *object)
{
    return atomic_fetch_sub(&object->references, 1) == 1;
}

s24_status s24i_check_handle(const void *object, uint32_t magic, const char *argument)
{
    if (s24i_is(object, magic))
        return S24_OK;
    const char *wanted = kind_name(magic);
    if (!object)
        return s24i_fail(S24_E_ARG, "%s is NULL, expected a %s", argument, wanted);
    uint32_t found = ((const s24i_handle *)object)->magic;
    if (found == S24I_DEAD)
        return s24i_fail(S24_E_ARG, "%s was already destroyed, expected a living %s", argument,
                         wanted);
    if (kind_name(found))
        return s24i_fail(S24_E_ARG, "%s is a %s, expected a %s", argument, kind_name(found),
                         wanted);
    return s24i_fail(S24_E_ARG, "%s is not a handle of this library, expected a %s", argument,
                     wanted);
}

s24_status s24i_check_pointer(const void *pointer, const char *argument)
{
    return pointer ? S24_OK : s24i_fail(S24_E_ARG, "%s is NULL", argument);
}

s24_status s24i_done(const char *function, s24_status status)
{
    return status == S24_OK ? S24_OK : s24i_fail_in(status, function);
}
