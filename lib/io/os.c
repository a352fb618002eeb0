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

enum { CHUNK = 32768, NAME_ROOM = 64, NAMES_TRIED = 10000 };

static s24_status refused(const char *path, const char *operation)
{
    char buffer[128];
    const char *reason = strerror_r(errno, buffer, sizeof buffer);

    return s24i_fail(S24_E_IO, "%.300s: %s: %s", path, operation, reason);
}

static s24_status map_open(int fd, const char *path, const void **data, uint64_t *size)
{
    struct stat info;

    if (fstat(fd, &info))
        return refused(path, "stat");
    if (!S_ISREG(info.st_mode))
        return s24i_fail(S24_E_IO, "%.300s: not a regular file", path);
    void *bytes = NULL;
    if (info.st_size > 0) {
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            return refused(path, "map");
    }
    *data = bytes;
    *size = (uint64_t)info.st_size;
    return S24_OK;
}

s24_status s24i_os_map(const char *path, const void **data, uint64_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not wait for a pipe's writer */

    if (fd < 0)
        return refused(path, "open");
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
    return refused(path, "create");
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
    return refused(path, "create");
}

/* "directory/of/target/" or "", with NAME_ROOM bytes to spare; *size is what to free. */
static char *directory_of(s24i_memory *memory, const char *target, size_t *size)
{
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash + 1 - target) : 0;
    char *directory = s24i_alloc(memory, length + NAME_ROOM);

    if (!directory)
        return NULL;
    memcpy(directory, target, length);
    directory[length] = 0;
    *size = length + NAME_ROOM;
    return directory;
}

/* A descriptor of the new file, or 0 for a new directory; negative: errno says why. */
static int make_file(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static int make_directory(const char *path)
{
    return mkdir(path, 0777);
}

static s24_status make_beside(s24i_memory *memory, const char *target, int (*make)(const char *),
                              int *made, char **name)
{
    size_t size;
    char *path = directory_of(memory, target, &size);
    s24_status status = S24_OK;

    if (!path)
        return S24_E_MEMORY;
    size_t length = strlen(path);
    for (int i = 0; i < NAMES_TRIED && *made < 0; i++) {
        snprintf(path + length, size - length, ".sparse24-%ld-%d.tmp", (long)getpid(), i);
        *made = make(path);
        if (*made < 0 && errno != EEXIST)
            break;
    }
    if (*made < 0) {
        status = refused(path, "create");
        goto out;
    }
    *name = s24i_strdup(memory, path);
    if (!*name) {
        status = S24_E_MEMORY;
        remove(path);
    }
out:
    s24i_free(memory, path, size);
    return status;
}

s24_status s24i_os_beside(s24i_memory *memory, const char *target, int *fd, char **name)
{
    int made = -1;
    s24_status status = make_beside(memory, target, make_file, &made, name);

    if (!status)
        *fd = made;
    else if (made >= 0)
        close(made);
    return status;
}

/* What takes the place of a file or directory gets its mode; a file system without modes refuses that. */
static void keep_mode(const char *target, const char *name)
{
    struct stat info;

    if (!lstat(target, &info) && !S_ISLNK(info.st_mode) && chmod(name, info.st_mode & 0777))
        errno = 0;
}

s24_status s24i_os_folder_beside(s24i_memory *memory, const char *target, char **name)
{
    int made = -1;
    s24_status status = make_beside(memory, target, make_directory, &made, name);

    if (!status)
        keep_mode(target, *name);
    return status;
}

/* Where the file system has no nameless files: one that loses its name at once. */
static s24_status spool_unlinked(s24i_memory *memory, const char *target, int *fd)
{
    char *name;
    s24_status status = s24i_os_beside(memory, target, fd, &name);

    if (status)
        return status;
    status = s24i_os_unlink(name);
    if (status)
        close(*fd);
    s24i_strfree(memory, name);
    return status;
}

s24_status s24i_os_spool(s24i_memory *memory, const char *target, int *fd)
{
    size_t size;
    char *directory = directory_of(memory, target, &size);

    if (!directory)
        return S24_E_MEMORY;
    int made = open(*directory ? directory : ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    s24i_free(memory, directory, size);
    if (made < 0)
        return spool_unlinked(memory, target, fd);
    *fd = made;
    return S24_OK;
}

s24_status s24i_os_directory(s24i_memory *memory, const char *target, int *fd)
{
    size_t size;
    char *directory = directory_of(memory, target, &size);
    s24_status status = S24_OK;

    if (!directory)
        return S24_E_MEMORY;
    const char *path = *directory ? directory : ".";
    int opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        status = refused(path, "open");
    else
        *fd = opened;
    s24i_free(memory, directory, size);
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
            return refused(path, "write");
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
            return refused(path, "read back");
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
    return ftruncate(fd, (off_t)size) ? refused(path, "extend") : S24_OK;
}

s24_status s24i_os_sync(int fd, const char *path)
{
    int answer;

    do
        answer = fsync(fd);
    while (answer && errno == EINTR);
    /* EINVAL: a file system that has nothing to synchronise here, as some have for directories. */
    return answer && errno != EINVAL ? refused(path, "sync") : S24_OK;
}

s24_status s24i_os_close(int fd, const char *path)
{
    return close(fd) && errno != EINTR ? refused(path, "close") : S24_OK;
}

void s24i_os_discard(int fd, const char *name)
{
    if (fd >= 0)
        close(fd);
    if (name)
        unlink(name);
}

s24_status s24i_os_replace(const char *from, const char *to)
{
    return rename(from, to) ? refused(to, "rename") : S24_OK;
}

s24_status s24i_os_unlink(const char *path)
{
    return unlink(path) ? refused(path, "unlink") : S24_OK;
}

s24_status s24i_os_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return refused(path, "open");
    s24_status status = s24i_os_sync(fd, path);
    close(fd);
    return status;
}

s24_status s24i_os_make(const char *path, const void *data, uint64_t size)
{
    int fd = make_file(path);

    if (fd < 0)
        return refused(path, "create");
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
        return refused(path, "open");
    for (errno = 0; !status && (item = readdir(directory)); errno = status ? errno : 0) {
        if (strcmp(item->d_name, ".") && strcmp(item->d_name, ".."))
            status = visit(arg, item->d_name);
    }
    if (!status && errno)
        status = refused(path, "list");
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
