#include "self.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is asked ---- */

bool s24m_self_read(s24m_self *self, const char *text, int64_t given)
{
    char *end = NULL;
    self->weight = given ? 0.25 : 1;
    if (!strcmp(text, "auto")) {
        self->rows = given ? (int64_t)(16 * sqrt((double)given)) : 128;
        return true;
    }
    self->rows = strtoll(text, &end, 10);
    bool good = end != text && self->rows >= 0 && self->rows <= 1 << 24;
    if (good && *end == '*') {
        const char *weight = end + 1;
        self->weight = strtod(weight, &end);
        good = end != weight && self->weight > 0 && self->weight <= 1e6;
    }
    return (good && !*end) || s24m_wrong(S24_E_OPTION,
                                         "--calib self:%.40s: expected ROWS or ROWS*WEIGHT, as in "
                                         "self:128*0.25",
                                         text);
}

char *s24m_self_text(const s24m_self *self, int64_t length)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    fprintf(out, "self %" PRId64 " x %" PRId64 " weight %.17g seed %" PRIu64 " chat", self->rows,
            length, self->weight, self->seed);
    for (int64_t i = 0; i < self->chat.count; i++)
        fprintf(out, " %d", (int)self->chat.ids[i]);
    fputs(" open", out);
    for (int64_t i = 0; i < self->open.count; i++)
        fprintf(out, " %d", (int)self->open.ids[i]);
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

bool s24m_self_check(const s24m_self *self, int64_t given)
{
    return !self->rows || given || self->chat.count || self->open.count ||
           s24m_wrong(S24_E_OPTION,
                      "--calib self: the model's metadata name no token that begins a text: give "
                      "--open-start ID, or text of your own");
}
