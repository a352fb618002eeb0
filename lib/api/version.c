#include "api.h"
#include "base/clock.h"
#include "api/build_facts.h"
#include <string.h>

#if defined __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

uint32_t s24_api_version(void)
{
    return S24_API_VERSION;
}

const char *s24_version(void)
{
    return S24I_PACKAGE_VERSION;
}

const char *s24_build_info(const char *key)
{
    static const struct {
        const char *key, *value;
    } facts[] = {{"compiler", COMPILER},
                 {"kernels", S24I_BUILD_KERNELS},
                 {"solvers", S24I_BUILD_SOLVERS},
                 {"layouts", S24I_BUILD_LAYOUTS}};

    if (!key)
        return NULL;
    if (!strcmp(key, "blas"))
        return s24i_blas_name();
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (!strcmp(key, facts[i].key))
            return facts[i].value;
    return NULL;
}

const char *s24_status_name(s24_status status)
{
    static const char *const names[] = {"S24_OK",          "S24_E_ARG",         "S24_E_MEMORY",
                                        "S24_E_OPTION",    "S24_E_SHAPE",       "S24_E_DTYPE",
                                        "S24_E_NONFINITE", "S24_E_NUMERIC",     "S24_E_STATE",
                                        "S24_E_CANCELLED", "S24_E_UNSUPPORTED", "S24_E_IO",
                                        "S24_E_FORMAT",    "S24_E_BACKEND",     "S24_E_INTERNAL"};

    if (status <= 0 && status >= S24_E_INTERNAL)
        return names[-status];
    return status <= S24_E_USER ? "S24_E_USER" : "S24_E_?";
}

const char *s24_last_error(void)
{
    return s24i_error_text();
}

s24_status s24_last_status(void)
{
    return s24i_error_status();
}

s24_status s24_fail(s24_status status, const char *text)
{
    return s24i_fail(status, "%s", text ? text : "");
}

double s24_seconds(void)
{
    return s24i_seconds();
}
