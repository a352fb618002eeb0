#include "api.h"
#include "api/build_facts.h"
#include "base/number.h"
#include "ops/backend.h"
#include <dlfcn.h>
#include <string.h>

/* The option "device" of a context: "cpu", or "PATH:INDEX" of a library that fills ops.def for
 * another processor. Knows how such a library is loaded and closed, not what it does. */

static s24_status fail(s24_status status, const char *text)
{
    return s24i_fail(status, "%s", text);
}

static void load(const s24_mat *mat, int64_t row, int64_t count, float *out)
{
    s24i_kernels kernels;

    s24i_cpu_kernels("auto", &kernels);
    s24i_mat_load(&kernels, mat, row, count, out);
}

static void load_f64(const s24_mat *mat, int64_t row, int64_t count, double *out)
{
    s24i_kernels kernels;

    s24i_cpu_kernels("auto", &kernels);
    s24i_mat_load_f64(&kernels, mat, row, count, out);
}

static const s24i_host host = {.fail = fail,
                               .watch_init = s24i_watch_init,
                               .watch_phase = s24i_watch_phase,
                               .watch_step = s24i_watch_step,
                               .watch_stopped = s24i_watch_stopped,
                               .watch_cancelled = s24i_watch_cancelled,
                               .load = load,
                               .load_f64 = load_f64,
                               .refuse = s24i_mat_refuse,
                               .obeys = s24i_obeys};

/* "PATH:INDEX" apart. */
static s24_status parse(const char *text, char path[S24I_DEVICE_TEXT], int32_t *index)
{
    const char *colon = strrchr(text, ':');
    int64_t number;
    if (strlen(text) >= S24I_DEVICE_TEXT)
        return s24i_fail(S24_E_OPTION, "option device: the text has %zu bytes, %d are allowed",
                         strlen(text), S24I_DEVICE_TEXT - 1);
    if (!colon || colon == text || colon[1] < '0' || colon[1] > '9')
        return s24i_fail(S24_E_OPTION,
                         "option device is \"%s\", but must be \"cpu\" or PATH:INDEX, such as "
                         "/usr/lib/libsparse24-cuda.so:0",
                         text);
    if (!s24i_integer_read(colon + 1, &number) || number > 1023)
        return s24i_fail(S24_E_OPTION, "option device is \"%s\": \"%s\" is no index in 0 .. 1023",
                         text, colon + 1);
    memcpy(path, text, (size_t)(colon - text));
    path[colon - text] = 0;
    *index = (int32_t)number;
    return S24_OK;
}

static s24_status check_backend(const s24i_backend *backend, const char *path)
{
    if (!backend)
        return s24i_fail(S24_E_BACKEND, "device: %s has no symbol " S24I_BACKEND_NAME, path);
    if (backend->signature != S24I_BACKEND_SIGNATURE)
        return s24i_fail(S24_E_BACKEND,
                         "device: %s belongs to another build of this library: take the one that "
                         "was built with libsparse24 " S24I_PACKAGE_VERSION,
                         path);
    return S24_OK;
}

static s24_status open_library(s24i_plug *plug, const char *path)
{
    plug->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plug->library)
        return s24i_fail(S24_E_BACKEND, "device: %s", dlerror());
    plug->backend = dlsym(plug->library, S24I_BACKEND_NAME);
    return check_backend(plug->backend, path);
}

void s24i_plug_close(s24i_plug *plug)
{
    if (plug->open)
        plug->backend->close(&plug->device);
    if (plug->library)
        dlclose(plug->library);
    *plug = (s24i_plug){.open = false};
}

s24_status s24i_plug_open(s24_ctx *ctx, const char *text, s24i_plug *plug)
{
    char path[S24I_DEVICE_TEXT];
    int32_t index = 0;
    s24_status status = S24_OK;

    *plug = (s24i_plug){.open = false};
    if (!strcmp(text, "cpu"))
        return S24_OK;
    if ((status = parse(text, path, &index)))
        return status;
    if (!(status = open_library(plug, path))) {
        plug->device = (s24i_device){.threads = &ctx->threads, .kernels = &ctx->kernels};
        status = plug->backend->open(&host, index, &plug->device);
    }
    plug->open = status == S24_OK;
    if (status) {
        s24i_plug_close(plug);
        return status;
    }
    memcpy(plug->text, text, strlen(text) + 1);
    return S24_OK;
}

int32_t s24i_device_enter(s24_ctx *ctx)
{
    if (!ctx->device->enter)
        return 0;
    s24i_lock_take(&ctx->plug_lock);
    return ctx->device->enter(ctx->device);
}

void s24i_device_leave(s24_ctx *ctx, int32_t before)
{
    if (!ctx->device->enter)
        return;
    ctx->device->leave(ctx->device, before);
    s24i_lock_drop(&ctx->plug_lock);
}
