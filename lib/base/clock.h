/* Monotonic seconds. */
#ifndef S24I_CLOCK_H
#define S24I_CLOCK_H

double s24i_seconds(void);

#endif
