/* What a packed model would weigh, and how fast it would be here. */
#ifndef SPEED_H
#define SPEED_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

/* Measure for some seconds and say it. */
bool print_speed(s24_ctx *ctx, const s24_file *file);

#endif
