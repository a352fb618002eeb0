/* Numbers as text, whatever the process's locale. Knows no grammar beyond one number. */
#ifndef S24I_NUMBER_H
#define S24I_NUMBER_H
#include <stdbool.h>
#include <stdint.h>

#define S24I_NUMBER_SIZE 32

/* The shortest spelling of 15 to 17 digits that reads back equal; "nan", "inf", "-inf". */
void s24i_number_write(char out[S24I_NUMBER_SIZE], double value);
/* 100 times a number, by moving the point of its shortest spelling: 0.29 is "29", though
 * 100 * 0.29 is not 29. */
void s24i_number_write_percent(char out[S24I_NUMBER_SIZE], double value);
/* As s24i_number_write(), for a float: 6 to 9 digits. */
void s24i_number_write_f32(char out[S24I_NUMBER_SIZE], float value);
/* The whole of `text` must be one decimal number, "inf" or "nan" (any sign and case); false, *out
 * untouched, if not. */
bool s24i_number_read(const char *text, double *out);
/* The whole of `text` must be a decimal integer, perhaps with a sign, that int64_t holds. */
bool s24i_integer_read(const char *text, int64_t *out);

#endif
