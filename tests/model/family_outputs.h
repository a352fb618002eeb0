/* What tests that write models of families.safetensors share: a folder of outputs. */
#ifndef S24_TESTS_FAMILY_OUTPUTS_H
#define S24_TESTS_FAMILY_OUTPUTS_H
#include "families.h"
#include <check.h>

static s24_ctx *ctx;
static char folder[64], outputs[64]; /* of the source; of what is written */

#define ok(call) ck_assert_msg((call) == S24_OK, "%s: %s", #call, s24_last_error())

static inline void open_outputs(const char *pattern)
{
    strcpy(outputs, pattern);
    ck_assert_ptr_nonnull(mkdtemp(outputs));
    *folder = 0;
    ok(s24_ctx_create(&ctx));
}

static void tear_down(void)
{
    char command[200];
    s24_ctx_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", outputs);
    ck_assert_int_eq(system(command), 0);
    family_remove(folder);
}

static inline const char *out_path(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", outputs, name);
    return path[next];
}

#endif
