/* Events are counted and fail on demand: see faults.h. */
#include "faults.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic int64_t left; /* events until the fault; 0 = it was */
static int armed;

void fault_arm(int kind, int64_t k)
{
    armed = kind;
    atomic_store(&left, k);
}

bool fault_disarm(void)
{
    bool happened = armed && atomic_load(&left) <= 0;

    armed = FAULT_NONE;
    return happened;
}

bool fault_here(int kind)
{
    bool gone =
        armed == FAULT_GONE && kind >= FAULT_OPEN && kind != FAULT_SHORT && kind != FAULT_INTERRUPT;

    if (!armed || (kind != armed && !gone))
        return false;
    int64_t now = atomic_fetch_sub(&left, 1) - 1;
    return gone ? now <= 0 : now == 0;
}

/* ---- Memory: each block remembers its size ---- */

enum { HEAD = 64 };

static _Atomic int64_t bytes, peak;

void *fault_alloc(void *user, size_t size, size_t align)
{
    char *block;

    if (fault_here(FAULT_MEMORY) || posix_memalign((void **)&block, align, HEAD + size))
        return NULL;
    memcpy(block, &size, sizeof size);
    memset(block + HEAD, 0xff, size); /* NaN, for whoever reads what nobody wrote */
    int64_t now = atomic_fetch_add(&bytes, (int64_t)size) + (int64_t)size, most = peak;
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        ;
    return block + HEAD;
}

void fault_free(void *user, void *block, size_t size)
{
    size_t asked;

    memcpy(&asked, (char *)block - HEAD, sizeof asked);
    if (asked != size)
        ck_abort_msg("a block of %zu bytes is freed as one of %zu", asked, size);
    atomic_fetch_sub(&bytes, (int64_t)size);
    free((char *)block - HEAD);
}

int64_t fault_bytes(void)
{
    return bytes;
}

int64_t fault_peak(void)
{
    return atomic_exchange(&peak, bytes);
}

/* ---- The system ---- */

/* A call `name` that gives -1 and `error` when its turn has come. */
#define WRAP(name, kind, error, parameters, arguments) \
    int __real_##name parameters;                      \
    int __wrap_##name parameters;                      \
    int __wrap_##name parameters                       \
    {                                                  \
        if (fault_here(kind)) {                        \
            errno = error;                             \
            return -1;                                 \
        }                                              \
        return __real_##name arguments;                \
    }

WRAP(fstat64, FAULT_STAT, EIO, (int fd, struct stat *info), (fd, info))
WRAP(ftruncate64, FAULT_WRITE, EIO, (int fd, off_t size), (fd, size))
WRAP(mkdir, FAULT_OPEN, ENOSPC, (const char *path, mode_t mode), (path, mode))
WRAP(rename, FAULT_RENAME, EACCES, (const char *from, const char *to), (from, to))
WRAP(unlink, FAULT_UNLINK, EACCES, (const char *path), (path))

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list rest;

    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (fault_here(FAULT_OPEN)) {
        errno = EMFILE;
        return -1;
    }
    return __real_open64(path, flags, mode);
}

/* The descriptor is gone all the same. */
int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    int answer = __real_close(fd);

    if (fault_here(FAULT_CLOSE)) {
        errno = EIO;
        return -1;
    }
    return answer;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    bool fails = fault_here(FAULT_SYNC), interrupted = fault_here(FAULT_INTERRUPT);

    if (fails || interrupted) {
        errno = fails ? EIO : EINTR;
        return -1;
    }
    return 0; /* the disk itself is not under test, and slow */
}

void *__real_mmap64(void *at, size_t size, int how, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int how, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t size, int how, int flags, int fd, off_t offset)
{
    if (fault_here(FAULT_MAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap64(at, size, how, flags, fd, offset);
}

ssize_t __real_pread64(int fd, void *data, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t at);

ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t at)
{
    bool fails = fault_here(FAULT_READ), interrupted = fault_here(FAULT_INTERRUPT);

    if (fails || interrupted) {
        errno = fails ? EIO : EINTR;
        return -1;
    }
    return __real_pread64(fd, data, size, at);
}

ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t at);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t at)
{
    bool fails = fault_here(FAULT_WRITE), interrupted = fault_here(FAULT_INTERRUPT);

    if (fails || interrupted) {
        errno = fails ? ENOSPC : EINTR;
        return -1;
    }
    return __real_pwrite64(fd, data, fault_here(FAULT_SHORT) ? (size + 1) / 2 : size, at);
}

ssize_t __real_copy_file_range(int from, off_t *in, int to, off_t *out, size_t size,
                               unsigned flags);
ssize_t __wrap_copy_file_range(int from, off_t *in, int to, off_t *out, size_t size,
                               unsigned flags);

/* It may refuse, as between file systems, or copy less; then the library copies by hand. */
ssize_t __wrap_copy_file_range(int from, off_t *in, int to, off_t *out, size_t size, unsigned flags)
{
    bool fails = fault_here(FAULT_COPY), interrupted = fault_here(FAULT_INTERRUPT);

    if (fails || interrupted) {
        errno = fails ? EXDEV : EINTR;
        return -1;
    }
    return __real_copy_file_range(from, in, to, out, size, flags);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg)
{
    return fault_here(FAULT_THREAD) ? EAGAIN : __real_pthread_create(thread, how, run, arg);
}
