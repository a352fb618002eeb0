/* sparse24 info and version: what a file holds, and what this build is. */
#include "commands.h"
#include "layer.h"
#include "message.h"
#include "speed.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_fact(const char *label, const char *value)
{
    say("%-12s%s", label, value ? value : "unknown");
}

static void print_build(void)
{
    uint32_t api = s24_api_version();
    cpu_set_t cores;
    print_fact("library", s24_version());
    printf("%-12s%u.%u\n", "interface", api >> 16, api >> 8 & 0xff);
    print_fact("blas", s24_build_info("blas"));
    print_fact("kernels", s24_build_info("kernels"));
    print_fact("solvers", s24_build_info("solvers"));
    print_fact("layouts", s24_build_info("layouts"));
    print_fact("compiler", s24_build_info("compiler"));
    if (!sched_getaffinity(0, sizeof cores, &cores))
        printf("%-12s%d usable\n", "cores", CPU_COUNT(&cores));
}

static void print_tensor(const s24_file *file, const char *name, int width, int type_width)
{
    int64_t shape[8];
    int32_t rank = 0;
    const char *type = "";
    if (s24_file_info(file, name, shape, &rank, &type) != S24_OK)
        return;
    char text[200] = "scalar";
    const void *data;
    size_t bytes = 0;
    for (int32_t i = 0, used = 0; i < rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%lld", i ? " x " : "",
                         (long long)shape[i]);
    char size[40] = "";
    if (s24_file_bytes(file, name, &data, &bytes) == S24_OK)
        snprintf(size, sizeof size, "  %9.2f MiB", (double)bytes / (1 << 20));
    say("%-*s  %-*s  %-20s%s", width, name, type_width, type, text, size);
}

/* Of a long text, as vocabularies, chat templates and records are, the beginning: up to a comma of an array, never a part of a
 * character. */
static void print_meta(const char *key, const char *value, bool all)
{
    enum { ROOM = 200 };
    size_t length = value ? strlen(value) : 0, shown = ROOM;
    if (all || length <= ROOM) {
        say("%s: %s", key, value ? value : "");
        return;
    }
    while (*value == '[' && shown > 1 && value[shown - 1] != ',')
        shown--;
    while (shown > 1 && (value[shown] & 0xc0) == 0x80)
        shown--;
    say("%s: %.*s ... (%zu bytes, --all prints them)", key, (int)shown, value, length);
}

/* How many tensors of which types there are, behind what scrolls by. */
static void print_sum(const s24_file *file)
{
    enum { TYPES = 16 };
    const char *types[TYPES] = {NULL};
    int counts[TYPES] = {0};
    double weights = 0, bytes = 0;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i), *type = "";
        int64_t shape[8];
        int32_t rank = 0, k = 0;
        const void *data;
        size_t size = 0;
        double each = 1;
        s24_file_info(file, name, shape, &rank, &type);
        s24_file_bytes(file, name, &data, &size);
        for (int32_t d = 0; d < rank; d++)
            each *= (double)shape[d];
        while (k < TYPES - 1 && types[k] && strcmp(types[k], type))
            k++;
        types[k] = type;
        counts[k]++;
        weights += each;
        bytes += (double)size;
    }
    printf("%lld tensors", (long long)s24_file_count(file));
    for (int k = 0; k < TYPES && types[k]; k++)
        printf("%s%d %s", k ? ", " : ": ", counts[k], types[k]);
    printf("; %.4g million elements, %.2f MiB\n", 1e-6 * weights, bytes / (1 << 20));
}

static void print_file(const s24_file *file, bool all)
{
    size_t width = 0, type_width = 8;
    const char *key;
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i), *type = "";
        s24_file_info(file, name, NULL, NULL, &type);
        width = strlen(name) > width ? strlen(name) : width;
        type_width = strlen(type) > type_width ? strlen(type) : type_width;
    }
    for (int64_t i = 0; i < s24_file_count(file); i++)
        print_tensor(file, s24_file_name(file, i), (int)width, (int)type_width);
    for (int64_t i = 0; (key = s24_file_meta_key(file, i)); i++)
        print_meta(key, s24_file_meta(file, key), all);
    print_sum(file);
}

int run_info(const args *a)
{
    s24_ctx *ctx = NULL;
    s24_file *file = NULL;
    if (!a->operand) {
        print_build();
        return DONE;
    }
    bool done = context_open(&ctx, a) &&
                (s24_file_open(ctx, a->operand, &file) == S24_OK || fail_library("info"));
    if (done && a->speed)
        done = print_speed(ctx, file);
    else if (done)
        print_file(file, a->all);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return done ? DONE : FAILED;
}

int run_version(const args *a)
{
    uint32_t api = s24_api_version();
    printf("sparse24 %s (interface %u.%u)\n", s24_version(), api >> 16, api >> 8 & 0xff);
    if (a->verbose)
        print_build();
    return DONE;
}
