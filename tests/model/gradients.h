/* Gradients against those of torch that gradients.safetensors keeps (make_gradients.py). */
#ifndef S24_TESTS_GRADIENTS_H
#define S24_TESTS_GRADIENTS_H
#include <check.h>
#include <math.h>
#include <sparse24/sparse24.h>
#include <stdio.h>

enum { ENTRIES = 16 }; /* that are kept of each, and behind them its norm */

/* Against the entries and the norm that are kept, relative to the norm of all. */
static inline void compare(const s24_file *golden, const char *model, const char *tensor,
                           const float *g, int64_t count)
{
    char name[400];
    s24_mat kept;
    snprintf(name, sizeof name, "%s.%s", model, tensor);
    ck_assert_msg(s24_file_get(golden, name, &kept) == S24_OK, "%s", s24_last_error());
    const float *wanted = kept.data;
    double squares = 0, worst = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)g[i] * g[i];
    double scale = wanted[ENTRIES] / sqrt((double)count);
    for (int i = 0; i < ENTRIES; i++)
        worst = fmax(worst, fabs(g[i * (count / ENTRIES)] - wanted[i]) / scale);
    ck_assert_msg(worst < 1e-3 && fabs(sqrt(squares) / wanted[ENTRIES] - 1) < 1e-4,
                  "%s: off by %g of the root mean square; norm %g, expected %g", name, worst,
                  sqrt(squares), (double)wanted[ENTRIES]);
}

#endif
