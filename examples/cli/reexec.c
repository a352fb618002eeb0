#include "reexec.h"
#include <sparse24/sparse24.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* OpenBLAS starts a thread for each core but one when it is loaded, which take 128 MiB of address space each, ask for ever if there is none,
 * and end the program with SIGINT if they cannot be started; we use none of them. It asks the system for the cores, and too early for
 * the environment to be changed: so before it is loaded there is one core. */
static unsigned long cores[1024]; /* allowed in truth; 65536 bits */
static int cores_known;

static void allow_one_core(void)
{
    unsigned long one[sizeof cores / sizeof *cores] = {0};
    int here = sched_getcpu();

    cores_known = !sched_getaffinity(0, sizeof cores, (cpu_set_t *)cores);
    if (!cores_known || here < 0)
        return;
    CPU_SET_S(here, sizeof one, (cpu_set_t *)one);
    sched_setaffinity(0, sizeof one, (cpu_set_t *)one);
}

static void allow_all_cores(void)
{
    if (cores_known)
        sched_setaffinity(0, sizeof cores, (cpu_set_t *)cores);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const before_loading)(void) = allow_one_core;

/* Set in the new process, so that a BLAS that ignores our wish cannot make us start forever. */
static const char guard[] = "SPARSE24_CLI_REEXEC";

static int is_one_of(const char *core, const char *const *list)
{
    for (; *list; list++)
        if (!strcasecmp(core, *list))
            return 1;
    return 0;
}

/* The core whose kernels OpenBLAS should use instead of `core`; NULL to leave it. Names that we do
 * not know are newer than we are. */
static const char *better_core(const char *core)
{
    static const char *const avx2[] = {"Haswell", "Zen", "Excavator", NULL};
    static const char *const older[] = {
        "Unknown", "generic",   "Katmai",       "Coppermine",  "Northwood",  "Prescott",
        "Banias",  "Atom",      "Core2",        "Penryn",      "Dunnington", "Nehalem",
        "Athlon",  "Opteron",   "Opteron_SSE3", "Barcelona",   "Nano",       "Sandybridge",
        "Bobcat",  "Bulldozer", "Piledriver",   "Steamroller", NULL};
    int is_older = is_one_of(core, older);
    if (!is_older && !is_one_of(core, avx2))
        return NULL;
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (is_older && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}

void reexec_for_blas(char **argv)
{
    allow_all_cores();
    const char *blas = s24_build_info("blas"), *core = blas ? strrchr(blas, ' ') : NULL;
    if (!core || getenv(guard) || getenv("OPENBLAS_CORETYPE"))
        return;
    const char *better = better_core(core + 1);
    if (!better || setenv(guard, "1", 1) || setenv("OPENBLAS_CORETYPE", better, 1))
        return;
    execv("/proc/self/exe", argv);
    unsetenv("OPENBLAS_CORETYPE"); /* no new process: go on with what there is */
}
