/* What tests of training share: a folder, a tiny model in it, and rows of any ids. */
#ifndef S24_TESTS_TRAINEE_H
#define S24_TESTS_TRAINEE_H
#include "tiny.h"
#include <check.h>
#include <sparse24/model.h>
#include <unistd.h>

static char folder[64];
static s24_ctx *ctx;
static s24_model *model;

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())
#define done(call) ck_assert_msg(call, "%s: %s", #call, s24_last_error())

static inline char *in_folder(const char *name)
{
    static char path[4][160];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static inline void open_model(const tiny_model *m)
{
    tiny_write(ctx, in_folder("tiny.safetensors"), m);
    ok(s24_model_open(ctx, in_folder("tiny.safetensors"), &model));
}

static inline void open_folder(const char *pattern, int32_t *ids, int count)
{
    strcpy(folder, pattern);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ok(s24_ctx_create(&ctx));
    uint64_t state = 1;
    for (int i = 0; i < count; i++)
        ids[i] =
            (int32_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % 96;
}

static void tear_down(void)
{
    char command[128];
    s24_model_destroy(model);
    model = NULL;
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

#endif
