/* What each test of lib/model stands on: a context and a file of its own. */
#ifndef S24_TESTS_FIXTURE_H
#define S24_TESTS_FIXTURE_H
#include <check.h>
#include <sparse24/sparse24.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static s24_ctx *ctx;

static void set_up(void)
{
    strcpy(path, "/tmp/sparse24-llama-XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    ck_assert_int_eq(s24_ctx_create(&ctx), S24_OK);
}

static void tear_down(void)
{
    s24_ctx_destroy(ctx);
    unlink(path);
}

#endif
