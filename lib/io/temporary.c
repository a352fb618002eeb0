#include "temporary.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEGINNING ".sparse24-"
#define ENDING ".tmp"

enum { NAME_ROOM = 64, NAMES_TRIED = 10000 };

/* ---- Names. ---- */

/* Room for a name in the directory of a target, "directory/" or "" being there. */
typedef struct place {
    s24i_memory *memory;
    char *path;
    size_t directory, size;
} place;

static s24_status open_place(s24i_memory *memory, const char *target, place *p)
{
    const char *slash = strrchr(target, '/');

    p->memory = memory;
    p->directory = slash ? (size_t)(slash + 1 - target) : 0;
    p->size = p->directory + NAME_ROOM;
    p->path = s24i_alloc(memory, p->size);
    if (!p->path)
        return S24_E_MEMORY;
    memcpy(p->path, target, p->directory);
    p->path[p->directory] = 0;
    return S24_OK;
}

static const char *directory_of(place *p)
{
    p->path[p->directory] = 0;
    return p->directory ? p->path : ".";
}

static void close_place(place *p)
{
    s24i_free(p->memory, p->path, p->size);
}

static bool is_temporary(const char *name)
{
    size_t length = strlen(name), begin = sizeof BEGINNING - 1, end = sizeof ENDING - 1;

    return length > begin + end && length < NAME_ROOM && !strncmp(name, BEGINNING, begin) &&
           !strcmp(name + length - end, ENDING);
}

/* One whose lock is free was left behind: its writer is gone. Where there are no locks nothing is
 * removed. */
static s24_status remove_stale(void *arg, const char *name)
{
    place *p = arg;

    if (!is_temporary(name))
        return S24_OK;
    snprintf(p->path + p->directory, p->size - p->directory, "%s", name);
    int fd = open(p->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB)) {
        unlink(p->path);
        s24i_os_remove_folder(p->path);
    }
    if (fd >= 0)
        close(fd);
    return S24_OK;
}

/* ---- Making. ---- */

