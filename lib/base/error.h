/* Failure texts: one thread-local line for people beside the status for programs. Knows nothing
 * else. */
#ifndef S24I_ERROR_H
#define S24I_ERROR_H
#include <sparse24/types.h>

/* Set this thread's error text and return `status`, so that `return s24i_fail(S24_E_SHAPE, ...)` is
 * one statement. Never allocates; texts longer than 511 bytes are cut; control characters and what
 * is not UTF-8 become '?'. */
s24_status s24i_fail(s24_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Put "prefix: " in front of the present text, for callers that know which object was at fault.
 * Returns `status`. */
s24_status s24i_fail_in(s24_status status, const char *prefix);
/* Add to the present text, which says that there is no such `name`, the known one that is nearest,
 * or all if none is near. */
s24_status s24i_fail_near(s24_status status, const char *name, const char *const *known,
                          int64_t count);
/* The analyser sees one file at a time, and has to know that these return `status`. */
#ifdef __clang_analyzer__
static inline s24_status s24i_same(s24_status status, s24_status returned)
{
    (void)returned;
    return status;
}
#define s24i_fail(status, ...) s24i_same(status, (s24i_fail)(status, __VA_ARGS__))
#define s24i_fail_in(status, prefix) s24i_same(status, (s24i_fail_in)(status, prefix))
#define s24i_fail_near(status, ...) s24i_same(status, (s24i_fail_near)(status, __VA_ARGS__))
#endif
const char *s24i_error_text(void);
s24_status s24i_error_status(void);

/* Error texts cross threads by copy: a task stores its status and text here, the first failing
 * index wins, the caller re-raises. {0} is a failure that did not happen. */
typedef struct s24i_failure {
    _Atomic int32_t busy;
    s24_status status;
    int64_t index;
    char text[512];
} s24i_failure;

/* Keep `status` and this thread's text unless one of a smaller index is there; S24_OK is nothing.
 * Several threads may call at once. */
void s24i_failure_keep(s24i_failure *failure, int64_t index, s24_status status);
/* Make the kept text this thread's and return the kept status, or S24_OK. Only when no task is left
 * that could keep another. */
s24_status s24i_failure_raise(const s24i_failure *failure);

/* Single-character edits (insert, delete, replace, swap of neighbours) from a to b, whose case is
 * one, looking at no more than 128 bytes that differ. */
int32_t s24i_distance(const char *a, const char *b);
/* The known name with the smallest edit distance to `name`, or NULL if none is near. */
const char *s24i_nearest(const char *name, const char *const *known, int64_t count);

#endif
