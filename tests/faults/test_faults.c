/*
 * Every story is told once undisturbed and then with the k-th event of each kind failing, for every
 * k there is. A failed step gives the documented status and changes nothing; taken again it
 * succeeds, the story ends as if undisturbed, and no byte is left.
 */
#include "faults.h"
#include "stories.h"
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    s24_status status; /* what a call may answer; S24_OK: nothing may be noticed */
} kinds[FAULT_KINDS] = {
    [FAULT_MEMORY] = {"allocations refused", S24_E_MEMORY},
    [FAULT_PROGRESS] = {"solves cancelled", S24_E_CANCELLED},
    [FAULT_RUNNER] = {"host runners failed", FAULT_ANSWER},
    [FAULT_THREAD] = {"threads refused", S24_OK},
    [FAULT_OPEN] = {"opens failed", S24_E_IO},
    [FAULT_STAT] = {"stats failed", S24_E_IO},
    [FAULT_MAP] = {"maps failed", S24_E_IO},
    [FAULT_READ] = {"reads failed", S24_E_IO},
    [FAULT_COPY] = {"kernel copies refused", S24_OK},
    [FAULT_WRITE] = {"writes failed", S24_E_IO},
    [FAULT_SHORT] = {"writes cut short", S24_OK},
    [FAULT_INTERRUPT] = {"calls interrupted", S24_OK},
    [FAULT_SYNC] = {"syncs failed", S24_E_IO},
    [FAULT_CLOSE] = {"closes failed", S24_E_IO},
    [FAULT_RENAME] = {"renames failed", S24_E_IO},
    [FAULT_UNLINK] = {"unlinks failed", S24_E_IO},
    [FAULT_GONE] = {"disks pulled", S24_E_IO},
};

static int64_t faults[FAULT_KINDS];
static char folder[] = "/tmp/sparse24-faults-XXXXXX";
static const char before[] = "what was there before";

#define CHECK(condition, ...)          \
    do {                               \
        if (!(condition))              \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

/* ---- The file of the story ---- */

static bool writes_folder(void)
{
    return told.format && !strncmp(told.format, "folder", 6);
}

/* A name of the scratch folder, or all that is in it. */
static void clear(const char *name)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf %s/%s", folder, name);
    ck_assert_int_eq(system(command), 0);
}

/* Something to replace; a folder must be new. */
static void write_target(void)
{
    clear("a*");
    if (writes_folder())
        return;
    FILE *file = fopen(told.path, "wb");
    ck_assert(fwrite(before, 1, sizeof before, file) == sizeof before && !fclose(file));
}

static bool target_is_old(void)
{
    char bytes[sizeof before] = "";

    if (writes_folder())
        return access(told.path, F_OK) != 0;
    FILE *file = fopen(told.path, "rb");
    CHECK(file != NULL, "the file is gone");
    size_t got = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return got == sizeof before && !memcmp(bytes, before, sizeof before);
}

