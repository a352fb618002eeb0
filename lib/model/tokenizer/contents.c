#include "contents.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool failed(const char *path)
{
    return s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
}

/* The descriptor of a regular file, -1 with the error set. */
static int open_file(const char *path, struct stat *s)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool right = file >= 0 && !fstat(file, s);
    if (!right)
        failed(path);
    else if (!S_ISREG(s->st_mode))
        right = s24m_wrong(S24_E_IO, "%s: is %s, expected a file", path,
                           S_ISDIR(s->st_mode) ? "a folder" : "a pipe or a device");
    if (file >= 0 && !right) {
        close(file);
        file = -1;
    }
    return file;
}

/* Until so many are there, or the file ends. */
static bool read_some(int file, const char *path, char *bytes, size_t size, size_t *got)
{
    for (*got = 0; *got < size;) {
        ssize_t part = read(file, bytes + *got, size - *got);
        if (part < 0 && errno != EINTR)
            return failed(path);
        if (!part)
            break;
        *got += part > 0 ? (size_t)part : 0;
    }
    return true;
}

bool s24m_contents_read(buffer *b, const char *path)
{
    struct stat s;
    size_t got;
    void *data = b->data;
    int file = open_file(path, &s);
    if (file < 0)
        return false;
    bool done = s24m_grow(&data, &b->room, b->size, (size_t)s.st_size + 1, 1);
    if (done) {
        b->data = data;
        done = read_some(file, path, b->data + b->size, (size_t)s.st_size, &got);
        b->size += done ? got : 0;
        b->data[b->size] = 0;
    }
    close(file);
    return done;
}

bool s24m_contents_peek(const char *path, char *bytes, size_t size, size_t *got)
{
    struct stat s;
    int file = open_file(path, &s);
    if (file < 0)
        return false;
    bool done = read_some(file, path, bytes, size, got);
    close(file);
    return done;
}
