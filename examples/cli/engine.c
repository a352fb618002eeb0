#include "engine.h"
#include "message.h"
#include "outcome.h"
#include "progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    (void)user, (void)objective, (void)residual;
    progress_show(phase, "", step, total);
    return progress_interrupted() ? S24_E_USER : 0;
}

bool engine_pack(s24_model *model, const args *a, const char *otherwise)
{
    const char *type = a->packed ? a->packed : otherwise;
    char *options;
    size_t size;
    if (!strcmp(type, "none"))
        return true;
    FILE *out = must(open_memstream(&options, &size));
    fprintf(out, "weights=%s", type);
    fclose(out);
    s24_model_set_progress(model, on_progress, NULL);
    s24_status status = s24_model_pack(model, must(options));
    progress_clear();
    free(options);
    return status == S24_OK ||
           fail("--packed: %s", status == S24_E_CANCELLED ? "interrupted" : s24_last_error());
}

char *engine_layouts(const s24_model *model)
{
    enum { KINDS = 16 };
    const char *layouts[KINDS], *layout, *head = "";
    int64_t counts[KINDS], matrices = 0;
    int kinds = 0;
    char *text;
    size_t size;
    s24_model_int(model, "matrices", &matrices);
    for (int64_t i = 0; i < matrices; i++) {
        int k = 0;
        if (s24_model_packed(model, i, &layout, NULL, NULL, NULL) != S24_OK)
            break;
        while (k < kinds && strcmp(layouts[k], layout))
            k++;
        if (k == kinds && kinds < KINDS) {
            counts[kinds] = 0;
            layouts[kinds++] = layout;
        }
        counts[k]++;
    }
    FILE *out = must(open_memstream(&text, &size));
    for (int k = 0; k < kinds; k++)
        fprintf(out, "%lld %s, ", (long long)counts[k], layouts[k]);
    s24_model_packed(model, matrices, &head, NULL, NULL, NULL);
    fprintf(out, "head %s", head);
    fclose(out);
    return must(text);
}