/* As before, or whole; and nothing beside it, except when it could not be unlinked. */
static void check_target(int kind)
{
    s24_ctx *ctx;
    s24_file *file;
    struct dirent **names;

    if (!told.format)
        return;
    if (!target_is_old()) {
        ck_assert(!s24_ctx_create(&ctx));
        CHECK(!s24_file_open(ctx, told.path, &file), "%s", s24_last_error());
        CHECK(s24_file_count(file) == 3, "the file is not whole");
        s24_file_destroy(file);
        s24_ctx_destroy(ctx);
    }
    int found = scandir(folder, &names, NULL, NULL);
    for (int i = 0; i < found; i++) {
        CHECK(!strstr(names[i]->d_name, ".tmp") || kind == FAULT_GONE || kind == FAULT_UNLINK,
              "%s is left", names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (kind == FAULT_GONE || kind == FAULT_UNLINK)
        clear(".sparse24*");
}

/* ---- One story ---- */

static const char *about(const story *s, int step, int kind, int64_t k)
{
    static char text[256];

    snprintf(text, sizeof text, "%s (%s, %s), step %d, fault %lld of %s", s->name,
             told.layout   ? told.layout
             : told.solver ? told.solver
             : told.format ? told.format
                           : "",
             told.grid          ? told.grid
             : told.constraints ? told.constraints
                                : "",
             step, (long long)k, kinds[kind].name ? kinds[kind].name : "none");
    return text;
}

/* What a step that fails for another reason than a fault tells: the solver does not honour this. */
static bool is_refusal(s24_status status)
{
    return status == S24_E_UNSUPPORTED || status == S24_E_STATE || status == S24_E_OPTION ||
           (told.layout && status == S24_E_DTYPE);
}

/* After a fault the same step must work. True: it does. False: what it works on is lost, as
 * documented. */
static bool recovers(const story *s, int step, int kind, int64_t k, bool in_place)
{
    s24_status status = s->steps[step]();

    if (status == S24_E_STATE &&
        (in_place || (kind == FAULT_RUNNER && strstr(s24_last_error(), "spoilt"))))
        return in_place;
    CHECK(status == S24_OK, "%s: again: %s", about(s, step, kind, k), s24_last_error());
    return true;
}

/* Tell it with a fault; returns the digest, or 0 when it was refused or lost on the way. */
static uint64_t tell(const story *s, int kind, int64_t k, bool *happened)
{
    static stage kept;
    uint64_t digest = 0;
    int step = 0;

    *happened = false;
    scene_open();
    if (told.format)
        write_target();
    fault_arm(kind, k);
    for (; s->steps[step]; step++) {
        memcpy(&kept, &scene, sizeof scene);
        s24_status status = s->steps[step]();
        if (!status)
            continue;
        *happened |= fault_disarm();
        if (!*happened && is_refusal(status))
            break;
        CHECK(*happened && status == kinds[kind].status, "%s: %s: %s", about(s, step, kind, k),
              s24_status_name(status), s24_last_error());
        CHECK(!memcmp(&kept, &scene, sizeof scene), "%s: outputs were touched",
              about(s, step, kind, k));
        CHECK(strstr(s24_last_error(), "s24_") == s24_last_error(), "%s: the text is '%s'",
              about(s, step, kind, k), s24_last_error());
        bool in_place = strstr(s24_last_error(), "in place") != NULL;
        check_target(kind);
        if (!recovers(s, step, kind, k, in_place))
            break;
    }
    *happened |= fault_disarm();
    digest = s->steps[step] ? 0 : scene.digest + 1;
    scene_close();
    CHECK(fault_bytes() == 0, "%s: %lld bytes leaked", about(s, step, kind, k),
          (long long)fault_bytes());
    check_target(kind);
    return digest;
}

/* The sanitizer sees the same lines at fewer k: errors late in a solve leave by one way. */
#ifdef __SANITIZE_ADDRESS__
enum { CLOSE = 12 };
#else
enum { CLOSE = INT32_MAX };
#endif

/* Every k until nothing happens. False: the story is not for this solver and constraint. */
static bool sweep(const story *s, int kind)
{
    bool happened;
    uint64_t digest, undisturbed;

    told.host = kind == FAULT_RUNNER;
    if (!(undisturbed = tell(s, FAULT_NONE, 0, &happened)))
        return false;
    for (int64_t k = 1;; k += 1 + k / CLOSE) {
        digest = tell(s, kind, k, &happened);
        CHECK(digest == undisturbed || kind == FAULT_PROGRESS || (kind == FAULT_RUNNER && !digest),
              "%s: another result", about(s, 0, kind, k));
        if (!happened)
            return true;
        faults[kind]++;
    }
}

/* ---- Tests ---- */

static void begin(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    memset(&told, 0, sizeof told);
    snprintf(told.path, sizeof told.path, "%s/a", folder);
    snprintf(told.second, sizeof told.second, "%s/another", folder);
}

static void end(void)
{
    clear("");
    for (int kind = 1; kind < FAULT_KINDS; kind++)
        if (faults[kind])
            printf("faults: %lld %s\n", (long long)faults[kind], kinds[kind].name);
    fflush(stdout);
}

static void sweep_all(const story *s)
{
    for (int kind = 1; kind < FAULT_KINDS; kind++)
        if (!sweep(s, kind)) /* a format that this build does not write */
            ck_assert(told.format && strcmp(told.format, "safetensors"));
}

START_TEST(plain_stories)
{
    static const char *const formats[] = {"safetensors", "gguf", "folder[shard_bytes=2000]"};

    for (const story *s = stories; s->name; s++)
        for (int f = 0; f < (s->writes ? 3 : 1) && !s->solves && !s->packs && !s->decodes; f++) {
            told.format = s->writes ? formats[f] : NULL;
            sweep_all(s);
        }
}
END_TEST

static const story *story_named(const char *name)
{
    const story *s = stories;

    while (strcmp(s->name, name))
        s++;
    return s;
}

START_TEST(codes_are_decoded)
{
    told.format = "folder";
    codes_write(folder);
    sweep_all(story_named("codes"));
}
END_TEST

/* What may happen to calls that touch no file; false at once if the story is not for these
 * settings. */
static bool sweep_calls(const story *s)
{
    int kind = FAULT_MEMORY;

    while (kind <= FAULT_THREAD && sweep(s, kind))
        kind++;
    return kind > FAULT_THREAD;
}

/* Each solver of the table in turn, then with options that take more steps, where it has them. */
START_TEST(stories_of_a_solver)
{
    static const struct {
        const char *constraints, *options;
    } variants[] = {{"2:4", "preset=best"},
                    {"int4 g16", "preset=best,outliers=0.1"},
                    {"2:4 + int4", "outliers=0.1,outlier_shape=inputs"}};
    int honoured = 0;

    told.solver = s24_solver_name(_i);
    for (const story *s = stories; s->name && told.solver; s++)
        for (int c = 0; story_constraints[c] && s->solves; c++) {
            told.constraints = story_constraints[c];
            honoured += sweep_calls(s);
        }
    for (size_t k = 0; k < sizeof variants / sizeof *variants && told.solver; k++) {
        told.constraints = variants[k].constraints;
        told.options = variants[k].options;
        sweep_calls(story_named("solve"));
    }
    CHECK(honoured || !told.solver, "%s honours nothing", told.solver);
}
END_TEST

/* Each layout, of weights or of codes on a grid that it holds. */
START_TEST(stories_of_packings)
{
    static const char *const grids[] = {NULL, "int4 sym g32", "int4 real g32", "int8 sym g32"};
    char layouts[512], *rest = layouts;

    ck_assert_uint_lt(strlen(s24_build_info("layouts")), sizeof layouts);
    strcpy(layouts, s24_build_info("layouts"));
    while ((told.layout = strsep(&rest, ", "))) {
        bool hybrid = !strcmp(told.layout, "hybrid24"), windows = !strcmp(told.layout, "window24");
        if (windows)
            told.layout = "window24:4"; /* no number, no layout; and nothing multiplies by these */
        for (const story *s = stories; s->name && *told.layout; s++) {
            int honoured = 0;
            bool both = strstr(told.layout, "ri16x32-int") != NULL; /* codes that are 2:4 too */
            for (int g = 0; g < 4 && s->packs; g++) {
                char constraints[64] = "2:4";
                if (hybrid)
                    strcpy(constraints, "2:4 dense 25%");
                if (grids[g])
                    snprintf(constraints, sizeof constraints, "%s%s", both ? "2:4 + " : "",
                             grids[g]);
                told.grid = grids[g];
                told.constraints = constraints;
                told.solver = !told.grid ? "magnitude" : both ? "sparsegpt" : "rtn";
                told.options = told.grid ? "scales=f16" : NULL;
                honoured += sweep_calls(s);
            }
            CHECK(honoured || !s->packs || hybrid || windows, "%s honours nothing", told.layout);
        }
    }
}
END_TEST

/* ---- Limits ---- */

/* The steps of a story until the one that predicts. */
static bool tell_until_predicted(const story *s, int *step)
{
    for (*step = 0; s->steps[*step] && !scene.bytes; ++*step)
        if (s->steps[*step]())
            return false;
    return scene.bytes > 0;
}

static void try_limits(const story *s, int step)
{
    s24_result *none = NULL;
    uint64_t used;

    for (int i = 1; i <= 20; i++) {
        int64_t inside = (int64_t)((double)scene.bytes * i / 10), now = fault_bytes();
        ck_assert(!s24_ctx_memory(scene.ctx, &used, NULL));
        ck_assert(!s24_ctx_set_int(scene.ctx, "memory_limit", (int64_t)used + inside));
        fault_peak();
        s24_status status = s->steps[step]();
        CHECK(status == S24_OK || (status == S24_E_MEMORY && i < 10), "%s at %d/10: %s",
              about(s, step, FAULT_NONE, 0), i, s24_last_error());
        CHECK(fault_peak() <= now + inside, "%s: more than the limit",
              about(s, step, FAULT_NONE, 0));
        CHECK(!status == (scene.result != none), "%s: outputs", about(s, step, FAULT_NONE, 0));
        s24_result_destroy(scene.result);
        scene.result = NULL;
        CHECK(!status || fault_bytes() == now, "%s: %lld bytes leaked",
              about(s, step, FAULT_NONE, 0), (long long)(fault_bytes() - now));
    }
}

START_TEST(limits_around_the_prediction)
{
    told.solver = s24_solver_name(_i);
    told.host = false;
    for (const story *s = stories; s->name && told.solver; s++)
        for (int c = 0, step; story_constraints[c] && s->solves; c++) {
            told.constraints = story_constraints[c];
            scene_open();
            if (tell_until_predicted(s, &step))
                try_limits(s, step);
            scene_close();
            ck_assert_int_eq(fault_bytes(), 0);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, begin, end);
    tcase_add_test(all, plain_stories);
    tcase_add_test(all, codes_are_decoded);
    tcase_add_test(all, stories_of_packings);
    tcase_add_loop_test(all, stories_of_a_solver, 0, s24_solver_count());
    tcase_add_loop_test(all, limits_around_the_prediction, 0, s24_solver_count());
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
