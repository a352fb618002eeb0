/* Faults on demand: the k-th allocation, callback, thread or system call from now fails. Knows no
 * library function. */
#ifndef S24_TESTS_FAULTS_H
#define S24_TESTS_FAULTS_H
#include <sparse24/types.h>
#include <stdbool.h>

/* What fails. The calls of the system from FAULT_OPEN on are caught by the linker (--wrap,
 * faults/meson.build). */
enum {
    FAULT_NONE,
    FAULT_MEMORY,   /* the host's allocator gives NULL */
    FAULT_PROGRESS, /* the progress callback asks to stop */
    FAULT_RUNNER,   /* the host's parallel runner gives up before it begins */
    FAULT_THREAD,   /* pthread_create */
    FAULT_OPEN,
    FAULT_STAT,
    FAULT_MAP,
    FAULT_READ,
    FAULT_COPY,
    FAULT_WRITE,
    FAULT_SHORT,     /* a write writes half */
    FAULT_INTERRUPT, /* a read, copy, write or sync is interrupted */
    FAULT_SYNC,
    FAULT_CLOSE,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_GONE, /* this call of the system and all after it fail, as when a disk is pulled */
    FAULT_KINDS
};

enum { FAULT_ANSWER = S24_E_USER - 7 }; /* the failing runner's */

/* From now on the k-th event (from 1) of this kind fails. */
void fault_arm(int kind, int64_t k);
/* No more faults; true if there was one. */
bool fault_disarm(void);
/* To be asked by whoever may fail. */
bool fault_here(int kind);

/* An allocator for s24_ctx_create_with(); bytes in use. */
void *fault_alloc(void *user, size_t size, size_t align);
void fault_free(void *user, void *block, size_t size);
int64_t fault_bytes(void);
/* The most in use since it was last asked. */
int64_t fault_peak(void);

#endif
