#include "kernels/kernels.h"
#include "base/cpu.h"
#include <string.h>

#if defined __x86_64__
#define X86_ONLY(fill) fill
#else
#define X86_ONLY(fill) NULL
#endif

/* Weakest first. Every name that any build knows is here, so that a name can be told from a typing
 * error everywhere. */
static const struct instruction_set {
    const char *name;
    uint32_t needs; /* S24I_CPU_... */
    void (*fill)(s24i_kernels *table);
} sets[] = {
    {"ref", 0, s24i_kernels_ref},
    {"avx2", S24I_CPU_AVX2, X86_ONLY(s24i_kernels_avx2)},
    {"avxvnni", S24I_CPU_AVX2 | S24I_CPU_AVXVNNI, X86_ONLY(s24i_kernels_avxvnni)},
    {"avx512", S24I_CPU_AVX512, X86_ONLY(s24i_kernels_avx512)},
    {"avx512vnni", S24I_CPU_AVX512 | S24I_CPU_AVX512VNNI, X86_ONLY(s24i_kernels_avx512vnni)},
    {"avx512bf16", S24I_CPU_AVX512 | S24I_CPU_AVX512VNNI | S24I_CPU_AVX512BF16,
     X86_ONLY(s24i_kernels_avx512bf16)},
};
enum { SETS = sizeof sets / sizeof sets[0] };

static int offered(int set)
{
    return sets[set].fill && (s24i_cpu_flags() & sets[set].needs) == sets[set].needs;
}

int s24i_kernels_dispatch(s24i_kernels *table, const char *isa)
{
    int last = SETS - 1;
    if (strcmp(isa, "auto") != 0) {
        while (last >= 0 && strcmp(isa, sets[last].name) != 0)
            --last;
        if (last < 0)
            return 0;
        if (!offered(last))
            return -1;
    }
    for (int set = 0; set <= last; ++set)
        if (offered(set))
            sets[set].fill(table);
    return 1;
}

const char *s24i_kernels_set_of(const s24i_kernels *table, size_t entry)
{
    void (*in_table)(void), (*in_set)(void);

    memcpy(&in_table, (const char *)table + entry, sizeof in_table);
    for (int set = 0; set < SETS; ++set) {
        s24i_kernels own = {0};
        if (!offered(set))
            continue;
        sets[set].fill(&own);
        memcpy(&in_set, (const char *)&own + entry, sizeof in_set);
        if (in_set && in_set == in_table)
            return sets[set].name;
    }
    return NULL;
}

const char *s24i_kernels_isa(int index)
{
    for (int set = 0; set < SETS; ++set)
        if (offered(set) && index-- == 0)
            return sets[set].name;
    return NULL;
}
