/* Stands for libraries of other versions: one number, a name, nothing else. */
#include <stdint.h>

uint32_t s24_api_version(void);
const char *s24_version(void);

uint32_t s24_api_version(void)
{
    return OTHER_VERSION;
}

const char *s24_version(void)
{
    return OTHER_NAME;
}