static int make_file(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static int make_folder(const char *path)
{
    return mkdir(path, 0777) ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Another writer may find it before it is locked, and hold or remove it: then it is not ours. */
static bool lock(int fd, const char *path)
{
    bool held = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

    return !held && s24i_os_exists(path);
}

/* Something new under a name that goes to t. */
static s24_status make_named(place *p, int (*make)(const char *), s24i_temporary *t)
{
    for (int i = 0; i < NAMES_TRIED && t->fd < 0; i++) {
        snprintf(p->path + p->directory, p->size - p->directory, BEGINNING "%ld-%d" ENDING,
                 (long)getpid(), i);
        t->fd = make(p->path);
        if (t->fd < 0 && errno != EEXIST)
            break;
        if (t->fd >= 0 && !lock(t->fd, p->path)) {
            close(t->fd);
            t->fd = -1;
        }
    }
    if (t->fd < 0) {
        s24_status status = s24i_os_refused(p->path, "create");
        rmdir(p->path); /* a folder that could be made but not opened */
        return status;
    }
    t->name = s24i_strdup(p->memory, p->path);
    if (t->name)
        return S24_OK;
    remove(p->path);
    close(t->fd);
    return S24_E_MEMORY;
}

/* A file system without modes refuses that. */
static void keep_mode(const s24i_temporary *t, const char *target)
{
    struct stat info;

    if (!lstat(target, &info) && !S_ISLNK(info.st_mode) && fchmod(t->fd, info.st_mode & 0777))
        errno = 0;
}

static s24_status make(s24i_memory *memory, const char *target, bool file, s24i_temporary *out)
{
    s24i_temporary t = {.memory = memory, .fd = -1};
    place p;
    s24_status status = open_place(memory, target, &p);

    if (status)
        return status;
    s24i_os_list(directory_of(&p), remove_stale, &p);
    if (file)
        t.fd = open(directory_of(&p), O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
    if (t.fd < 0)
        status = make_named(&p, file ? make_file : make_folder, &t);
    close_place(&p);
    if (status)
        return status;
    keep_mode(&t, target);
    *out = t;
    return S24_OK;
}

s24_status s24i_temporary_file(s24i_memory *memory, const char *target, s24i_temporary *out)
{
    return make(memory, target, true, out);
}

s24_status s24i_temporary_folder(s24i_memory *memory, const char *target, s24i_temporary *out)
{
    return make(memory, target, false, out);
}

/* ---- Publishing. ---- */

/* Give a nameless file a name that is free; false: errno says why. */
static bool link_as(const s24i_temporary *t, const char *path)
{
    char self[NAME_ROOM];

    snprintf(self, sizeof self, "/proc/self/fd/%d", t->fd);
    return !linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Where a nameless file cannot get a name (no /proc): a named copy instead. */
static s24_status copy_named(place *p, const char *target, s24i_temporary *t)
{
    s24i_temporary copy = {.memory = t->memory, .fd = -1};
    struct stat info;
    s24_status status = make_named(p, make_file, &copy);

    if (status)
        return status;
    keep_mode(&copy, target);
    if (fstat(t->fd, &info))
        status = s24i_os_refused(target, "stat");
    if (!status)
        status = s24i_os_copy(t->fd, copy.fd, target, 0, (uint64_t)info.st_size, 0);
    if (!status)
        status = s24i_os_sync(copy.fd, target);
    if (status) {
        s24i_temporary_drop(&copy);
        return status;
    }
    close(t->fd);
    *t = copy;
    return S24_OK;
}

/* Name a nameless file beside the target that is in its way. */
static s24_status name_beside(const char *target, s24i_temporary *t)
{
    place p;
    s24_status status = open_place(t->memory, target, &p);
    bool done = false;

    if (status)
        return status;
    flock(t->fd, LOCK_EX | LOCK_NB);
    for (int i = 0; i < NAMES_TRIED && !done && (i == 0 || errno == EEXIST); i++) {
        snprintf(p.path + p.directory, p.size - p.directory, BEGINNING "%ld-%d" ENDING,
                 (long)getpid(), i);
        done = link_as(t, p.path);
    }
    if (!done)
        status = copy_named(&p, target, t);
    else if (!(t->name = s24i_strdup(t->memory, p.path))) {
        status = S24_E_MEMORY;
        unlink(p.path);
    }
    close_place(&p);
    return status;
}

s24_status s24i_temporary_publish(s24i_temporary *t, const char *target)
{
    s24_status status = s24i_os_sync(t->fd, target);

    if (status || (!t->name && link_as(t, target)))
        return status;
    if (!t->name)
        status = name_beside(target, t);
    if (!status)
        status = s24i_os_replace(t->name, target);
    if (!status) {
        s24i_strfree(t->memory, t->name);
        t->name = NULL;
    }
    return status;
}

void s24i_temporary_drop(s24i_temporary *t)
{
    if (t->name) {
        unlink(t->name);
        s24i_os_remove_folder(t->name);
    }
    s24i_strfree(t->memory, t->name);
    close(t->fd);
}

/* ---- Files that never get a name. ---- */

/* Where there are none: one that loses its name at once. */
static s24_status spool_unlinked(place *p, int *fd)
{
    s24i_temporary t = {.memory = p->memory, .fd = -1};
    s24_status status = make_named(p, make_file, &t);

    if (status)
        return status;
    status = s24i_os_unlink(t.name);
    if (status)
        close(t.fd);
    else
        *fd = t.fd;
    s24i_strfree(t.memory, t.name);
    return status;
}

s24_status s24i_temporary_spool(s24i_memory *memory, const char *target, int *fd)
{
    place p;
    s24_status status = open_place(memory, target, &p);

    if (status)
        return status;
    int made = open(directory_of(&p), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (made < 0)
        status = spool_unlinked(&p, fd);
    else
        *fd = made;
    close_place(&p);
    return status;
}
