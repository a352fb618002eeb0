#include "api.h"
#include <string.h>

/* Layouts as a text: "ri16x32", "ri16x32:bf16", "window24:4". */

/* "bf16": a type that weights can be rounded to, or 0. */
static int32_t rounded_type(const char *name)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } types[] = {{"f32", S24_F32}, {"f16", S24_F16}, {"bf16", S24_BF16}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].name))
            return types[i].dtype;
    return 0;
}

/* The number of "window24:4" and "window24:4:bf16"; what follows it. */
static s24_status parse_number(const char *text, const s24i_layout *layout, int64_t *number,
                               const char **rest)
{
    char digits[S24I_WORD] = "";
    size_t size = strspn(*rest, "0123456789");

    if (!size || !layout->numbered)
        return S24_OK;
    memcpy(digits, *rest, size < sizeof digits ? size : sizeof digits - 1);
    *rest += size;
    if (size < 10 && s24i_integer_read(digits, number) && (!**rest || **rest == ':')) {
        *rest += **rest == ':';
        return S24_OK;
    }
    return s24i_fail(S24_E_SHAPE, "layout \"%.80s\": after the colon must be a number, as in %s:4",
                     text, layout->name);
}

s24_status s24i_layout_parse(const char *text, s24i_packing *packing)
{
    const char *colon = strchr(text, ':'), *rest = colon ? colon + 1 : "";
    char name[64];

    packing->dtype = 0;
    if (!colon || colon - text >= (ptrdiff_t)sizeof name)
        return s24i_layout_find(text, &packing->layout);
    memcpy(name, text, (size_t)(colon - text));
    name[colon - text] = 0;
    s24_status status = s24i_layout_find(name, &packing->layout);
    if (!status)
        status = parse_number(text, packing->layout, &packing->number, &rest);
    packing->dtype = rounded_type(rest);
    if (status || packing->dtype || (packing->number && !*rest))
        return status;
    return s24i_fail(S24_E_DTYPE, "layout \"%.80s\": after the colon must be f32, f16 or bf16",
                     text);
}
