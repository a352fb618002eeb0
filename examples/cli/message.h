/* What the program says to people, and the exit status that goes with it. Every text is one line and leaves the terminal
 * alone, whatever names a file or the command line brought (text_clean()). */
#ifndef MESSAGE_H
#define MESSAGE_H
#include <sparse24/types.h>
#include <stdbool.h>
#include <stddef.h>

enum { DONE = 0, FAILED = 1, WRONG_USAGE = 2 };

/* A line on stdout. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line, "sparse24: text". Returns false, so that `return call() || fail(...)` is one
 * statement. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what does not stop the work: "sparse24: warning: text". */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As fail(), for a call of the library that failed: the library's own text follows. */
bool fail_library(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The command line cannot be understood; says where the help is. `command` may be NULL. Returns
 * WRONG_USAGE. */
int wrong_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* From now on what would go to stderr is kept instead, the first line of it, without "sparse24: ". */
void message_hold(char *text, size_t size);
/* `block`, or the end of the program if the C library had no memory for it. */
void *must(void *block);

#endif
