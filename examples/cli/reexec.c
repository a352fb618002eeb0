#include "reexec.h"
#include <sparse24/sparse24.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

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
    const char *blas = s24_build_info("blas"), *core = blas ? strrchr(blas, ' ') : NULL;
    if (!core || getenv(guard) || getenv("OPENBLAS_CORETYPE"))
        return;
    const char *better = better_core(core + 1);
    if (!better || setenv(guard, "1", 1) || setenv("OPENBLAS_CORETYPE", better, 1))
        return;
    execv("/proc/self/exe", argv);
    unsetenv("OPENBLAS_CORETYPE"); /* no new process: go on with what there is */
}
