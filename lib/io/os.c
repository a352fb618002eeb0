#include "os.h"
#include "base/error.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 32768 };

s24_status s24i_os_refused(const char *path, const char *operation)
{
    char buffer[128];
    const char *reason = strerror_r(errno, buffer, sizeof buffer);

    return s24i_fail(S24_E_IO, "%.300s: %s: %s", path, operation, reason);
}

static s24_status map_open(int fd, const char *path, const void **data, uint64_t *size)
{
    struct stat info;

    if (fstat(fd, &info))
        return s24i_os_refused(path, "stat");
    if (!S_ISREG(info.st_mode))
        return s24i_fail(S24_E_IO, "%.300s: not a regular file", path);
    void *bytes = NULL;
    if (info.st_size > 0) {
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            return s24i_os_refused(path, "map");
    }
    *data = bytes;
    *size = (uint64_t)info.st_size;
    return S24_OK;
}

s24_status s24i_os_map(const char *path, const void **data, uint64_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not wait for a pipe's writer */

    if (fd < 0)
        return s24i_os_refused(path, "open");
    s24_status status = map_open(fd, path, data, size);
    close(fd);
    return status;
}

void s24i_os_unmap(const void *data, uint64_t size)
{
    if (data)
        munmap((void *)(uintptr_t)data, size);
}

s24i_os_stamp s24i_os_stamp_of(const char *path)
{
    struct stat info;

    if (stat(path, &info))
        return (s24i_os_stamp){0};
    return (s24i_os_stamp){(uint64_t)info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

bool s24i_os_exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

bool s24i_os_is_below(const char *path, const char *directory)
{
    char file[PATH_MAX], root[PATH_MAX];

    if (!realpath(path, file) || !realpath(directory, root))
        return false;
    size_t length = strlen(root);
    return !strncmp(file, root, length) && (file[length] == '/' || length == 1);
}

/* What the path leads to; 0: nothing. */
static mode_t kind_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? info.st_mode & S_IFMT : 0;
}

bool s24i_os_is_directory(const char *path)
{
    return kind_of(path) == S_IFDIR;
}

s24_status s24i_os_check_target(const char *path)
{
    const char *slash = strrchr(path, '/');
    mode_t kind = kind_of(path);

    if (kind && kind != S_IFREG && kind != S_IFDIR)
        return s24i_fail(S24_E_IO, "%.300s: create: not a regular file", path);
    if (!*(slash ? slash + 1 : path))
        errno = ENOENT;
    else if (kind == S_IFDIR)
        errno = EISDIR;
    else
        return S24_OK;
    return s24i_os_refused(path, "create");
}

static s24_status found(void *arg, const char *name)
{
    (void)arg, (void)name;
    errno = ENOTEMPTY;
    return S24_E_IO;
}

s24_status s24i_os_check_folder(const char *path)
{
    if (!*path)
        errno = ENOENT;
    else if (!s24i_os_exists(path))
        return S24_OK;
    else if (!s24i_os_is_directory(path))
        errno = EEXIST;
    else if (s24i_os_list(path, found, NULL) == S24_OK)
        return S24_OK;
    return s24i_os_refused(path, "create");
}

s24_status s24i_os_directory(s24i_memory *memory, const char *target, int *fd)
{
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash + 1 - target) : 0;
    char *directory = s24i_alloc(memory, length + 2);
    s24_status status = S24_OK;

    if (!directory)
        return S24_E_MEMORY;
    memcpy(directory, length ? target : ".", length ? length : 1);
    directory[length ? length : 1] = 0;
    int opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        status = s24i_os_refused(directory, "open");
    else
        *fd = opened;
    s24i_free(memory, directory, length + 2);
    return status;
}

