#include "api.h"
#include "base/cpu.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void s24i_log(s24_ctx *ctx, int32_t level, const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (!ctx->log || level > ctx->values.log_level)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ctx->log(ctx->log_user, level, line);
}

static bool is_one_of(const char *word, const char *const *known)
{
    for (; *known; known++)
        if (!strcmp(word, *known))
            return true;
    return false;
}

void s24i_warn_blas(s24_ctx *ctx)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
    static const char *const medium[] = {"Haswell", "Zen", "Excavator", NULL};
    const char *blas = s24i_blas_name(), *core = strrchr(blas, ' ');
    uint32_t cpu = s24i_cpu_flags();

    if (!ctx->log || ctx->values.log_level < 1 || !core)
        return;
    if (atomic_exchange(&ctx->blas_told, true) || is_one_of(core + 1, wide))
        return;
    if (cpu & S24I_CPU_AVX512)
        s24i_log(
            ctx, 1,
            "%s: OpenBLAS took this processor for one without AVX-512 and runs slower kernels; "
            "start the program with OPENBLAS_CORETYPE=SkylakeX in its environment",
            blas);
    else if ((cpu & S24I_CPU_AVX2) && !is_one_of(core + 1, medium))
        s24i_log(ctx, 1,
                 "%s: OpenBLAS took this processor for one without AVX2 and runs slower kernels; "
                 "start the program with OPENBLAS_CORETYPE=Haswell in its environment",
                 blas);
}
