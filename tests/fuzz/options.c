#include "fuzz.h"
#include <math.h>
#include <stdio.h>

/* Option texts for every solver of the table. Accepted: what is in force reads back. Refused:
 * nothing has changed. */

enum { ROOM = 4096 };

static void in_force(const s24_solver *solver, char out[ROOM])
{
    size_t used = 0;

    out[0] = 0;
    for (int32_t i = 0; i < s24_solver_option_count(solver); i++) {
        const char *name, *range, *word;
        int32_t type;
        double number, low, high;
        CLAIM(!s24_solver_option_info(solver, i, &name, &type, &range, NULL, NULL));
        used += (size_t)snprintf(out + used, ROOM - used, "%s%s=", i ? "," : "", name);
        if (type == S24_OPT_STR) {
            CLAIM(!s24_solver_get_str(solver, name, &word) && strstr(range, word));
            used += (size_t)snprintf(out + used, ROOM - used, "%s", word);
        } else {
            int64_t integer;
            CLAIM(!(type == S24_OPT_INT ? s24_solver_get_int(solver, name, &integer)
                                        : s24_solver_get_float(solver, name, &number)));
            if (type == S24_OPT_INT)
                number = (double)integer;
            CLAIM(sscanf(range, "%lf .. %lf", &low, &high) == 2);
            CLAIM(low <= number && number <= high);
            used += (size_t)snprintf(out + used, ROOM - used, "%.17g", number);
        }
        CLAIM(used < ROOM);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    const char *name = s24_solver_name(fuzz_byte(&in) % s24_solver_count());
    char before[ROOM], after[ROOM], *text = fuzz_text(&in);
    s24_ctx *ctx = fuzz_open();
    s24_solver *solver, *other;

    CLAIM(!s24_solver_create(ctx, name, &solver) && !s24_solver_create(ctx, name, &other));
    in_force(solver, before);
    s24_status status = s24_solver_parse(solver, text);
    CLAIM(status == S24_OK || status == S24_E_OPTION);
    in_force(solver, after);
    CLAIM(!status || !strcmp(before, after));
    CLAIM(!s24_solver_parse(other, after));
    in_force(other, before);
    CLAIM(!strcmp(before, after));
    s24_solver_destroy(other);
    s24_solver_destroy(solver);
    fuzz_close(ctx);
    free(text);
    return 0;
}