s24_status s24i_os_write(int fd, const char *path, const void *data, uint64_t size, uint64_t at)
{
    const char *bytes = data;

    while (size) {
        ssize_t written = pwrite(fd, bytes, size, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written == 0)
            errno = ENOSPC; /* no other reason is known, and going on might never end */
        if (written <= 0)
            return s24i_os_refused(path, "write");
        bytes += written;
        at += (uint64_t)written;
        size -= (uint64_t)written;
    }
    return S24_OK;
}

/* Let the kernel copy as much as it can or will; returns how much that was. */
static uint64_t copy_in_kernel(int from, int to, uint64_t begin, uint64_t size, uint64_t at)
{
    off_t in = (off_t)begin, out = (off_t)at;
    uint64_t done = 0;

    while (done < size) {
        ssize_t copied = copy_file_range(from, &in, to, &out, size - done, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied <= 0)
            break;
        done += (uint64_t)copied;
    }
    return done;
}

s24_status s24i_os_copy(int from, int to, const char *path, uint64_t begin, uint64_t size,
                        uint64_t at)
{
    char chunk[CHUNK];
    uint64_t done = copy_in_kernel(from, to, begin, size, at);

    while (done < size) {
        size_t wanted = size - done < CHUNK ? size - done : CHUNK;
        ssize_t got = pread(from, chunk, wanted, (off_t)(begin + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return s24i_os_refused(path, "read back");
        if (got == 0)
            return s24i_fail(S24_E_IO, "%.300s: read back: the temporary file is shorter", path);
        s24_status status = s24i_os_write(to, path, chunk, (uint64_t)got, at + done);
        if (status)
            return status;
        done += (uint64_t)got;
    }
    return S24_OK;
}

s24_status s24i_os_extend(int fd, const char *path, uint64_t size)
{
    return ftruncate(fd, (off_t)size) ? s24i_os_refused(path, "extend") : S24_OK;
}

s24_status s24i_os_sync(int fd, const char *path)
{
    int answer;

    do
        answer = fsync(fd);
    while (answer && errno == EINTR);
    /* EINVAL: a file system that has nothing to synchronise here, as some have for directories. */
    return answer && errno != EINVAL ? s24i_os_refused(path, "sync") : S24_OK;
}

s24_status s24i_os_close(int fd, const char *path)
{
    return close(fd) && errno != EINTR ? s24i_os_refused(path, "close") : S24_OK;
}

void s24i_os_discard(int fd)
{
    if (fd >= 0)
        close(fd);
}

s24_status s24i_os_replace(const char *from, const char *to)
{
    return rename(from, to) ? s24i_os_refused(to, "rename") : S24_OK;
}

s24_status s24i_os_unlink(const char *path)
{
    return unlink(path) ? s24i_os_refused(path, "unlink") : S24_OK;
}

s24_status s24i_os_make(const char *path, const void *data, uint64_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return s24i_os_refused(path, "create");
    s24_status status = s24i_os_write(fd, path, data, size, 0), closed;
    if (!status)
        status = s24i_os_sync(fd, path);
    closed = s24i_os_close(fd, path);
    return status ? status : closed;
}

s24_status s24i_os_list(const char *path, s24_status (*visit)(void *arg, const char *name),
                        void *arg)
{
    DIR *directory = opendir(path);
    struct dirent *item = NULL;
    s24_status status = S24_OK;

    if (!directory)
        return s24i_os_refused(path, "open");
    for (errno = 0; !status && (item = readdir(directory)); errno = status ? errno : 0) {
        if (strcmp(item->d_name, ".") && strcmp(item->d_name, ".."))
            status = visit(arg, item->d_name);
    }
    if (!status && errno)
        status = s24i_os_refused(path, "list");
    int reason = errno;
    closedir(directory);
    errno = reason;
    return status;
}

static s24_status remove_in(void *arg, const char *name)
{
    unlinkat(*(const int *)arg, name, 0);
    return S24_OK;
}

void s24i_os_remove_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    s24i_os_list(path, remove_in, &fd);
    close(fd);
    rmdir(path);
}
