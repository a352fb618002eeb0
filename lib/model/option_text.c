#include "option_text.h"
#include <stdlib.h>
#include <string.h>

static char *end_of(char *s)
{
    int depth = 0;
    for (; *s && (depth || *s != ','); s++)
        depth += (*s == '[') - (*s == ']');
    return s;
}

/* One assignment, without its comma. */
static bool take_one(char *text, option_fn take, void *arg)
{
    char *equals = strchr(text, '=');
    if (!equals)
        return s24m_wrong(S24_E_OPTION, "%.60s: expected NAME=VALUE", text);
    *equals = 0;
    char *value = equals + 1;
    size_t size = strlen(value);
    if (size > 1 && *value == '[' && value[size - 1] == ']') {
        value[size - 1] = 0;
        value++;
    }
    return take(arg, text, value);
}

bool s24m_option_text(const char *text, option_fn take, void *arg)
{
    if (!text || !*text)
        return true;
    char *copy = s24m_have(strdup(text)), *at = copy;
    bool done = copy != NULL, more = done;
    while (done && more) {
        char *end = end_of(at);
        more = *end == ',';
        *end = 0;
        done = take_one(at, take, arg);
        at = end + 1;
    }
    free(copy);
    return done;
}
