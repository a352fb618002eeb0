/* The one layer over the system's files. Knows paths and bytes, no format. Every failure is
 * S24_E_IO with path, operation and reason in the text; descriptors are close-on-exec. */
#ifndef S24I_OS_H
#define S24I_OS_H
#include "base/memory.h"

/* S24_E_IO, errno's reason. */
s24_status s24i_os_refused(const char *path, const char *operation);

/* Map a regular file read-only. An empty one gives data NULL. */
s24_status s24i_os_map(const char *path, const void **data, uint64_t *size);
void s24i_os_unmap(const void *data, uint64_t size);

/* What tells two states of a file apart. */
typedef struct s24i_os_stamp {
    uint64_t size;
    int64_t seconds, nanoseconds; /* of the last change of its bytes */
} s24i_os_stamp;

/* All 0 if there is no such file. */
s24i_os_stamp s24i_os_stamp_of(const char *path);

bool s24i_os_exists(const char *path); /* a link is not followed */
bool s24i_os_is_directory(const char *path);
/* Does the file, symbolic links followed, lie below that directory? */
bool s24i_os_is_below(const char *path, const char *directory);

/* S24_E_IO if `path` is a directory or names none of its files: nothing could be renamed over that;
 * or if it is a device, pipe or socket, which a rename would replace. */
s24_status s24i_os_check_target(const char *path);
/* S24_E_IO unless nothing is at `path`, or an empty directory: only such a one can be replaced by
 * another in one step. */
s24_status s24i_os_check_folder(const char *path);
/* A directory with all files in it, and no directory, without a word. */
void s24i_os_remove_folder(const char *path);
/* The directory that holds `target`, for s24i_os_sync(). */
s24_status s24i_os_directory(s24i_memory *memory, const char *target, int *fd);

/* `path` in the functions below is for texts only. */
s24_status s24i_os_write(int fd, const char *path, const void *data, uint64_t size, uint64_t at);
/* `size` bytes of `from` from offset `begin` to `to` at offset `at`. */
s24_status s24i_os_copy(int from, int to, const char *path, uint64_t begin, uint64_t size,
                        uint64_t at);
/* Make the file `size` bytes long; new ones are 0. */
s24_status s24i_os_extend(int fd, const char *path, uint64_t size);
s24_status s24i_os_sync(int fd, const char *path);
/* The descriptor is gone also when this fails (a late write error). */
s24_status s24i_os_close(int fd, const char *path);
/* Close without a word, as after a failure whose text must stay. -1: not that. */
void s24i_os_discard(int fd);

/* A new file with these bytes, on disk. */
s24_status s24i_os_make(const char *path, const void *data, uint64_t size);
/* visit(arg, name) for every name in the directory but "." and "..", until one fails. */
s24_status s24i_os_list(const char *path, s24_status (*visit)(void *arg, const char *name),
                        void *arg);

s24_status s24i_os_replace(const char *from, const char *to);
s24_status s24i_os_unlink(const char *path);

#endif
